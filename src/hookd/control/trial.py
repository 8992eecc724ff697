"""The event that `hookd test` sends: judged as any event, under an id of its own.

Rules of this module:

1. It takes the road of a real event: strict JSON, the attributes' rules, the catalogue, the webhook's tenant. What
   a producer could not send, a test does not show as deliverable.
2. Its id is made new each time: the one that is written would be a duplicate the second time, or the id of the real
   event that somebody copied.
3. hookd's own types, which no producer may send, can be tested: they come in as hookd itself makes them.
4. `data` is what was written, byte for byte.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hookd.core.catalogue import judge
from hookd.core.model import Refusal
from hookd.core.routing import EVERY_TENANT, OWN, tenant_allows
from hookd.core.strictjson import parse_json
from hookd.core.wire import parse_any_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.core.config import Config, Webhook
    from hookd.core.model import Event


def write_test_event(written: Mapping[str, object], event_id: str) -> bytes:
    """Give a webhook's `test_event` as a producer would write it; one without an id gets `event_id`."""
    return json.dumps({"id": event_id, **written}).encode("ascii")


def build_test(config: Config, webhook: Webhook, written: bytes, *, now: int, event_id: str) -> Event | Refusal | str:
    """Give the event to send, or why it is none: as an inlet would say it, or as a sentence."""
    tree = parse_json(written)
    bound = (
        webhook.tenant if webhook.tenant != EVERY_TENANT and isinstance(tree, dict) and "tenant" not in tree else None
    )
    limit = config.daemon.limits.event_bytes
    incoming = parse_any_event(written, limit=limit, now=now, new_id=lambda: event_id, tenant=bound)
    if isinstance(incoming, Refusal):
        return incoming
    incoming = replace(incoming, event=replace(incoming.event, id=event_id), made_id=False)
    if not incoming.event.type.startswith(OWN):
        refusal = judge(config, incoming)
        if refusal is not None:
            return refusal
    if not tenant_allows(webhook, incoming.event.tenant):
        return f"the test event's tenant is not that of webhook {webhook.id!r}"
    return incoming.event
