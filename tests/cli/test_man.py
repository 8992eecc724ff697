"""The manual page: made of the verbs, and good enough for groff."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from hookd.cli.main import cli
from hookd.cli.man import render_page
from tests.e2e.house import hookd


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(click.Context(cli, info_name="hookd"))


def test_every_verb_and_every_option_is_there(page: str) -> None:
    root = click.Context(cli, info_name="hookd")
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        assert f'.SS "hookd {name}' in page
        for option in command.params:
            for text in option.opts if isinstance(option, click.Option) and not option.hidden else ():
                assert text.replace("-", r"\-") in page, (name, text)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SIGNALS"):
        assert f"\n.SH {section}\n" in page
    assert r"\fBHOOKD_CONTROL\fR" in page


def test_no_text_is_taken_for_a_request(page: str) -> None:
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".nf", ".fi"}
    assert {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))} <= known
    assert not re.search(r"\\(?![fe&\-]|\(dq)", page)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_has_nothing_to_complain_about(page: str) -> None:
    done = subprocess.run(
        ["groff", "-ww", "-k", "-man", "-Tutf8"], input=page.encode(), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
    assert "hookd - deliver webhooks" in shown
    assert "--follow" in shown
    assert "`" not in shown


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_it(page: str) -> None:
    done = subprocess.run(["man", "-l", "-"], input=page.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"SIGHUP" in done.stdout


def test_in_a_pipe_it_is_the_source(page: str) -> None:
    code, out, err = hookd("man")
    assert (code, err) == (0, "")
    assert out == page
