"""`hookd systemd install`: what it writes, what it leaves alone, and what it says."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from hookd.cli import systemd
from tests.e2e.house import hookd

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "/opt/hookd/bin/hookd"
SERVICE = "etc/systemd/system/hookd.service"
SOCKET = "etc/systemd/system/hookd.socket"


def install(root: Path, *options: str, program: str | None = PROGRAM) -> tuple[int, str, str]:
    named = () if program is None else ("--hookd", program)
    return hookd("systemd", "install", "--root", root, *named, *options)


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_it_writes_units_with_the_paths_of_this_installation(tmp_path: Path) -> None:
    code, out, err = install(tmp_path, "--config", "/srv/hooks/main.yaml")
    assert (code, err) == (0, "")
    written = tree(tmp_path)
    assert set(written) == {*systemd._FILES.values(), "srv/hooks/main.yaml"}
    service = written[SERVICE]
    assert f"HUP {PROGRAM} run --config /srv/hooks/main.yaml\n" in service
    assert f" {PROGRAM} reload --wait --config /srv/hooks/main.yaml\n" in service
    assert "/etc/hookd/hookd.yaml" not in service
    assert all(path in out for path in written)
    assert f"systemd-sysusers --root={tmp_path}" in out
    assert {stat.S_IMODE((tmp_path / path).stat().st_mode) for path in written} == {0o644}
    assert hookd("check", "--config", tmp_path / "srv/hooks/main.yaml")[0] == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_what_it_writes(tmp_path: Path) -> None:
    install(tmp_path, program="/usr/bin/true")  # systemd only asks whether it can be run
    units = sorted((tmp_path / "etc/systemd/system").glob("hookd*.s[eo]*"))
    units = [unit for unit in units if unit.is_file()]
    assert len(units) == 4
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dry_run_writes_nothing_and_shows_all(tmp_path: Path) -> None:
    code, out, _ = install(tmp_path, "--dry-run")
    assert code == 0
    assert tree(tmp_path) == {}
    install(tmp_path)
    for path, text in tree(tmp_path).items():
        assert f"# ==> {tmp_path / path} (new)\n{text}" in out


def test_again_it_changes_nothing_and_an_upgrade_writes_what_nobody_touched(tmp_path: Path) -> None:
    install(tmp_path)
    before = tree(tmp_path)
    code, out, _ = install(tmp_path)
    assert (code, tree(tmp_path)) == (0, before)
    assert set(re.findall(r"^(\w+) +/", out, re.MULTILINE)) == {"unchanged", "kept"}
    code, out, _ = install(tmp_path, program="/opt/hookd-2/bin/hookd")
    assert code == 0
    assert f"updated    {tmp_path / SERVICE}" in out
    assert f"unchanged  {tmp_path / SOCKET}" in out
    assert "/opt/hookd-2/bin/hookd run" in (tmp_path / SERVICE).read_text()


def test_what_somebody_edited_is_left_alone_and_then_nothing_is_written(tmp_path: Path) -> None:
    install(tmp_path)
    edited = tmp_path / SOCKET
    edited.write_text(edited.read_text().replace("0660", "0666"))
    before = tree(tmp_path)
    code, out, err = install(tmp_path, program="/opt/hookd-2/bin/hookd")
    assert (code, out) == (1, "")
    assert str(edited) in err
    assert "--force" in err
    assert tree(tmp_path) == before
    code, _, _ = install(tmp_path, "--force")
    assert code == 0
    assert "0666" not in edited.read_text()


@pytest.mark.parametrize(
    ("control", "made"), [("/run/hooks/c.sock", "d /run/hooks 0755"), ("/srv/hooks/c.sock", "d /run/hookd 0755")]
)
def test_a_config_that_is_there_is_the_users(tmp_path: Path, control: str, made: str) -> None:
    config = tmp_path / "etc/hookd/hookd.yaml"
    config.parent.mkdir(parents=True)
    sockets = f"{{inlets: [{{unix: /run/hooks/in.sock}}], control: {{unix: {control}}}}}"
    config.write_text(f"version: 1\ndaemon: {sockets}\nwebhooks: {{}}\n")
    before = config.read_text()
    code, out, _ = install(tmp_path, "--force")
    assert code == 0
    assert f"kept       {config}" in out
    assert config.read_text() == before
    # And the units have its sockets.
    assert "ListenStream=/run/hooks/in.sock" in (tmp_path / SOCKET).read_text()
    assert f"ListenStream={control}" in (tmp_path / "etc/systemd/system/hookd-control.socket").read_text()
    assert f"ReadWritePaths=-{control[:-7]}\n" in (tmp_path / SERVICE).read_text()
    assert made in (tmp_path / "etc/tmpfiles.d/hookd.conf").read_text()


@pytest.mark.parametrize(
    ("inlets", "listen"),
    [
        ("{http: 10.0.0.7:9000, tokens: [{credential: t}]}", ["10.0.0.7:9000"]),
        ("{http: '[::1]:9000', tokens: none}, {http: 127.0.0.1:0, tokens: none}", ["[::1]:9000"]),
        ("{http: localhost:9000, tokens: none}, {http: 10.0.0.7:81, tokens: []}", ["127.0.0.1:9000", "10.0.0.7:81"]),
        ("{unix: in.sock}, {http: events.example.com:80, tokens: [{credential: t}]}, {http: 80}", ["127.0.0.1:8480"]),
    ],
)
def test_the_port_for_events_is_the_configs(tmp_path: Path, inlets: str, listen: list[str]) -> None:
    config = tmp_path / "etc/hookd/hookd.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"version: 1\ndaemon: {{inlets: [{inlets}]}}\nwebhooks: {{}}\n")
    assert install(tmp_path)[0] == 0
    unit = (tmp_path / "etc/systemd/system/hookd-http.socket").read_text()
    assert re.findall(r"^ListenStream=(.*)$", unit, re.MULTILINE) == listen


@pytest.mark.parametrize(
    ("options", "program", "code", "says"),
    [
        ((), "opt/hookd", 2, "--hookd opt/hookd"),
        ((), "/opt/my hookd", 2, "' '"),
        ((), "/opt/%h/hookd", 2, "'%'"),
        ((), "/home/me/.venv/bin/hookd", 2, "sees nothing"),
        (("--config", "hookd.yaml"), PROGRAM, 2, "--config hookd.yaml"),
        (("--config", "/root/hookd.yaml"), PROGRAM, 2, "sees nothing"),
        (("--root", "/nonexistent"), PROGRAM, 2, "no such directory"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, options: tuple[str, ...], program: str, code: int, says: str
) -> None:
    got, out, err = install(tmp_path, *options, program=program)
    assert (got, out) == (code, "")
    assert says in err
    assert tree(tmp_path) == {}


def test_who_may_not_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")
    code, _, err = install(tmp_path)
    assert code == 77
    assert "cannot" in err
    assert "--root" in err or os.fspath(tmp_path) in err
