"""The verbs that need no daemon, and what holds for all of them: help, completion, streams, init, schema, secret."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hookd.cli.main import _VERBS, cli, main
from tests.e2e.house import HOOKD, ROOT, Daemon, hookd

if TYPE_CHECKING:
    from pathlib import Path


def shell(script: str, *, cwd: Path | None = None, **environ: str) -> tuple[int, str, str]:
    """Run a line of bash in which `hookd` is the verb of this checkout."""
    function = f'hookd() {{ {HOOKD[0]} -m hookd "$@"; }}; '
    done = subprocess.run(
        ["/bin/bash", "-c", function + script],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err, err
    return done.returncode, out, err


def test_every_verb_of_the_list_has_its_module_and_help() -> None:
    context = cli.make_context("hookd", ["x"], resilient_parsing=True)
    for name in _VERBS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        text = command.get_help(command.make_context(name, [], resilient_parsing=True))
        assert text.startswith(f"Usage: {name} ")
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert getattr(parameter, "help", None), (name, parameter.name)


def test_the_overview_names_every_verb_and_a_mistyped_one_is_found() -> None:
    code, out, _ = hookd("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in _VERBS)
    code, out, err = hookd("attempst")
    assert (code, out) == (2, "")
    assert "there is no verb 'attempst'; did you mean 'attempts'?" in err
    assert hookd("--version")[1].startswith("hookd, version ")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_and_options() -> None:
    script = """
        eval "$(hookd completion bash)"
        env() {  # the script calls `env VARIABLES hookd`
            local a=(); while [[ $1 == *=* ]]; do a+=("$1"); shift; done; shift
            command env "${a[@]}" PYTHON -m hookd
        }
        complete_it() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _hookd_completion hookd; echo "${COMPREPLY[@]}"
        }
        complete_it hookd atte
        complete_it hookd attempts --fol
        complete_it hookd schema ""
    """.replace("PYTHON", HOOKD[0])
    code, out, err = shell(script)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["attempts", "--follow", "config log included"]
    for name in ("zsh", "fish"):
        code, out, _ = hookd("completion", name)
        assert code == 0
        assert "_HOOKD_COMPLETE" in out


def test_closed_and_full_streams_bring_no_traceback(tmp_path: Path) -> None:
    for script, code, word in [
        ("hookd schema | head -n 1", 0, ""),
        ("hookd schema >&-", 0, ""),
        ("hookd schema > /dev/full", 1, "No space left on device"),
        ("hookd snd 2>&-", 2, ""),
        ("hookd snd 2> /dev/full", 2, ""),
        ("hookd send - <&- --socket none", 69, "there is no socket"),
    ]:
        got, _, err = shell(f"set -o pipefail; {script}", cwd=tmp_path)
        assert (got, "Exception ignored" in err) == (code, False), (script, err)
        assert word in err


def test_what_is_printed_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "hookd.yaml").write_text("webhooks:\n  ü: {}\n", encoding="utf-8")
    _, out, _ = shell("hookd check --output json", cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert json.loads(out)["valid"] is False


def test_init_writes_a_config_that_is_checked_and_runs(tmp_path: Path) -> None:
    code, out, err = hookd("init", cwd=tmp_path)
    assert (code, err) == (0, "")
    steps = [line.split("  #")[0].strip() for line in out.splitlines()[1:]]
    assert steps == ["hookd check", "hookd run", "hookd listen --port 8000", "hookd test example"]
    code, out, _ = hookd("check", cwd=tmp_path)
    assert code == 0
    assert out.startswith("hookd.yaml: ok: 1 webhook, ")
    daemon = Daemon(tmp_path / "hookd.yaml").start()
    code, out, _ = hookd("send", "--type", "x", "--id", "1", cwd=tmp_path)
    assert (code, out) == (0, "accepted 1 (1 delivery)\n")
    assert hookd("list", cwd=tmp_path)[0] == 0
    assert daemon.stop() == 0
    daemon.close()
    if shutil.which("git") is not None:
        assert hookd("secret", "--file", "secrets/example", cwd=tmp_path)[0] == 0
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        listed = subprocess.run(["git", "status", "--short", "-uall"], cwd=tmp_path, check=True, capture_output=True)
        names = sorted(line[3:] for line in listed.stdout.decode().splitlines())
        assert names == [".gitignore", "config.schema.json", "hookd.yaml"]


def test_init_leaves_a_gitignore_alone_and_says_what_it_lacks(tmp_path: Path) -> None:
    ignore = tmp_path / ".gitignore"
    for written, lacks in (
        ("*.pyc\n", True),
        ("# secrets/\n", True),
        ("*.pyc\n/secrets/\n", False),
        ("secrets", False),
    ):
        ignore.write_text(written)
        code, out, _ = hookd("init", cwd=tmp_path)
        assert code == 0
        assert ("add the line `secrets/` to it" in out) == lacks, written
        assert ignore.read_text() == written
        (tmp_path / "hookd.yaml").unlink()
    ignore.unlink()
    _, out, _ = hookd("init", cwd=tmp_path)
    assert ".gitignore" not in out
    assert {"secrets/", "state/"} <= set(ignore.read_text().splitlines())


def test_init_says_that_a_schema_of_another_version_stays(tmp_path: Path) -> None:
    schema = tmp_path / "config.schema.json"
    schema.write_text("{}")
    code, out, _ = hookd("init", cwd=tmp_path)
    assert code == 0
    assert "config.schema.json is there already and stays as it is: `hookd schema > config.schema.json`" in out
    assert schema.read_text() == "{}"
    schema.write_text(hookd("schema")[1])
    (tmp_path / "hookd.yaml").unlink()
    code, out, _ = hookd("init", cwd=tmp_path)
    assert code == 0
    assert "config.schema.json" not in out


def test_init_and_secret_overwrite_nothing(tmp_path: Path) -> None:
    (tmp_path / "hookd.yaml").write_text("mine")
    code, _, err = hookd("init", cwd=tmp_path)
    assert code == 1
    assert "hookd.yaml exists; it is left as it is" in err
    assert [path.name for path in tmp_path.iterdir()] == ["hookd.yaml"]
    (tmp_path / "config.schema.json").write_text("mine")
    (tmp_path / "run").write_text("mine")
    code, out, _ = hookd("init", "an other.yaml", cwd=tmp_path)
    assert code == 0
    assert "hookd check --config 'an other.yaml' " in out
    assert {(tmp_path / name).read_text() for name in ("hookd.yaml", "config.schema.json", "run")} == {"mine"}

    code, out, _ = hookd("secret", "--file", "keys/one", cwd=tmp_path)
    made = (tmp_path / "keys/one").read_text()
    assert (code, made[:6]) == (0, "whsec_")
    assert made.strip() not in out
    assert hookd("secret", "--file", "keys/one", cwd=tmp_path)[0] == 1
    assert (tmp_path / "keys/one").read_text() == made
    assert hookd("secret", "--file", "hookd.yaml/x", cwd=tmp_path)[0] == 1
    assert hookd("secret")[1].startswith("whsec_")


def test_schema_prints_what_is_published() -> None:
    for which in ("config", "log"):
        code, out, _ = hookd("schema", which)
        assert code == 0
        assert json.loads(out) == json.loads((ROOT / f"schemas/{which}.schema.json").read_text())
    assert hookd("schema")[1] == hookd("schema", "config")[1]


def test_a_config_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoken(arguments: tuple[str, ...]) -> tuple[object, str, str]:
        """Run a verb that changes nothing of its process in this one: a process for each would take seconds."""
        monkeypatch.setattr(sys, "argv", ["hookd", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    code: object
    (tmp_path / "junk.yaml").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "broken.yaml").write_text("webhooks: [\n")
    for name in ("junk.yaml", "broken.yaml", "none.yaml", "."):
        for verb, expected in [
            (["check"], 1),
            (["run"], 78),
            (["status"], 78),
            (["send", "--type", "x"], 78),
        ]:
            arguments = (*verb, "--config", str(tmp_path / name))
            code, out, err = hookd(*arguments) if verb == ["run"] else spoken(arguments)
            assert (code, out) == (expected, ""), (name, verb, err)
            assert str(tmp_path) in err
            assert "this should not have happened" not in err
    code, out, _ = hookd("check", "--config", tmp_path / "broken.yaml", "--output", "json")
    assert code == 1
    (problem,) = json.loads(out)["problems"]
    assert problem["code"] == "yaml_syntax"
    assert problem["file"] == str(tmp_path / "broken.yaml")
