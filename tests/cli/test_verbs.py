"""The verbs that ask the daemon, as people run them: a real daemon, and a process for each verb."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import HOOKD, PATIENCE_S, Receiver, Taken, hookd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.house import Daemon

CONFIG = """
event_types:
  user.new:
    schema: user.json
    require: [tenant, id]
  free: {{}}
webhooks:
  crm:
    name: The CRM
    url: {url}crm?key=inurl
    allow_networks: [127.0.0.0/8]
    tenant: acme
    events: ["user.*", {{event: free, active: false}}]
    filter: {{data.vip: true}}
    paused: true
    auth: {{bearer: s3cret-token}}
    headers: {{X-Key: {{file: key}}, X-Team: crm}}
    body: {{template: $(data)}}
    test_event: {{type: user.new, id: fixed, data: {{n: 1, vip: false}}}}
  failing:
    url: {url}500
    allow_networks: [127.0.0.0/8]
    events: [free]
    retry: {{schedule: []}}
  gone:
    url: {url}410
    allow_networks: [127.0.0.0/8]
    events: [free]
  own:
    url: {url}own
    allow_networks: [127.0.0.0/8]
    events: ["hookd.*"]
    test_event: {{type: hookd.delivery.dead, data: {{a: 1}}}}
  unsent:
    url: {url}
    allow_networks: [127.0.0.0/8]
    events: [free]
    paused: true
    auth: {{bearer: {{file: nosuchfile}}}}
"""


def answer(taken: Taken) -> int:
    name = taken.path.lstrip("/")
    return int(name) if name.isdigit() else 200


@pytest.fixture
def asked(daemon_of: Callable[[str], Daemon], tmp_path: Path) -> Any:
    """Give a started daemon and its receiver, with five webhooks."""
    receiver = Receiver(answer)
    (tmp_path / "key").write_text("s3cret-header\n")
    (tmp_path / "user.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    yield daemon_of(CONFIG.format(url=receiver.url)).start(), receiver
    receiver.close()


def test_test_sends_past_all_that_holds_and_says_how_it_went(asked: Any) -> None:
    daemon, receiver = asked
    for _ in range(2):  # the id that is written would be a duplicate the second time
        code, out, err = daemon.verb("test", "crm")
        assert (code, err) == (0, "")
        assert "POST " in out
        assert re.search(r"\ndelivered in [\d.]+ ms: (connection [\d.]+, )?answer [\d.]+ \(event ", out), out
        assert '"vip": false' in out
        assert "s3cret" not in out
        assert "inurl" not in out
    assert [taken.json() for taken in receiver.wait(2)] == [{"n": 1, "vip": False}] * 2
    assert receiver.taken[0].headers["authorization"] == "Bearer s3cret-token"
    assert receiver.taken[0].headers["webhook-id"] != receiver.taken[1].headers["webhook-id"]

    data = '{"n":1E2,"u":"\\u00e9\\/"}'
    code, out, _ = daemon.verb("test", "crm", "--type", "user.new", "--data", data, "--output", "json")
    tested = json.loads(out)
    assert (code, tested["outcome"], tested["response"]["status"]) == (0, "delivered", 200)
    assert receiver.wait(3)[2].body == data.encode()
    assert tested["request"]["body"] == data
    assert set(tested["phases"]) == {"dns_ms", "connect_ms", "tls_ms", "wait_ms"}
    assert (tested["phases"]["tls_ms"], 0 < tested["phases"]["wait_ms"] < tested["duration_ms"]) == (None, True)

    code, out, _ = daemon.verb("test", "own")
    assert (code, receiver.wait(4)[3].json()["type"]) == (0, "hookd.delivery.dead")
    code, out, _ = daemon.verb("test", "failing", "--type", "free")
    assert code == 1
    assert "\n500\n" in out
    assert "rejected: status 500 in " in out
    code, out, _ = daemon.verb("test", "unsent", "--type", "free")
    assert code == 1
    assert "nothing was sent: secret_unreadable: file " in out


def test_a_test_that_cannot_be_says_why(asked: Any, tmp_path: Path) -> None:
    daemon, receiver = asked
    (tmp_path / "bad.json").write_text('{"n": "s3cret"}')
    mistakes: list[tuple[list[str | Path], int, str]] = [
        (["cmr"], 1, "did you mean `crm`?"),
        (["failing"], 1, "has no test_event: name an event with --type"),
        (
            ["failing", "--type", "fre"],
            1,
            'unknown_type at /type: the catalogue has no such event type; did you mean "',
        ),
        (["crm", "--type", "user.new", "--data", tmp_path / "bad.json"], 1, "schema_invalid at /data/n"),
        (["crm", "--type", "user.new", "--tenant", "other"], 1, "data is required"),
        (["crm", "--type", "free", "--tenant", "other"], 1, "tenant is not that of webhook 'crm'"),
        (["crm", "--data", "{}"], 2, "go with --type"),
        (["crm", "--type", "free", "--data", "{"], 2, "--data"),
        (["../status"], 1, "there is no webhook `"),
    ]
    for arguments, code, word in mistakes:
        got, out, err = daemon.verb("test", *arguments)
        assert (got, out) == (code, ""), arguments
        assert word in err
        assert "s3cret" not in err
    assert receiver.taken == []


def test_what_runs_is_listed_and_shown_without_its_secrets(asked: Any) -> None:
    daemon, _ = asked
    code, out, _ = daemon.verb("list")
    assert code == 0
    assert out.splitlines()[0].split() == ["WEBHOOK", "STATE", "TENANT", "MANAGED", "URL", "EVENTS", "NAME"]
    assert "crm      paused  acme" in out
    assert "user.*, free (off)" in out
    _, listed, _ = daemon.verb("list", "--output", "json")
    assert [each["id"] for each in json.loads(listed)] == ["crm", "failing", "gone", "own", "unsent"]
    code, out, _ = daemon.verb("show", "crm")
    assert code == 0
    assert '{"bearer": "***"}' in out
    assert '"X-Team": "crm"' in out
    _, shown, _ = daemon.verb("show", "crm", "--output", "json")
    assert json.loads(shown)["filter"] == {"data.vip": True}
    for text in (out, shown, listed):
        assert "s3cret" not in text
        assert "inurl" not in text
    code, out, err = daemon.verb("show", "crn")
    assert (code, out) == (1, "")
    assert "did you mean `crm`?" in err


def test_status_is_one_screen_and_an_exit_code(asked: Any) -> None:
    daemon, _ = asked
    code, out, _ = daemon.verb("status")
    assert code == 0
    assert ": healthy" in out
    daemon.send({"type": "free", "id": "f1"})
    daemon.wait_line("delivery.dead", webhook="failing")
    daemon.wait_line("webhook.suspended", webhook="gone")
    code, out, _ = daemon.verb("status")
    assert code == 1
    assert "needs a person" in out
    assert "1 webhook is suspended: gone\n  once it is mended: `hookd resume gone`\n" in out
    rows = [line.split() for line in out[out.index("WEBHOOK  ") :].splitlines()]
    assert rows[0][:2] == ["WEBHOOK", "STATE"]
    assert rows[1][:2] == ["gone", "suspended"]
    code, out, _ = daemon.verb("status", "gone", "--output", "json")
    assert (code, json.loads(out)["suspended_cause"]) == (1, "gone")
    assert daemon.verb("status", "failing")[0] == 0
    code, _, err = daemon.verb("status", "goen")
    assert code == 1
    assert "did you mean `gone`?" in err


def test_attempts_are_the_request_log(asked: Any) -> None:
    daemon, _ = asked
    daemon.send({"type": "free", "id": "f1"})
    daemon.wait_line("delivery.dead", webhook="failing")
    daemon.wait_line("webhook.suspended", webhook="gone")
    code, out, _ = daemon.verb("attempts", "--type", "free")  # `own` is told of what happened, sooner or later
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["STARTED", "WEBHOOK", "EVENT_TYPE", "EVENT"]
    assert len(lines) == 3
    code, out, _ = daemon.verb("attempts", "failing", "--full")
    assert code == 0
    assert '"type": "free"' in out
    assert "\n500\n" in out
    code, out, _ = daemon.verb("attempts", "failing", "--output", "json")
    (row,) = json.loads(out)
    assert (row["event_id"], row["status"], row["response"]["body"]) == ("f1", 500, "ok\n")
    assert daemon.verb("attempts", "crm")[1] == "no attempts\n"
    for narrowed in (
        ["--tenant", "x"],
        ["--type", "x"],
        ["--event-id", "x"],
        ["--since", "2999-01-01"],
        ["--until", "1d"],
    ):
        assert daemon.verb("attempts", *narrowed)[:2] == (0, "no attempts\n"), narrowed
    assert len(json.loads(daemon.verb("attempts", "--event-id", "f1", "--since", "1h", "--output", "json")[1])) == 2
    code, _, err = daemon.verb("attempts", "flailing")
    assert code == 1
    assert "did you mean `failing`?" in err
    assert daemon.verb("attempts", "--full")[0] == 2


def test_redrive_is_of_what_was_named_and_once(asked: Any) -> None:
    daemon, receiver = asked
    daemon.send({"type": "free", "id": "f1"})
    dead = daemon.wait_line("delivery.dead", webhook="failing")
    code, out, _ = daemon.verb("redrive", "failing", "--tenant", "nobody")
    assert (code, out) == (0, "there is no such dead delivery\n")
    assert daemon.verb("redrive", "--delivery", "dlv_none")[0] == 1
    assert daemon.verb("redrive", "nowhere")[0] == 1
    assert daemon.verb("redrive", "failing", "--all")[0] == 2
    mark = len(daemon.lines)
    code, out, _ = daemon.verb("redrive", "failing")  # it dies again at once, and is not redriven for ever
    assert (code, out) == (0, "1 dead delivery is due again\n")
    again = daemon.wait_line("delivery.dead", since=mark, webhook="failing")
    assert again["delivery_id"] == dead["delivery_id"]
    mark = len(daemon.lines)
    code, out, _ = daemon.verb("redrive", "--all", "--output", "json")
    assert (code, json.loads(out)) == (0, {"redriven": 1})
    daemon.wait_line("delivery.dead", since=mark, webhook="failing")
    assert len([taken for taken in receiver.taken if taken.path == "/500"]) == 3


def test_reload_says_what_is_wrong_and_what_runs(asked: Any) -> None:
    daemon, _ = asked
    good = daemon.config.read_text()
    assert daemon.verb("reload")[1].startswith("in force already: ")
    daemon.config.write_text(good.replace("    name:", "    nmae:") + "}\n")
    code, out, err = daemon.verb("reload")
    assert (code, out) == (78, "")
    assert f"{daemon.config}:" in err
    assert "keeps running" in err
    # The line and its caret, as `check` shows them.
    assert re.search(r"\n +[0-9]+ \| .*\}\n +\| +\^", err)
    shown = err.partition("`hookd explain ")[0]
    assert shown
    assert hookd("check", "--config", daemon.config)[2].startswith(shown)
    # The daemon is still found by its config, although that is no YAML any more.
    code, out, err = hookd("status", "--config", daemon.config)
    assert (code, err) == (1, "")
    assert f"  {daemon.config}:" in out
    daemon.config.write_text("\0junk")
    code, _, err = hookd("status", "--config", daemon.config)
    assert code == 78
    assert "name the socket with --control" in err
    daemon.config.write_text(good + "  new:\n    url: http://example.com/\n    events: [free]\n")
    code, out, _ = daemon.verb("reload", "--output", "json")
    reloaded = json.loads(out)
    assert (code, reloaded["problems"]) == (0, [])
    assert '"new"' in daemon.verb("list", "--output", "json")[1]


class Follower:
    """A `hookd attempts --follow` and its lines."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([*HOOKD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.decode())
                self._news.notify_all()

    def wait(self, count: int) -> list[str]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.lines) >= count, PATIENCE_S), self.lines
            return list(self.lines)

    def interrupt(self) -> tuple[int, bytes]:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(10)
        self._thread.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        err = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, err


def test_what_is_followed_goes_on_after_a_restart(daemon_of: Callable[[str], Daemon], receiver: Receiver) -> None:
    daemon = daemon_of(
        f"webhooks:\n  one:\n    url: {receiver.url}\n    allow_networks: [127.0.0.0/8]\n    events: ['*']\n"
    ).start()
    daemon.send({"type": "x", "id": "e0"})
    daemon.wait_line("delivery.attempted", event_id="e0")
    people = Follower("attempts", "--follow", "--control", daemon.control)
    programs = Follower("attempts", "one", "--follow", "--output", "json", "--control", daemon.control)
    people.wait(2)
    programs.wait(1)
    daemon.send({"type": "x", "id": "e1"})
    people.wait(3)
    assert daemon.stop() == 0
    daemon.start()
    daemon.send({"type": "x", "id": "e2"})
    assert [line.split()[3] for line in people.wait(4)] == ["EVENT", "e0", "e1", "e2"]
    rows = [json.loads(line) for line in programs.wait(3)]
    assert [row["event_id"] for row in rows] == ["e0", "e1", "e2"]
    assert all(row["response"]["status"] == 200 for row in rows)
    for follower in (people, programs):
        code, err = follower.interrupt()
        assert code == 130
        assert b"Traceback" not in err


# --------------------------------------------------------------------------- send


def test_send_says_what_became_of_it(asked: Any, tmp_path: Path) -> None:
    daemon, _ = asked
    to = ("--socket", daemon.socket)
    code, out, err = hookd("send", "--type", "free", "--id", "s1", *to)
    assert (code, out, err) == (0, "accepted s1 (3 deliveries)\n", "")
    assert hookd("send", "--type", "free", "--id", "s1", *to)[:2] == (0, "duplicate s1\n")
    code, out, err = hookd("send", "-", *to, stdin=b'{"type":"free"}\n\n{"type":"fere"}\n{"type":"free","type":"free"}')
    assert code == 1
    assert out == "1 accepted (3 deliveries), 0 duplicates, 2 refused\n"
    assert err.splitlines()[0].startswith("event 2: refused: unknown_type at /type: ")
    (tmp_path / "event.json").write_text(json.dumps({"type": "free", "data": {"ü": 1}}, indent=2))
    code, out, _ = hookd("send", tmp_path / "event.json", "--output", "json", *to)
    assert (code, json.loads(out)["status"]) == (0, "accepted")
    code, out, err = hookd("send", "-", *to)
    assert (code, out, err) == (0, "", "no events in standard input\n")
    code, _, err = hookd("send", "--type", "free", "--socket", daemon.control)
    assert code == 69
    assert "no event socket" in err
    assert hookd("send", tmp_path / "event.json", "--id", "x", *to)[0] == 2
    assert hookd("send", tmp_path, *to)[0] == 2


def test_send_waits_for_a_daemon_that_restarts(daemon_of: Callable[[str], Daemon], receiver: Receiver) -> None:
    daemon = daemon_of(
        f"webhooks:\n  one:\n    url: {receiver.url}\n    allow_networks: [127.0.0.0/8]\n    events: ['*']\n"
    ).start()
    with subprocess.Popen(
        [*HOOKD, "send", "-", "--socket", daemon.socket, "--output", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(b'{"type":"x","data":0}\n')
        sender.stdin.flush()
        assert json.loads(sender.stdout.readline())["status"] == "accepted"
        daemon.kill()
        sender.stdin.write(b"".join(b'{"type":"x","data":%d}\n' % n for n in range(1, 2_000)))
        sender.stdin.flush()
        daemon.start()
        replies = [json.loads(sender.stdout.readline()) for _ in range(1, 2_000)]
        sender.stdin.close()
        assert sender.wait(PATIENCE_S) == 0
    assert {reply["status"] for reply in replies} <= {"accepted", "duplicate"}
    # The first one may come twice: its attempt was perhaps not recorded when the daemon was killed.
    taken = receiver.wait(2_000)
    while (arrived := {each.json()["data"] for each in taken}) != set(range(2_000)):
        assert arrived < set(range(2_000))
        taken = receiver.wait(len(taken) + 1)


def test_progress_and_colour_are_for_terminals(asked: Any) -> None:
    daemon, _ = asked

    def on_terminal(*arguments: str, **environ: str) -> str:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*HOOKD, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environ}
        ) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # the terminal is closed
                    break
            process.wait(PATIENCE_S)
        os.close(ours)
        return shown.decode()

    status = on_terminal("status", "--control", daemon.control, TERM="xterm-256color", NO_COLOR="")
    assert "\x1b[32mhealthy" in status
    assert "\x1b[3" not in on_terminal("status", "--control", daemon.control, TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b" not in daemon.verb("status")[1]


def test_a_long_input_shows_its_progress_on_a_terminal(asked: Any) -> None:
    daemon, _ = asked
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*HOOKD, "send", "-", "--socket", daemon.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs
    ) as sender:
        os.close(theirs)
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write(b'{"type":"free"}\n{"type":"free"}\n')
        sender.stdin.flush()
        shown = b""
        while b"2 answered, 0 refused, " not in shown:
            shown += os.read(ours, 65536)
        sender.stdin.close()
        assert sender.stdout.read().decode().endswith("2 accepted (6 deliveries), 0 duplicates, 0 refused\n")
        assert sender.wait(PATIENCE_S) == 0
    os.close(ours)


# --------------------------------------------------------------------------- no daemon, and none that may be asked


def test_what_is_no_control_socket_is_told(tmp_path: Path, asked: Any) -> None:
    del asked
    (tmp_path / "file").touch()
    for path, word in [
        (tmp_path / "file", "is not a socket"),
        (tmp_path, "is not a socket"),
        (tmp_path / "none", "there is no socket"),
        (tmp_path / ("x" * 200), "there is no socket"),
    ]:
        code, out, err = hookd("status", "--control", path)
        assert (code, out) == (69, "")
        assert word in err


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_a_user_who_may_not_ask_is_told(asked: Any, tmp_path: Path) -> None:
    daemon, _ = asked
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    script = (
        "import os, sys; from hookd.cli.reaching import explain_unreachable; os.setgid(65534); os.setuid(65534); "
        "wrong = explain_unreachable(sys.argv[1], 'control socket'); print(wrong); sys.exit(wrong.code)"
    )
    done = subprocess.run([sys.executable, "-c", script, daemon.control], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (77, b"")
    assert done.stdout.decode().strip() == f"you may not use the control socket {daemon.control}"
