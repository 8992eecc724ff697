"""Comparing two configs of real files, key by key, and what the differences do to a backlog."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hookd.config.comparing.compare import (
    Change,
    Described,
    Difference,
    compare,
    compare_values,
    describe_config,
    gather,
    show,
)
from hookd.config.comparing.effects import Standing, tell_effects
from hookd.core.definition import keyed_mask
from tests.config.trees import load_tree

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config

CANARY = "c4n4ry-s3cret"
HEAD = "version: 1\ndaemon: {state_dir: s}\n"
CRM = "url: https://a.example/x\n    events: [user.*]"


def load(top: Path, text: str, **files: str) -> Config:
    top.mkdir(exist_ok=True)
    return load_tree(top, main=text, **files)


def webhooks(*entries: str) -> str:
    return (
        HEAD
        + "webhooks:\n"
        + "".join(f"  {name}:\n    {keys}\n" for name, keys in (each.split("|") for each in entries))
    )


def differ(tmp_path: Path, old: str, new: str, **files: str) -> Difference:
    """Load both in the same place, one after the other, and compare them."""
    mask = keyed_mask(b"key")
    before = describe_config(load(tmp_path / "t", old, **files), mask)
    after = describe_config(load(tmp_path / "t", new, **files), mask)
    return compare(before, after)


def changes(difference: Difference, webhook: str = "crm") -> list[str]:
    return [str(change) for change in difference.changed.get(webhook, ())]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # written in another way: no difference
        ("timeout: 60s", "timeout: 1m", []),
        ("timeout: 15s", "# nothing", []),
        ("headers: {A: '1', B: '2'}", "headers: {B: '2', A: '1'}", []),
        ("x-note: a", "x-note: b", []),
        # one key, one line
        ("timeout: 10s", "timeout: 20s", ["timeout: 10s → 20s"]),
        ("tenant: a", "tenant: b", ["tenant: a → b"]),
        ("# none", "tenant: b", ["tenant: - → b"]),
        ("retry: {schedule: [1s]}", "retry: {schedule: [1s, 5m]}", ["retry.schedule: [1s] → [1s, 5m]"]),
        ("retry: {max_age: 1h}", "# none", ["retry.max_age: 1h → -"]),
        ("suspend_after: 1d", "suspend_after: null", ["suspend_after: 1d → never"]),
        ("suspend_after: never", "suspend_after: null", []),
        ("filter: {data.c: [NL]}", "filter: {data.c: NL}", ['filter["data.c"]: [NL] → NL']),
        ("filter: {data.c: 1}", "filter: {data.d: 1}", ['filter["data.c"]: 1 → -', 'filter["data.d"]: - → 1']),
        ("body: {template: {a: $(id)}}", "body: {template: {a: x}}", ["body.template.a: $(id) → x"]),
        ("headers: {X-A: '1'}", "headers: {X-A: {env: B}}", ["headers.X-A: 1 → {env: B}"]),
        ("auth: {bearer: {env: A}}", "auth: {bearer: {file: /a}}", ["auth.bearer: {env: A} → {file: /a}"]),
        (
            "tests: []",
            "tests: [{event: {type: a}, expect: ignored}]",
            ['tests: - → [{"event": {"type": "a"}, "expect": "ignored"}]'],
        ),
        # what is masked
        (f"secrets: {{t: {CANARY}1}}", f"secrets: {{t: {CANARY}2}}", ["secrets.t: *** → ***"]),
        (f"secrets: {{t: {CANARY}1}}", f"secrets: {{t: {CANARY}1}}", []),
        (f"headers: {{X-Key: {CANARY}1}}", f"headers: {{X-Key: {CANARY}2}}", ["headers.X-Key: *** → ***"]),
    ],
)
def test_keys(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    found = differ(tmp_path, webhooks(f"crm|{CRM}\n    {old}"), webhooks(f"crm|{CRM}\n    {new}"))
    assert changes(found) == expected
    assert found.empty == (not expected)
    assert CANARY not in repr(found)


def test_a_query_is_told_apart_and_never_shown(tmp_path: Path) -> None:
    found = differ(
        tmp_path,
        webhooks(f"crm|url: https://a.example/x?k={CANARY}1\n    events: [a]"),
        webhooks(f"crm|url: https://a.example/x?k={CANARY}2\n    events: [a]"),
    )
    assert changes(found) == ["url: https://a.example/x?*** → https://a.example/x?***"]
    assert CANARY not in repr(found)


def test_webhooks_come_go_and_move(tmp_path: Path) -> None:
    old = webhooks(f"stays|{CRM}", f"goes|{CRM}", f"old|{CRM}\n    timeout: 1s")
    new = webhooks(f"stays|{CRM}", f"comes|{CRM}", f"new|{CRM}\n    timeout: 2s") + "moved: [{from: old, to: new}]\n"
    found = differ(tmp_path, old, new)
    assert found == Difference(
        added=("comes",),
        removed=("goes",),
        moved={"old": "new"},
        changed={"new": (Change(path=("timeout",), old="1s", new="2s"),)},
    )


def test_a_move_that_was_done_is_told_no_more(tmp_path: Path) -> None:
    text = webhooks(f"new|{CRM}") + "moved: [{from: old, to: new}]\n"
    assert differ(tmp_path, text, text + "x-note: 1\n").empty


def test_a_profile_and_the_defaults_show_at_each_webhook_and_are_gathered(tmp_path: Path) -> None:
    below = "".join(f"  {name}: {{profile: p, url: https://{name}.example, events: [x]}}\n" for name in "ab")
    old = f"{HEAD}profiles: {{p: {{timeout: 1s}}}}\nwebhooks:\n{below}"
    new = f"{HEAD}profiles: {{p: {{timeout: 2s}}}}\nwebhooks:\n{below}"
    found = differ(tmp_path, old, new)
    assert list(found.changed) == ["a", "b"]
    assert gather(found.changed) == [(["a", "b"], (Change(path=("timeout",), old="1s", new="2s"),))]


def test_event_types_and_what_waits_for_a_restart(tmp_path: Path) -> None:
    old = """
        version: 1
        daemon: {state_dir: s, limits: {concurrency: 5}, log: {level: info}}
        event_types: {a: {}, b: {}, c: {schema: c.json}}
        """
    new = """
        version: 1
        daemon: {state_dir: s, limits: {concurrency: 6}, drain_timeout: 1m, log: {level: debug}}
        event_types: {b: {require: [tenant]}, c: {schema: c.json}, d: {}}
        """
    one = describe_config(load(tmp_path / "t", old, **{"c.json": "{}"}))
    other = describe_config(load(tmp_path / "t", new, **{"c.json": '{"type": "object"}'}))
    found = compare(one, other)
    assert (found.event_types_added, found.event_types_removed) == (("d",), ("a",))
    assert [str(change) for change in found.event_types["b"]] == ["require: - → [tenant]"]
    (schema,) = found.event_types["c"]
    assert schema.name == "schema"
    assert [str(change) for change in found.restart] == [
        "daemon.limits.concurrency: 5 → 6",
        "daemon.drain_timeout: 25s → 1m",
        "daemon.log.level: info → debug",
    ]


def test_a_literal_token_of_the_daemon_is_masked(tmp_path: Path) -> None:
    text = f"version: 1\ndaemon: {{inlets: [{{http: '127.0.0.1:1', tokens: [{CANARY}, {{env: T}}]}}]}}\n"
    described = describe_config(load(tmp_path / "t", text), keyed_mask(b"k"))
    assert CANARY not in json.dumps(described.daemon)
    assert '{"env": "T"}' in json.dumps(described.daemon)


def test_one_side_may_hold_only_what_differs(tmp_path: Path) -> None:
    config = describe_config(load(tmp_path / "t", webhooks(f"crm|{CRM}", f"b|{CRM}")))
    some: Described = replace(config, webhooks={})
    assert compare(some, config).empty


def test_whatever_is_shown_is_one_line() -> None:
    assert show("a\nb") == '"a\\nb"'
    assert show("") == '""'
    assert show(None) == "-"
    assert show([1, True]) == "[1, true]"
    assert show({"file": "/a"}) == "{file: /a}"
    assert len(show("x" * 1000)) < 300


def test_a_mapping_that_comes_is_one_value() -> None:
    assert compare_values({}, {"a": {"b": 1}}) == (Change(path=("a",), old=None, new={"b": 1}),)
    assert compare_values({"a": {"b": 1}}, {"a": {"b": True}}) == (Change(path=("a", "b"), old=1, new=True),)


# --------------------------------------------------------------------------- effects

STANDING = {
    "crm": Standing(pending=214),
    "old": Standing(pending=3),
    "held": Standing(pending=5, held=5, suspended=True),
    "idle": Standing(),
}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "url: https://a.example\n    events: [a]",
            "url: https://b.example\n    events: [a]",
            ["214 pending will go to the new URL, due now"],
        ),
        (
            "url: https://a.example\n    events: [a]",
            "url: https://b.example\n    events: [a]\n    headers: {A: b}\n    body: {template: x}\n    method: PUT",
            ["214 pending will go to the new URL, with the new headers, the new body and the new method, due now"],
        ),
        (f"{CRM}", f"{CRM}\n    method: PUT", ["214 pending will be sent with the new method"]),
        (f"{CRM}", f"{CRM}\n    active: false", ["214 pending will be held until it is active again"]),
        (
            f"{CRM}",
            f"{CRM}\n    paused: true\n    timeout: 1s",
            ["214 pending will be held until it is no longer paused"],
        ),
        (f"{CRM}\n    paused: true", f"{CRM}", ["214 pending, held until now, will be due"]),
        (f"{CRM}", f"{CRM}\n    tenant: a", ["those of them that are of another tenant will be held"]),
        (
            "url: https://a.example\n    events: [a, b]",
            "url: https://a.example\n    events: [a, {event: b, active: false}, 'c.*']",
            [
                "those of them that came by b alone will be held",
                "c.*: from the reload on; `hookd replay` gives it the events that are kept",
            ],
        ),
        (
            f"{CRM}",
            f"{CRM}\n    filter: {{data.a: 1}}",
            ["the 214 pending stay owed: the new filter is asked of new events only"],
        ),
        (
            f"{CRM}",
            f"{CRM}\n    retry: {{schedule: [1s]}}",
            ["214 pending will follow the new schedule after their next attempt"],
        ),
        (
            f"{CRM}",
            f"{CRM}\n    max_pending: 100",
            ["214 pending are more than max_pending: new deliveries will be dead at once, cause overflow"],
        ),
        (f"{CRM}", f"{CRM}\n    name: N\n    timeout: 1s", []),
    ],
)
def test_what_becomes_of_the_backlog(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    found = differ(tmp_path, webhooks(f"crm|{old}"), webhooks(f"crm|{new}"))
    assert [each.text for each in tell_effects(found, STANDING)] == expected
    assert {each.webhook for each in tell_effects(found, STANDING)} <= {"crm"}


def test_nothing_pending_has_no_effect(tmp_path: Path) -> None:
    found = differ(
        tmp_path,
        webhooks(f"idle|{CRM}", f"idle2|{CRM}"),
        webhooks(f"idle|{CRM}\n    url: https://b.example".replace("url: https://a.example/x\n    ", "")),
    )
    assert found.removed == ("idle2",)
    assert tell_effects(found, STANDING) == []


def test_what_goes_is_held_and_what_comes_back_is_due(tmp_path: Path) -> None:
    found = differ(
        tmp_path, webhooks(f"old|{CRM}", f"held|{CRM}"), webhooks(f"crm|{CRM}", f"held|{CRM}\n    headers: {{A: b}}")
    )
    assert [(each.webhook, each.text) for each in tell_effects(found, STANDING)] == [
        ("crm", "214 pending, held since it was gone from the files, will be due again"),
        ("held", "5 pending will be sent with the new headers, due now: its suspension is lifted"),
        ("old", "3 pending will be held: kept, not attempted, until it is in the files again"),
    ]


def test_a_move_takes_the_backlog_along_unless_there_is_one(tmp_path: Path) -> None:
    new = webhooks(f"new|{CRM}") + "moved: [{from: old, to: new}]\n"
    found = differ(tmp_path, webhooks(f"old|{CRM}"), new)
    assert [(each.webhook, each.text) for each in tell_effects(found, STANDING)] == [("old", "3 pending move to new")]
    taken = {**STANDING, "new": Standing(pending=2)}
    assert [each.text for each in tell_effects(found, taken)] == [
        "cannot move: new has 2 pending of its own; these 3 will be held"
    ]
    dead = {**STANDING, "new": Standing(dead=2)}  # who could be made due again
    assert [each.text for each in tell_effects(found, dead)] == [
        "cannot move: new has 0 pending and 2 dead of its own; these 3 will be held"
    ]
    # Of what the store does not know nothing moves: it has moved before.
    assert tell_effects(found, {"new": Standing(pending=3, dead=1)}) == []
