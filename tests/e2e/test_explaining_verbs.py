"""`hookd route`, `diff` and `show --origins` as people use them: files, a real daemon, a receiver, and git."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import HOOKD, Daemon, Receiver, hookd, write_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = "c4n4ry-s3cret"
SIGNING = "whsec_" + "A" * 32
CONFIG = """
event_types:
  user.updated: {{schema: user.json}}
  scan: {{}}
profiles:
  signed:
    sign: {{scheme: standard, secrets: [{{file: signing}}]}}
    headers: {{X-Team: platform}}
webhooks:
  crm:
    profile: signed
    tenant: acme
    url: {url}crm?key=c4n4ry-s3cret
    allow_networks: [127.0.0.0/8]
    events: ["user.*"]
    filter:
      data.country: [NL, BE]
      any: [{{data.vip: true}}, {{data.amount: {{gte: 100}}}}]
    secrets: {{token: {{file: token}}}}
    auth: {{bearer: {{file: token}}}}
    headers: {{X-Key: {{file: token}}, X-Plain: a}}
    body: {{template: {{action: $(type), token: $(secrets.token), "...": $(data)}}}}
  shop:
    tenant: "*"
    url: {url}shop
    allow_networks: [127.0.0.0/8]
    events: [scan, {{event: user.updated, active: false}}]
    body: {{format: form, template: {{event: $(type), "...": $(data)}}}}
    method: PUT
  off:
    url: {url}off
    allow_networks: [127.0.0.0/8]
    active: false
    events: ["*"]
"""
EVENT = {"type": "user.updated", "id": "e1", "tenant": "acme", "data": {"country": "NL", "amount": 150}}


@pytest.fixture
def daemon(daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path) -> Daemon:
    """Give a daemon that is not started, with its secrets."""
    (tmp_path / "signing").write_text(SIGNING)
    (tmp_path / "token").write_text(f"{CANARY}-token")
    (tmp_path / "user.json").write_text('{"type": "object", "properties": {"amount": {"type": "integer"}}}')
    return daemon_of(CONFIG.format(url=receiver.url))


def route(daemon: Daemon, event: dict[str, Any], *words: str) -> tuple[int, Any]:
    code, out, err = hookd(
        "route", "-", "--config", daemon.config, "--output", "json", *words, stdin=json.dumps(event).encode()
    )
    assert out, err
    return code, json.loads(out)


def edit(daemon: Daemon, old: str, new: str) -> None:
    """Edit the file as a person does, and wait until it runs."""
    mark = len(daemon.lines)
    text = daemon.config.read_text()
    assert text.count(old) == 1, (old, text)
    daemon.config.write_text(text.replace(old, new))
    daemon.wait_line("config.reloaded", since=mark)


# --------------------------------------------------------------------------- route

MADE = re.compile(r"<.*>")


@pytest.mark.parametrize(
    ("event", "webhook"),
    [
        (EVENT, "crm"),
        ({"type": "scan", "id": "e2", "data": {"code": "a b&c", "n": 1.50, "ok": True, "no": None}}, "shop"),
    ],
)
def test_what_route_shows_is_what_the_receiver_gets(
    daemon: Daemon, receiver: Receiver, event: dict[str, Any], webhook: str
) -> None:
    """Method, path, every header in its order and the body; what is secret or made for the attempt is marked."""
    (daemon.config.parent / "token").rename(daemon.config.parent / "away")
    code, answer = route(daemon, event)  # without its secrets
    assert code == 0
    (told,) = answer["webhooks"]
    assert told["webhook"] == webhook
    assert CANARY not in json.dumps(answer)
    (daemon.config.parent / "away").rename(daemon.config.parent / "token")
    daemon.start()
    daemon.send(event)
    (taken,) = receiver.wait(1)
    request = told["request"]
    assert (request["method"], request["url"]) == (taken.method, receiver.url + webhook)
    shown = [(name.lower(), value) for name, value in request["headers"]]
    assert sorted(name for name, _ in shown) == sorted(taken.headers)
    for name, value in shown:
        if not MADE.fullmatch(value) and not value.startswith("***"):
            assert (name, value) == (name, taken.headers[name])
    assert request["body"].replace("***", f"{CANARY}-token") == taken.body.decode()
    # The daemon says the same, and so does what it kept of the exchange.
    code, out, _ = daemon.verb("route", "-", "--output", "json", stdin=json.dumps(event).encode())
    assert (code, json.loads(out)["webhooks"][0]["request"]) == (0, request)
    kept = json.loads(daemon.verb("attempts", webhook, "--output", "json")[1])
    kept = kept[0] if isinstance(kept, list) else kept
    assert [name for name, _ in kept["request"]["headers"]] == [name for name, _ in request["headers"]]
    assert kept["request"]["body"] == request["body"]


def test_every_webhook_is_explained_with_file_and_line(daemon: Daemon) -> None:
    event = {**EVENT, "data": {"country": "DE", "amount": 1}}
    code, out, _ = hookd(
        "route",
        "-",
        "--explain",
        "--config",
        daemon.config.name,
        cwd=daemon.config.parent,
        stdin=json.dumps(event).encode(),
    )
    assert code == 0
    lines = daemon.config.read_text().splitlines()

    def line_of(text: str) -> int:
        (number,) = [number for number, line in enumerate(lines, 1) if text in line]
        return number

    blocks = dict(re.findall(r"^(\w+): (.*?)(?=^\w+: |\Z)", out, re.MULTILINE | re.DOTALL))
    assert f"✗ hookd.yaml:{line_of('data.country')}" in blocks["crm"]
    assert 'data.country in ["NL", "BE"]; the event has "DE"' in blocks["crm"]
    assert f"✗ hookd.yaml:{line_of('any: [')}" in blocks["crm"]
    assert "data.vip eq true; there is none in the event" in blocks["crm"]
    assert f"✗ hookd.yaml:{line_of('events: [scan')}  events: user.updated is not active" in blocks["shop"]
    assert f"✗ hookd.yaml:{line_of('    active: false')}  active: false" in blocks["off"]
    assert CANARY not in out


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"type": "user.updatet"}, "unknown_type at /type"),
        ({**EVENT, "data": {"amount": "x"}}, "schema_invalid at /data/amount"),
        ({**EVENT, "tennant": "x"}, "invalid_event at /tennant"),
    ],
)
def test_an_event_that_would_be_refused_says_so(daemon: Daemon, event: dict[str, Any], words: str) -> None:
    code, out, _ = hookd("route", "-", "--config", daemon.config, stdin=json.dumps(event).encode())
    assert code == 1
    assert f"it would be refused: {words}" in out


@pytest.mark.parametrize(
    ("words", "stdin", "code", "message"),
    [
        ([], "", 2, "name a file"),
        (["-", "--type", "x"], "", 2, "name a file"),
        (["-", "--tenant", "x"], "", 2, "go with --type"),
        (["-"], "", 2, "holds no event"),
        (["-"], '{"type":"a"}\n{"type":"b"}\n', 2, "holds several events"),
        (["nosuchfile"], "", 2, "cannot read nosuchfile"),
        (["--type", "scan", "--webhook", "sho"], "", 1, "did you mean `shop`"),
        (["--type", "scan", "--running"], "", 69, "no daemon is running"),
    ],
)
def test_what_is_asked_badly(daemon: Daemon, words: list[str], stdin: str, code: int, message: str) -> None:
    found, _, err = hookd("route", *words, "--config", daemon.config, stdin=stdin.encode())
    assert found == code
    assert message in err


def test_a_control_socket_of_the_environment_does_not_make_the_daemon_answer(daemon: Daemon) -> None:
    environ = {**os.environ, "HOOKD_CONTROL": "/nonexistent/control.sock"}
    done = subprocess.run(
        [*HOOKD, "route", "--type", "scan", "--data", "{}", "--config", str(daemon.config)],
        env=environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_broken_config_is_told_and_ends_with_78(daemon: Daemon) -> None:
    daemon.config.write_text("version: 1\nwebhoks: {}\n")
    for words in (["route", "--type", "a"], ["show", "--files"], ["diff", "--from", "HEAD"]):
        code, _, err = hookd(*words, "--config", daemon.config)
        assert code == 78, (words, err)
        assert f"{daemon.config}:2:1: " in err


def test_the_running_daemon_knows_what_is_held(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.verb("suspend", "crm", "--cause", "for a while")[0] == 0
    code, out, _ = daemon.verb("route", "-", "--explain", stdin=json.dumps(EVENT).encode())
    assert code == 0
    assert "for a while" in out
    assert re.search(r"held: it is suspended since 20", out)


# --------------------------------------------------------------------------- show


def test_show_tells_the_origin_of_every_value_from_files_and_from_the_daemon(daemon: Daemon) -> None:
    code, from_files, _ = hookd("show", "crm", "--origins", "--files", "--config", daemon.config)
    assert code == 0
    daemon.start()
    # The answer is of what runs: a broken disk changes nothing.
    mark = len(daemon.lines)
    good = daemon.config.read_text()
    daemon.config.write_text("\n\n" + good + "\nnonsense: 1\n")
    daemon.wait_line("config.rejected", since=mark)
    code, running, _ = daemon.verb("show", "crm", "--origins")
    assert code == 0
    assert running.splitlines()[1:] == from_files.splitlines()[1:]
    assert running.startswith("# in force at revision ")
    assert from_files.startswith("# of the files, revision ")
    lines = good.splitlines()
    told = dict(re.findall(r"^ +([\w-]+): .*?# (.*)$", running, re.MULTILINE))
    team = next(number for number, line in enumerate(lines, 1) if "X-Team" in line)
    assert told["X-Team"] == f"{daemon.config}:{team} (profile signed)"
    assert told["X-Plain"] == f"{daemon.config}:{next(n for n, line in enumerate(lines, 1) if 'X-Plain' in line)}"
    assert told["timeout"] == "built-in"
    assert CANARY not in running
    # And it is YAML.
    code, out, _ = daemon.verb("show", "--effective", "--output", "json")
    assert (code, set(json.loads(out)["webhooks"])) == (0, {"crm", "shop", "off"})
    assert "origins" not in json.loads(out)["webhooks"]["crm"]
    # After a reload it is of the new files.
    mark = len(daemon.lines)
    daemon.config.write_text("\n\n" + good)
    daemon.wait_line("config.reloaded", since=mark)
    assert f"{daemon.config}:{team + 2} (profile signed)" in daemon.verb("show", "crm", "--origins")[1]


def test_a_daemon_that_started_from_its_last_good_config_explains_that(daemon: Daemon) -> None:
    daemon.start()
    daemon.stop()
    good = daemon.config.read_text()
    daemon.config.write_text(good + "nonsense: 1\n")
    mark = len(daemon.lines)
    daemon.start()
    shown = daemon.verb("show", "crm", "--origins")
    assert (shown[0], "(profile signed)" in shown[1]) == (0, True)
    assert daemon.verb("diff")[0] == 78
    daemon.config.write_text(good)
    daemon.wait_line("config.restored", since=mark)
    assert daemon.verb("show", "crm", "--origins")[:2] == shown[:2]
    assert daemon.verb("diff", "--exit-code")[0] == 0


def test_show_without_a_webhook_lists_them_and_a_wrong_one_is_told(daemon: Daemon) -> None:
    code, _, err = hookd("show", "cmr", "--files", "--config", daemon.config)
    assert code == 1
    assert "did you mean `crm`" in err
    code, _, err = hookd("show", "crm", "--effective", "--config", daemon.config)
    assert code == 69
    assert "--files shows what stands in the files" in err
    daemon.start()
    code, out, _ = daemon.verb("show")
    assert code == 0
    assert out == daemon.verb("list")[1]
    assert daemon.verb("show", "cmr", "--effective")[0] == 1


# --------------------------------------------------------------------------- diff


def diff(daemon: Daemon, *words: str | Path) -> tuple[int, Any]:
    code, out, err = daemon.verb("diff", "--output", "json", *words)
    assert out, err
    return code, json.loads(out)


def test_diff_tells_what_a_reload_then_does(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    """A candidate tree beside, held against what runs; then it is put in place, and what was told comes true."""
    gone = Receiver(lambda _taken: 503)
    daemon = daemon_of(f"""
webhooks:
  crm:
    url: {gone.url}crm
    allow_networks: [127.0.0.0/8]
    events: [a]
    retry: {{schedule: [1h]}}
    secrets: {{t: {{file: secrets/t}}}}
    headers: {{X-Key: {CANARY}1}}
  old:
    url: {gone.url}old
    allow_networks: [127.0.0.0/8]
    events: [a]
    retry: {{schedule: [1h]}}
""").start()
    daemon.send(*({"type": "a", "data": number} for number in range(4)))
    gone.wait(8)
    assert diff(daemon, "--exit-code")[0] == 0
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    text = daemon.config.read_text().replace(f"{gone.url}crm", f"{receiver.url}crm").replace(f"{CANARY}1", f"{CANARY}2")
    text = text[: text.index("  old:")] + "  new: {url: 'https://new.example/', events: [a]}\n"
    named = candidate / "hookd.yaml"
    named.write_text(text.replace("daemon:\n", "daemon:\n  drain_timeout: 5s\n"))
    code, told = diff(daemon, "--config", named, "--exit-code")
    assert code == 1
    assert (told["added"], told["removed"]) == (["new"], ["old"])
    # Its own relative paths are those of the running tree, so that only what differs differs.
    assert told["changed"] == {
        "crm": [
            {"key": "url", "old": f"{gone.url}crm", "new": f"{receiver.url}crm"},
            {"key": "headers.X-Key", "old": "***", "new": "***"},
        ]
    }
    assert told["restart_required"] == [{"key": "daemon.drain_timeout", "old": "25s", "new": "5s"}]
    assert told["effects"] == [
        {"webhook": "crm", "effect": "4 pending will go to the new URL, with the new headers, due now"},
        {"webhook": "old", "effect": "4 pending will be held: kept, not attempted, until it is in the files again"},
    ]
    assert CANARY not in json.dumps(told)
    human = daemon.verb("diff", "--config", named)[1]
    assert "headers.X-Key: *** → *** (another one)" in human
    assert CANARY not in human
    mark = len(daemon.lines)
    daemon.config.write_text(named.read_text())
    daemon.wait_line("config.reloaded", since=mark)
    receiver.wait(4)
    row = json.loads(daemon.verb("status", "old", "--output", "json")[1])
    assert (row["state"], row["pending"], row["held"]) == ("missing", 4, 4)
    # What is left is what waits for a restart.
    code, told = diff(daemon, "--exit-code")
    assert code == 1
    assert (told["changed"], told["added"], told["removed"]) == ({}, [], [])
    assert told["restart_required"] == [{"key": "daemon.drain_timeout", "old": "25s", "new": "5s"}]
    gone.close()


def test_a_disk_that_is_broken_is_told_as_check_does_it(daemon: Daemon) -> None:
    daemon.start()
    daemon.config.write_text(daemon.config.read_text() + "nonsense: 1\n")
    code, out, err = daemon.verb("diff", "--exit-code")
    assert (code, out) == (78, "")
    assert "nonsense" in err
    assert re.search(rf"{daemon.config}:\d+:1: error", err)


def test_most_of_a_backlog_that_would_go_is_warned_of(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    entries = "".join(f"  w{n}: {{url: 'https://w.example/', events: [a], paused: true}}\n" for n in range(12))
    daemon = daemon_of(f"webhooks:\n{entries}").start()
    daemon.send({"type": "a"})
    few = tmp_path / "few"
    few.mkdir()
    named = write_config(few, "webhooks: {w0: {url: 'https://w.example/', events: [a], paused: true}}\n")
    code, told = diff(daemon, "--config", named)
    assert code == 0
    assert told["warning"].startswith("a reload would be refused: this would remove 11 of the 12 webhooks")
    assert told["warning"].endswith("if it is meant: hookd reload --allow-removals")


def test_that_no_webhook_would_be_left_is_warned_of(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    only = "webhooks: {only: {url: 'https://w.example/', events: [a], paused: true}}\n"
    daemon = daemon_of(only).start()
    empty = tmp_path / "empty"
    empty.mkdir()
    named = write_config(empty, "webhooks: {}\n")
    assert diff(daemon, "--config", named)[1]["warning"] is None  # nobody waits
    daemon.send({"type": "a"})
    warning = diff(daemon, "--config", named)[1]["warning"]
    assert (
        "would remove 1 of the 1 webhooks that have pending deliveries (only), and leave no webhook at all" in warning
    )


def test_what_a_reload_would_refuse_is_foretold(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    """The words are those of the refusal, whatever the daemon's own look has come to; and nobody needs to wait."""
    hooks, managed = tmp_path / "hooks", tmp_path / "managed"
    for directory, name in ((hooks, "a"), (managed, "m")):
        directory.mkdir()
        (directory / f"{name}.yaml").write_text(f"webhooks: {{{name}: {{url: 'https://w.example/', events: [x]}}}}\n")
    daemon = daemon_of("include: ['hooks/*.yaml']\nmanaged_dir: managed\n").start()
    assert diff(daemon)[1]["warning"] is None
    for directory, why in ((hooks, "every file in which webhooks stood is gone"), (managed, "directory is not there")):
        mark = len(daemon.lines)
        directory.rename(tmp_path / "away")
        message = daemon.wait_line("config.rejected", since=mark)["message"]
        code, told = diff(daemon, "--exit-code")
        assert (code, told["warning"]) == (1, f"a reload would be refused: {message}")
        assert why in message
        assert told["warning"] in daemon.verb("diff")[1]
        (tmp_path / "away").rename(directory)
        daemon.wait_line("config.restored", since=mark)
    # A webhook that is taken out of its file is an edit, in another tree as in this one.
    other = tmp_path / "other"
    shutil.copytree(hooks, other / "hooks")
    shutil.copytree(managed, other / "managed")
    (other / "hookd.yaml").write_text(daemon.config.read_text())
    (other / "hooks" / "a.yaml").write_text("webhooks: {}\n")
    _, told = diff(daemon, "--config", other / "hookd.yaml")
    assert (told["removed"], told["warning"]) == (["a"], None)
    shutil.rmtree(other / "hooks")
    assert "every file in which webhooks stood" in diff(daemon, "--config", other / "hookd.yaml")[1]["warning"]
    assert daemon.stop() == 0


def test_webhooks_that_are_gone_since_long_do_not_hide_a_mass_removal(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    entries = "".join(f"  w{n}: {{url: 'https://w.example/', events: [a], paused: true}}\n" for n in range(24))
    daemon = daemon_of(f"webhooks:\n{entries}").start()
    daemon.send({"type": "a"})
    lines = daemon.config.read_text().splitlines(keepends=True)
    daemon.config.write_text("".join(line for line in lines if not re.match(r"  w(1.|[0-2]):", line)))
    assert daemon.verb("reload", "--allow-removals")[0] == 0
    few = tmp_path / "few"
    few.mkdir()
    named = write_config(few, "webhooks: {w3: {url: 'https://w.example/', events: [a], paused: true}}\n")
    assert "remove 10 of the 11 webhooks" in diff(daemon, "--config", named)[1]["warning"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_diff_from_a_revision_needs_no_daemon_and_no_secrets(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "conf.d").mkdir()
    main = write_config(tmp_path, "include: [conf.d/*.yaml]\nprofiles: {p: {timeout: 1s}}\n")
    for name in "abc":
        (tmp_path / f"conf.d/{name}.yaml").write_text(
            f"webhooks: {{{name}: {{profile: p, url: 'https://{name}.example/', events: [x], auth: *a}}}}\n".replace(
                "*a", "{bearer: {file: tok}}"
            )
        )
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    code, out, _ = hookd("diff", "--from", "HEAD", "--exit-code", "--config", main)
    assert (code, out.startswith("no changes")) == (0, True)
    main.write_text(main.read_text().replace("timeout: 1s", "timeout: 2s"))
    (tmp_path / "conf.d/c.yaml").unlink()
    code, out, _ = hookd("diff", "--from", "HEAD", "--exit-code", "--config", "hookd.yaml", cwd=tmp_path)
    assert code == 1
    assert "  - c\n  ~ a, b\n      timeout: 1s → 2s\n" in out
    code, _, err = hookd("diff", "--from", "nope", "--config", main)
    assert (code, err) == (1, "hookd: git knows no revision nope\n")
    code, _, err = hookd("diff", "--from", "HEAD", "--config", main, "--control", "x")
    assert code == 2


def test_diff_without_a_daemon_says_so(daemon: Daemon) -> None:
    code, _, err = hookd("diff", "--config", daemon.config)
    assert code == 69
    assert "no daemon is running" in err
    assert "name the socket of the daemon to compare with by --control" in err
