"""A `test_event` that `hookd test` would refuse is told by `hookd check`, at the value, in the words of the refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.checking.testevents import find_refused
from hookd.config.load import Rejected, load_again
from hookd.control.trial import build_test, write_test_event
from hookd.core.model import Refusal
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = """\
{"type": "object", "required": ["id"], "additionalProperties": false,
 "properties": {"id": {"type": "integer"}, "tags": {"items": {"maxLength": 3}}, "a/b": {"type": "null"}}}
"""
TYPES = """\
event_types:
  user.updated: {schema: user.json, require: [subject]}
  user.kept: {schema: user.json, require: [id, tenant]}
  user.free: {}
profiles:
  tested:
    test_event: {type: user.updated, subject: u, data: {id: x}}
"""


def told(top: Path, webhooks: str) -> list[str]:
    """Load such webhooks, and give what is told of their test events: each as `hookd test` says it."""
    loaded = load_again(
        write_tree(top, main=f"version: 1\n{TYPES}webhooks:\n{webhooks}", **{"user.json": SCHEMA}), None
    )
    assert not isinstance(loaded, Rejected)
    found = find_refused(loaded.config, loaded.snapshot)
    assert {(it.code, it.severity) for it in found} <= {("refused_test_event", "warning")}
    said: set[str] = set()
    for webhook in loaded.config.webhooks.values():
        if webhook.test_event is not None:
            written = write_test_event(webhook.test_event, "4711")
            refusal = build_test(loaded.config, webhook, written, now=0, event_id="4711")
            if isinstance(refusal, Refusal):
                said.add(f"{refusal.code} at {refusal.path}: {refusal.told}")
    assert said == {it.message.partition("this event: ")[2] for it in found}
    return [f"{it.place.line}:{it.place.column} {it.message.partition('this event: ')[2]}" for it in found]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("{type: user.updated, subject: u, data: {id: 1, tags: [abc]}}", []),
        ("{type: user.free}", []),
        (
            "{type: user.updated, subject: u, data: {id: one}}",
            ["10:114 schema_invalid at /data/id: must be an integer"],
        ),
        (
            "{type: user.updated, subject: u, data: {id: 1, tags: [abc, abcd]}}",
            ["10:129 schema_invalid at /data/tags/1: must have at most 3 characters"],
        ),
        (
            "{type: user.updated, subject: u, data: {id: 1, a/b: 5}}",
            ["10:122 schema_invalid at /data/a~1b: must be null"],
        ),
        (
            "{type: user.updated, subject: u, data: {tags: []}}",
            ["10:109 schema_invalid at /data/id: is required"],
        ),
        (
            "{type: user.updated, subject: u, data: {id: 1, new: 1}}",
            ["10:109 schema_invalid at /data: has the property `new`, which the schema does not allow"],
        ),
        ("{type: user.updated, subject: u}", ["10:70 schema_invalid at /data: data is required"]),
        (
            "{type: user.updated, data: {id: 1}}",
            ["10:70 attribute_required at /subject: this event type requires subject"],
        ),
        (
            "{type: user.updatd}",
            ['10:77 unknown_type at /type: the catalogue has no such event type; did you mean "user.updated"?'],
        ),
        (
            "{type: user.kept, data: {id: 1}}",
            ["10:70 attribute_required at /tenant: this event type requires tenant"],
        ),
        ("{type: user.kept, data: {id: 1}}, tenant: acme", []),
        ("{type: user.kept, data: {id: 1}, tenant: acme}, tenant: '*'", []),
        ("{type: hookd.webhook.suspended, data: {id: x}}", []),
    ],
)
def test_it_is_told_where_it_stands(tmp_path: Path, keys: str, expected: list[str]) -> None:
    assert (
        told(tmp_path, f"  a: {{url: 'https://crm.example.com/', events: [user.*], test_event: {keys}}}\n") == expected
    )


def test_an_event_of_a_profile_is_told_once_where_it_is_written(tmp_path: Path) -> None:
    two = "".join(f"  {name}: {{url: 'https://a.example/', events: [], profile: tested}}\n" for name in "ab")
    assert told(tmp_path, two) == ["8:61 schema_invalid at /data/id: must be an integer"]


def test_what_a_webhook_lays_over_it_is_told_in_the_webhook(tmp_path: Path) -> None:
    webhook = """\
  a: {url: 'https://a.example/', events: [], profile: tested, test_event: {data: {id: 1, tags: [long]}}}
  b: {url: 'https://a.example/', events: [], profile: tested, test_event: {data: {id: 1}}}
"""
    assert told(tmp_path, webhook) == ["10:97 schema_invalid at /data/tags/0: must have at most 3 characters"]
