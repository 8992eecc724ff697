"""The catalogue judges an event: is its type known, does it carry what it must, does its data fit the schema.

Rules of this module:

1. An empty catalogue judges nothing; one with entries refuses every other type, so that a mistyped type is an error
   at its producer and not an event that no webhook ever gets.
2. The first fault is told, in the order type, attributes, data: with a wrong type the rest means nothing.
3. A message names rules, paths and names of the catalogue, never a value of the event.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hookd.core.config import Fault
from hookd.core.model import Refusal, RefusalCode
from hookd.core.paths import ABSENT, ATTRIBUTES
from hookd.core.strictjson import parse_json

if TYPE_CHECKING:
    from hookd.core.config import Config, Validator
    from hookd.core.model import Event
    from hookd.core.wire import Incoming


#: A name that is this many letters longer or shorter is no slip of the fingers.
_SLIPS: Final = 3
#: Names that are compared with an unknown one, so that a large catalogue does not make refusals slow.
_MOST_ALIKE: Final = 100


def judge(config: Config, incoming: Incoming) -> Refusal | None:
    """Give why the catalogue of `config` refuses this event, or None if it does not."""
    if not config.event_types:
        return None
    event = incoming.event
    entry = config.event_types.get(event.type)
    if entry is None:
        length = len(event.type)
        alike = tuple(name for name in config.event_types if abs(len(name) - length) <= _SLIPS)[:_MOST_ALIKE]
        return _refuse(event, RefusalCode.UNKNOWN_TYPE, _unknown(event.type, alike), "/type")
    for name in entry.require:
        if not _carries(incoming, name):
            return _refuse(event, RefusalCode.ATTRIBUTE_REQUIRED, f"this event type requires {name}", f"/{name}")
    fault = None if entry.validator is None else _fault_of_data(entry.validator, incoming.data)
    if fault is None:
        return None
    return _refuse(event, RefusalCode.SCHEMA_INVALID, fault.message, f"/data{fault.path}", fault.named)


def _fault_of_data(validator: Validator, data: object) -> Fault | None:
    return Fault(path="", message="data is required") if data is ABSENT else validator.fault(data)


@lru_cache(maxsize=256)  # a producer makes its mistake in every event, and finding what is near takes up to 1 ms
def _unknown(event_type: str, names: tuple[str, ...]) -> str:
    close = get_close_matches(event_type, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f"the catalogue has no such event type{hint}"


def _carries(incoming: Incoming, name: str) -> bool:
    """Tell whether the producer wrote this attribute; an id that was made for it does not count."""
    event = incoming.event
    if name == "id":
        return not incoming.made_id
    if name in ATTRIBUTES and name not in ("extensions", "secrets"):
        return getattr(event, name) is not None
    further = None if event.extensions is None else parse_json(event.extensions)
    return isinstance(further, dict) and name in further


def _refuse(event: Event, code: RefusalCode, message: str, path: str, named: str = "") -> Refusal:
    return Refusal(code=code, message=message, path=path, id=event.id, type=event.type, named=named)
