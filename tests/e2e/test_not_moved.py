"""`moved:` onto a webhook that has a backlog of its own: who is told, what stays where it was, and how it goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.house import Daemon, Receiver

LOOPBACK = "defaults: {allow_networks: [127.0.0.0/8]}\n"
REASON = (
    "busy has a backlog of its own: 3 pending, 0 dead; what is pending for old is held until `hookd reload` finds busy"
    " without one, or `to:` names another webhook"
)


def asked(daemon: Daemon, *words: str) -> Any:
    return json.loads(daemon.verb(*words, "--output", "json")[1])


def stands(daemon: Daemon) -> dict[str, tuple[str, int]]:
    return {row["webhook"]: (row["state"], row["pending"]) for row in asked(daemon, "status")["backlog"]}


def test_a_move_that_is_refused_is_told_once_and_done_when_it_can_be(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    both = (
        f"  old: {{url: '{receiver.url}', events: [a], paused: true}}\n"
        f"  busy: {{url: '{receiver.url}busy', events: [b], paused: true}}\n"
    )
    daemon = daemon_of(f"{LOOPBACK}webhooks:\n{both}").start()
    replies = daemon.send(*[{"type": "a"}] * 5, *[{"type": "b"}] * 3)
    assert daemon.verb("suspend", "old")[0] == 0
    text = daemon.config.read_text().replace(both, both.partition("\n")[2]) + "moved:\n- {from: old, to: busy}\n"
    line = len(text.splitlines())
    daemon.config.write_text(text)
    reloaded = daemon.wait_line("config.reloaded")
    assert (reloaded["not_moved"], reloaded["removed_webhooks"]) == (["old"], ["old"])
    told = daemon.wait_line("webhook.not_moved")
    place = (str(daemon.config), line, 3)
    assert (told["webhook"], told["to"], told["reason"]) == ("old", "busy", REASON)
    assert (told["file"], told["line"], told["column"]) == place
    # What is of the one stays with it: its backlog, and that it is suspended.
    assert stands(daemon) == {"old": ("missing", 5), "busy": ("paused", 3)}

    shown = f"not moved: old to busy ({daemon.config}:{line}:3): {REASON}\n"
    code, out, err = daemon.verb("reload")
    assert (code, err) == (0, "")
    assert out.endswith(shown)
    entry = {"from": "old", "to": "busy", "file": place[0], "line": line, "column": 3, "reason": REASON}
    assert asked(daemon, "reload")["not_moved"] == asked(daemon, "status")["not_moved"] == [entry]
    assert shown in daemon.verb("status")[1]
    assert asked(daemon, "diff")["effects"] == [
        {"webhook": "old", "effect": "cannot move: busy has 3 pending of its own; these 5 will be held"}
    ]
    # Told once, however often it is tried; a new run tells it anew.
    daemon.config.write_text(daemon.config.read_text() + "# noted\n")
    daemon.wait_line("config.reloaded", since=daemon.lines.index(reloaded) + 1)
    assert [each["msg"] for each in daemon.lines].count("webhook.not_moved") == 1
    assert daemon.stop() == 0
    daemon.start()
    assert [each["msg"] for each in daemon.lines].count("webhook.not_moved") == 2
    assert asked(daemon, "status")["not_moved"] == [entry]

    text = daemon.config.read_text().replace("paused: true", "paused: false")
    daemon.config.write_text(text.replace("events: [b]", "events: [a, b]"))  # it takes what moves to it
    for reply in replies[5:]:
        daemon.wait_line("delivery.attempted", event_id=reply["id"], outcome="delivered")
    # What stood in the way is gone. The other URL lifts the suspension that came along, as any change of it does.
    code, out, _ = daemon.verb("reload")
    assert (code, "not moved" in out) == (0, False)
    assert {taken.path for taken in receiver.wait(8)} == {"/busy"}
    assert asked(daemon, "status")["not_moved"] == []
    assert set(stands(daemon)) == {"busy"}
    assert not asked(daemon, "diff")["changes"]
    assert daemon.stop() == 0
