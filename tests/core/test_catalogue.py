"""What the catalogue says to an event."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from hookd.core.catalogue import judge
from hookd.core.config import Config, EventType, Fault, Revision
from hookd.core.model import Refusal, RefusalCode
from hookd.core.routing import build_index
from hookd.core.wire import Incoming, parse_event


@dataclass
class Positive:
    """A schema for `{"amount": a positive number}`."""

    def fault(self, value: object) -> Fault | None:
        if not isinstance(value, dict):
            return Fault(path="", message="must be an object")
        return None if value.get("amount", 0) > 0 else Fault(path="/amount", message="must be positive")


def _config(*types: EventType) -> Config:
    return Config(revision=Revision(hash="0" * 12), event_types={one.name: one for one in types}, index=build_index([]))


def _judge(config: Config, event: dict[str, Any]) -> Refusal | None:
    incoming = parse_event(json.dumps(event).encode(), limit=10_000, now=0, new_id=lambda: "made")
    assert isinstance(incoming, Incoming)
    return judge(config, incoming)


CATALOGUE = _config(
    EventType(name="user.updated", require=("tenant",)),
    EventType(name="order.paid", validator=Positive()),
    EventType(name="strict", require=("id", "data", "time", "region"), validator=Positive()),
)
STRICT = {"specversion": "1.0", "type": "strict", "id": "1", "source": "s"}


def test_an_empty_catalogue_refuses_nothing() -> None:
    assert _judge(_config(), {"type": "whatever"}) is None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "user.updated", "tenant": "acme"},
        {"type": "user.updated", "tenant": "acme", "data": "anything"},
        {"type": "order.paid", "data": {"amount": 1}},
        STRICT | {"time": "2024-01-31T12:00:00Z", "region": "eu", "data": {"amount": 1}},
    ],
)
def test_what_fits_is_taken(event: dict[str, Any]) -> None:
    assert _judge(CATALOGUE, event) is None


@pytest.mark.parametrize(
    ("event", "code", "path", "message"),
    [
        (
            {"type": "user.update"},
            RefusalCode.UNKNOWN_TYPE,
            "/type",
            'the catalogue has no such event type; did you mean "user.updated"?',
        ),
        ({"type": "zzzz"}, RefusalCode.UNKNOWN_TYPE, "/type", "the catalogue has no such event type"),
        ({"type": "user.updated"}, RefusalCode.ATTRIBUTE_REQUIRED, "/tenant", "this event type requires tenant"),
        ({"type": "strict"}, RefusalCode.ATTRIBUTE_REQUIRED, "/id", "this event type requires id"),
        (STRICT, RefusalCode.ATTRIBUTE_REQUIRED, "/data", "this event type requires data"),
        (
            STRICT | {"time": "2024-01-31T12:00:00Z", "data": {}},
            RefusalCode.ATTRIBUTE_REQUIRED,
            "/region",
            "this event type requires region",
        ),
        ({"type": "order.paid"}, RefusalCode.SCHEMA_INVALID, "/data", "data is required"),
        ({"type": "order.paid", "data": None}, RefusalCode.SCHEMA_INVALID, "/data", "must be an object"),
        ({"type": "order.paid", "data": {"amount": 0}}, RefusalCode.SCHEMA_INVALID, "/data/amount", "must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(event: dict[str, Any], code: RefusalCode, path: str, message: str) -> None:
    refusal = _judge(CATALOGUE, {"id": "e1"} | event if event["type"] != "strict" else event)
    assert refusal is not None
    assert (refusal.code, refusal.path, refusal.message) == (code, path, message)
    assert refusal.id == event.get("id", "made" if event["type"] == "strict" else "e1")
    assert refusal.type == event["type"]


def test_unknown_types_are_refused_quickly_by_a_large_catalogue() -> None:
    config = _config(*[EventType(name=f"{'segment.' * 20}{number:05d}") for number in range(10_000)])
    incoming = parse_event(b'{"type":"' + b"segment." * 20 + b'x"}', limit=10_000, now=0, new_id=lambda: "made")
    assert isinstance(incoming, Incoming)
    began = time.process_time()
    refusals = [judge(config, incoming) for _ in range(100)]
    assert all(refusals)
    assert time.process_time() - began < 1.0
