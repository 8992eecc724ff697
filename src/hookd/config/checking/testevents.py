"""Warnings about a `test_event` that would be refused: `hookd test` sends nothing that a producer could not.

Rules of this module:

1. It takes the road that it takes when it is sent: attributes, catalogue, schema, in the same order, and the first
   fault is told in the words in which an event would be refused.
2. One event may serve many webhooks, by way of a profile. It is told once, where it is written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from hookd.config.comparing.origins import find_places
from hookd.config.problems import Problem
from hookd.core.catalogue import judge
from hookd.core.model import Refusal
from hookd.core.routing import OWN
from hookd.core.wire import parse_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, Webhook

_Path = tuple[str | int, ...]
#: An id is made at each test, and a type of hookd's own, which no producer may send, is let in.
_ID: Final = "test"
_STAND_IN: Final = "own"


def find_refused(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of each `test_event` that `hookd test` will refuse to send, at the value that is the reason."""
    refused: list[tuple[Webhook, _Path]] = []
    messages: list[str] = []
    for webhook in config.webhooks.values():
        event = webhook.test_event
        refusal = None if event is None else _judge(config, webhook, event)
        if refusal is not None:
            refused.append((webhook, ("test_event", *_steps(event, refusal.path or ""))))
            where = f" at {refusal.path}" if refusal.path else ""
            messages.append(f"`hookd test` will refuse this event: {refusal.code}{where}: {refusal.told}")
    found = (
        Problem(place, message, "refused_test_event", severity="warning")
        for place, message in zip(find_places(snapshot, refused), messages, strict=True)
    )
    return list(dict.fromkeys(found))


def _judge(config: Config, webhook: Webhook, event: Mapping[str, object]) -> Refusal | None:
    """Give why an event is refused, as a test of this webhook."""
    kind = event.get("type")
    own = isinstance(kind, str) and kind.startswith(OWN)
    written = json.dumps({"id": _ID, **event, **({"type": _STAND_IN} if own else {})}).encode("ascii")
    bound = webhook.tenant if webhook.tenant != "*" and "tenant" not in event else None
    limit = config.daemon.limits.event_bytes
    incoming = parse_event(written, limit=limit, now=0, new_id=lambda: _ID, tenant=bound)
    if isinstance(incoming, Refusal):
        return incoming
    return None if own else judge(config, replace(incoming, made_id=False))


def _steps(event: object, pointer: str) -> _Path:
    """Give the steps of a JSON Pointer (RFC 6901) as far as they lead to something: the last may be what is missing."""
    steps: list[str | int] = []
    value = event
    for written in pointer.split("/")[1:]:
        step = written.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            steps.append(step)
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            steps.append(int(step))
            value = value[int(step)]
        else:
            break
    return tuple(steps)
