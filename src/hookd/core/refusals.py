"""What the codes of refused events mean, for people: why an event was not taken, and what a sender does then.

Rules of this module:

1. Every `RefusalCode` has an entry. What it says of sending again is what `Refusal.retry` tells programs.
2. It describes what `wire`, `catalogue` and the inlets decide, and decides nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hookd.core.causes import Meaning
from hookd.core.model import RETRYABLE, RefusalCode

if TYPE_CHECKING:
    from collections.abc import Mapping

_AGAIN: Final = "Nothing is wrong with the event: send it again, under the same id."
_NEVER: Final = "Nothing was stored. The same line will be refused again:"


def _of(code: RefusalCode, means: str, more: str) -> tuple[RefusalCode, Meaning]:
    again = code in RETRYABLE
    return code, Meaning(kind="later" if again else "no", means=means, more=f"{_AGAIN if again else _NEVER} {more}")


#: `kind`: `no`, or `later` for what may succeed when it is sent again.
REFUSALS: Final[Mapping[RefusalCode, Meaning]] = MappingProxyType(
    dict(
        (
            _of(
                RefusalCode.MALFORMED_JSON,
                "It is no JSON, or none that all readers read alike (RFC 8259, I-JSON).",
                "`message` says what and where. Often a line break inside an event, which must stand on one line; a key"
                " twice; NaN; a text that is not UTF-8.",
            ),
            _of(
                RefusalCode.INVALID_EVENT,
                "It is JSON, but no event: `type` is missing, an attribute is unknown or of the wrong kind.",
                "`path` names the attribute. Attributes are those of CloudEvents; what is the producer's own belongs"
                " into `data`. With `specversion`, others are extensions.",
            ),
            _of(
                RefusalCode.UNKNOWN_TYPE,
                "The catalogue (`event_types` of the config) has no such event type.",
                "mend `type` where it is sent, or add it to `event_types`. Without any entry there, all types are"
                " taken.",
            ),
            _of(
                RefusalCode.SCHEMA_INVALID,
                "`data` does not fit the JSON Schema of its event type.",
                "`path` says where, `message` which rule. Mend the producer, or the schema that the catalogue names for"
                " the type. `hookd route EVENT` tries an event and sends nothing.",
            ),
            _of(
                RefusalCode.ATTRIBUTE_REQUIRED,
                "An attribute is missing that the catalogue requires of this event type (`require`).",
                "`path` names it. Often the tenant, without which an event would go to webhooks of no tenant.",
            ),
            _of(
                RefusalCode.ID_CONFLICT,
                "An event with this tenant, source and id was accepted before, with other content.",
                "what was accepted first stays and is delivered. A producer must not use an id twice; `id` may be left"
                " out, then one is made.",
            ),
            _of(
                RefusalCode.TOO_LARGE,
                "It is larger than an event may be (`daemon.limits.event_bytes`), or the body of a request than many.",
                "`message` says how many bytes may be. Send what the event is about by reference, split the batch, or"
                " raise the limit, which wants a restart.",
            ),
            _of(
                RefusalCode.TOO_DEEP,
                "It is nested deeper than 64 levels.",
                "flatten it, or carry the deep part as a text.",
            ),
            _of(
                RefusalCode.NOT_ALLOWED,
                "This sender may not send it: the user is not in `allow`, the token is not known, or it is bound to"
                " another tenant.",
                "`message` says which. Who may send stands at the inlet, under `allow` or `tokens`; a `tenant` there is"
                " given to the event, and another one is not taken.",
            ),
            _of(
                RefusalCode.OVERLOADED,
                "Too many events wait to be stored, or too many connections are open.",
                "Wait a moment first (over HTTP, Retry-After says how long). `hookd send` does that. If it lasts: fewer"
                " at a time, or a faster disk.",
            ),
            _of(
                RefusalCode.DISK_LOW,
                "The disk of the state directory has less room than `daemon.limits.disk_free`.",
                "Deliveries go on meanwhile. Make room, or have less kept: `daemon.retention`. Once there is room,"
                " it is taken.",
            ),
            _of(
                RefusalCode.STORE_FAILED,
                "The store could not say that the event is on disk; it may be, or not.",
                "If it is there, the answer is `duplicate`, and it is delivered once. The daemon ends itself and is"
                " started anew; when that repeats, its log (`store.failed`) says what is wrong with the disk.",
            ),
        )
    )
)
