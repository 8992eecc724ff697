"""Who asks for JSON reads JSON, also when a verb fails: one object on standard output, nothing on standard error."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hookd.cli.errors import ENDINGS, ExitCode
from hookd.cli.main import _VERBS, asks_json, cli
from hookd.cli.meanings import read_entries
from hookd.cli.reaching import explain_unreachable
from hookd.cli.watching import watch_screen
from tests.e2e.house import Receiver, hookd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.house import Daemon

#: Of each verb that asks a daemon and prints JSON, what it is asked.
ASKED: dict[str, list[str]] = {
    "status": ["crm"],
    "list": [],
    "show": ["crm"],
    "attempts": ["crm"],
    "test": ["crm"],
    "suspend": ["crm"],
    "resume": ["crm"],
    "redrive": ["crm"],
    "replay": ["crm", "--all"],
    "reload": [],
    "remove": ["acme/crm"],
    "put": ["acme/crm", "--file", "crm.yaml"],
}
#: Those of them that name no webhook.
ALL_OF_THEM = {"list", "reload"}


def failed(*arguments: str | Path, **how: Any) -> tuple[int, dict[str, Any]]:
    """Run a verb that fails; give its exit code and what it told programs."""
    code, out, err = hookd(*arguments, "--output", "json", **how)
    assert err == ""
    told = json.loads(out)
    assert list(told) == ["error"]
    error = told["error"]
    assert error["exit_code"] == code
    assert error["message"]
    return code, error


def test_every_verb_that_asks_a_daemon_is_in_the_table() -> None:
    context = cli.make_context("hookd", ["x"], resilient_parsing=True)
    asking = set()
    for name in _VERBS:
        command = cli.get_command(context, name)
        assert command is not None
        options = {parameter.name for parameter in command.params}
        if {"control", "output"} <= options:
            asking.add(name)
    assert asking - {"diff", "route"} == set(ASKED)  # these two work on files, too


@pytest.mark.parametrize("verb", ASKED)
def test_no_daemon_is_told_as_json(verb: str, tmp_path: Path) -> None:
    (tmp_path / "crm.yaml").write_text("url: https://example.com/\nevents: [x]\n")
    code, error = failed(verb, *ASKED[verb], "--control", tmp_path / "none", cwd=tmp_path)
    assert (code, error["code"]) == (69, "no_daemon")
    assert "no daemon is running" in error["message"]


@pytest.fixture
def daemon(daemon_of: Callable[[str], Daemon]) -> Daemon:
    return daemon_of(
        "managed_dir: managed\nwebhooks:\n  other: {url: 'http://example.com/', events: [x], active: false}\n"
    ).start()


def test_what_the_daemon_refuses_is_told_with_its_code_and_status(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "crm.yaml").write_text("url: https://example.com/\nevnts: [x]\n")
    for verb, asked in ASKED.items():
        if verb in {*ALL_OF_THEM, "put"}:
            continue
        code, error = failed(verb, *asked, "--control", daemon.control)
        assert (code, error["code"], error["status"]) == (1, "not_found", 404), verb
        assert "there is no " in error["message"]
    code, error = failed("replay", "other", "--all", "--control", daemon.control)
    assert (code, error["code"], error["status"]) == (1, "conflict", 409)
    code, error = failed("test", "other", "--control", daemon.control)
    assert (code, error["code"]) == (1, "unprocessable_content")
    code, error = failed("put", "new", "--file", tmp_path / "crm.yaml", "--control", daemon.control)
    assert (code, error["code"], error["status"]) == (1, "definition_invalid", 422)
    assert {"pointer": "/evnts", "code": "unknown_key"}.items() <= error["errors"][0].items()
    (tmp_path / "crm.yaml").write_text("url: [\n")
    code, error = failed("put", "new", "--file", tmp_path / "crm.yaml", "--control", daemon.control)
    assert (code, error["code"], error["errors"][0]["code"]) == (1, "not_so", "yaml_syntax")


def test_a_verb_that_is_called_wrongly_says_so_as_json(tmp_path: Path) -> None:
    assert failed("status", "--bogus")[1]["message"] == "No such option '--bogus'."
    assert failed("attempts", "--since", "soon")[1]["code"] == "usage"
    assert failed("replay")[0] == 2
    assert failed("resume")[0] == 2
    assert failed("statsu")[1]["message"] == "there is no verb 'statsu'; did you mean 'status'?"
    assert failed("explain", "suspnded")[1]["message"] == "there is no code 'suspnded'; did you mean 'suspended'?"
    (tmp_path / "hookd.yaml").write_text("webhooks: [\n")
    code, error = failed("status", cwd=tmp_path)
    assert (code, error["code"]) == (78, "bad_config")


def test_send_ends_its_lines_with_the_error(tmp_path: Path) -> None:
    code, error = failed("send", "--type", "x", "--socket", tmp_path / "none")
    assert (code, error["code"]) == (69, "no_daemon")


def test_who_asks_for_no_json_reads_prose() -> None:
    code, out, err = hookd("status", "--control", "/none")
    assert (code, out) == (69, "")
    assert err.startswith("hookd: no daemon is running")


def test_what_is_asked_for_is_found_on_any_command_line() -> None:
    assert asks_json(["status", "--output", "json"])
    assert asks_json(["status", "--output=json", "--bogus"])
    assert asks_json(["status", "--output", "human", "--output", "json"])
    assert not asks_json(["status", "--output", "json", "--output", "human"])
    assert not asks_json(["send", "--", "--output", "json"])
    assert not asks_json(["status", "--output"])
    assert not asks_json([])


def test_every_exit_code_is_explained_by_its_word() -> None:
    assert set(ENDINGS) == set(ExitCode) - {ExitCode.FINE}
    told = {entry.word for entry in read_entries() if entry.kind == "ending"}
    assert told == {code.word for code in ENDINGS}


def test_a_watcher_reads_json_while_the_daemon_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    class Enough(Exception):  # noqa: N818  the end of the test
        pass

    def show() -> None:
        raise explain_unreachable("/none", "control socket")

    def sleep(_seconds: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        watch_screen(show, as_json=True, sleep=sleep)
    out, err = capsys.readouterr()
    assert (json.loads(out)["error"]["code"], err) == ("no_daemon", "")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "broke off"),
        (b"SSH-2.0-OpenSSH\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[]", "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[}", "broke off"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n[]", "broke off"),
    ],
)
def test_who_is_no_daemon_is_told(answer: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                while not client.recv(65536).endswith(b"\r\n\r\n"):
                    pass
                client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        code, error = failed("list", "--control", path)
        thread.join(10)
    assert (code, error["code"]) == (75, "try_again")
    assert word in error["message"]


def test_json_that_was_asked_for_is_as_it_was(daemon_of: Callable[[str], Daemon]) -> None:
    receiver = Receiver(lambda _taken: 500)
    daemon = daemon_of(
        f"webhooks:\n  one:\n    url: {receiver.url}\n    allow_networks: [127.0.0.0/8]\n    events: ['*']\n"
        "    test_event: {type: x}\n"
    ).start()
    code, out, err = daemon.verb("test", "one", "--output", "json")  # what failed is the delivery: no error of the verb
    assert (code, err, json.loads(out)["outcome"]) == (1, "", "rejected")
    daemon.config.write_text(daemon.config.read_text() + "}\n")
    code, out, err = daemon.verb("reload", "--output", "json")
    assert (code, err) == (78, "")
    assert json.loads(out)["problems"]
    receiver.close()
