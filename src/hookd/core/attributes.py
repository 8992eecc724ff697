"""What the attributes of an event may be: one rule for each name, said before anything is stored.

Rules of this module:

1. A mistyped attribute is refused, not dropped: a lost `tennant` would hand an event to the wrong webhooks. Only a
   CloudEvent (it has `specversion`) may carry further attributes, its extensions, named by the letters that
   CloudEvents 1.0 allows (`a-z0-9`) and holding a string, an integer of 32 bits or a boolean.
2. No text is converted: a tenant written as a number is told to quote it, because 007 and 7 are two tenants.
3. In a CloudEvent an attribute that is null is unset (CloudEvents JSON format 1.0, section 2.1); in any other event it
   is refused, since it is mostly a variable that was forgotten.
4. A message names attributes and rules, never a value. Names are shown only if they are short and printable.
5. `hookd.` begins the types of the events that hookd makes itself; a producer must not be able to forge them.
"""

from __future__ import annotations

import re
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from hookd.core.model import Refusal, RefusalCode
from hookd.core.routing import OWN
from hookd.core.tracing import is_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The only CloudEvents version there is.
SPECVERSION: Final = "1.0"

#: How many random bytes the id of an event gets, beside its time: two never meet.
ID_BYTES: Final = 10
#: Extensions of one event: more is a payload in the wrong place.
MAX_EXTENSIONS: Final = 64

_KEY_LENGTH: Final = 256  # what identifies or groups: it goes into an index
_TEXT_LENGTH: Final = 1024
_NAME_LENGTH: Final = 64
_INT32: Final = range(-(2**31), 2**31)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXTENSION_NAME: Final = re.compile(r"[a-z0-9]{1,64}")
_JSON_TYPE: Final = re.compile(r"application/([a-z0-9!#$&^_.-]+\+)?json", re.IGNORECASE)
# RFC 3339 section 5.6: the offset is not optional. A leap second is part of the grammar.
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,12})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


class Envelope(Protocol):
    """Decoded attributes of a generic event; None: it has none of that name."""

    id: str | None
    type: str | None
    source: str | None
    subject: str | None
    time: str | None
    tenant: str | None
    partitionkey: str | None
    traceparent: str | None


def build_id(now: int, random: bytes) -> str:
    """Give an id for an event without one. Its time comes first, so that the store's index grows at one end.

    `now` is in milliseconds since the epoch, `random` some bytes that nobody else has drawn.
    """
    return f"evt_{now:012x}{random.hex()}"


def find_fault(tree: Mapping[str, object]) -> Refusal | None:
    """Give what is wrong with the attributes of a generic event, a parsed JSON object; None if nothing is."""
    for name, value in tree.items():
        rule = _RULES.get(name)
        if rule is None:
            return _refuse(tree, name, _unknown(name))
        message = rule(value)
        if message is not None:
            return _refuse(tree, name, f"{name} {message}")
    if "type" not in tree:
        return _refuse(tree, "type", "type is required")
    return None


def is_plain(envelope: Envelope) -> bool:
    """Tell whether the attributes of a generic event are certainly good: short, printable texts. False: perhaps."""
    kind = envelope.type
    if kind is None or _key_fault(kind) is not None or kind.startswith(OWN) or not kind.isprintable():
        return False
    for value in (envelope.id, envelope.tenant, envelope.partitionkey, envelope.source, envelope.subject):
        if value is not None and not (0 < len(value) <= _KEY_LENGTH and value.isprintable()):
            return False
    if envelope.time is not None and _time_fault(envelope.time) is not None:
        return False
    return envelope.traceparent is None or _traceparent_fault(envelope.traceparent) is None


def find_cloudevent_fault(tree: Mapping[str, object]) -> Refusal | None:
    """Give what is wrong with the attributes of a CloudEvent, without those that are null; None if nothing is."""
    for name, value in tree.items():
        message = _CLOUDEVENT_RULES.get(name, _extension_fault)(value)
        if message is not None:
            return _refuse(tree, name, f"{name} {message}" if _is_shown(name) else f"an extension {message}")
    extensions = extensions_of(tree)
    if len(extensions) > MAX_EXTENSIONS:
        return _refuse(tree, None, f"a CloudEvent may have {MAX_EXTENSIONS} extensions at most")
    for name in extensions:
        if _EXTENSION_NAME.fullmatch(name) is None:
            shown = name if _is_shown(name) else None
            message = f"{'an extension' if shown is None else shown} must be named by a-z and 0-9 only, 64 at most"
            return _refuse(tree, shown, message)
    for name in ("id", "source", "type"):
        if name not in tree:
            return _refuse(tree, name, f"{name} is required of a CloudEvent")
    return None


def extensions_of(tree: Mapping[str, object]) -> dict[str, object]:
    """Give the attributes of a CloudEvent that are not its own and not hookd's."""
    return {name: value for name, value in tree.items() if name not in _CLOUDEVENT_RULES}


def is_json_type(media_type: str) -> bool:
    """Tell whether a media type, with or without parameters, says JSON (RFC 8259, RFC 6839 section 3.1)."""
    return _JSON_TYPE.fullmatch(media_type.partition(";")[0].strip()) is not None


def pointer_to(name: str) -> str | None:
    """Give the JSON Pointer (RFC 6901) to an attribute; None if its name is not fit to be shown."""
    return "/" + name.replace("~", "~0").replace("/", "~1") if _is_shown(name) else None


def _refuse(tree: Mapping[str, object], name: str | None, message: str) -> Refusal:
    identity, kind = tree.get("id"), tree.get("type")
    return Refusal(
        code=RefusalCode.INVALID_EVENT,
        message=message,
        path=None if name is None else pointer_to(name),
        id=identity if isinstance(identity, str) and _key_fault(identity) is None else None,
        type=kind if isinstance(kind, str) and _type_fault(kind) is None else None,
    )


def _is_shown(name: str) -> bool:
    return len(name) <= _NAME_LENGTH and name.isprintable()


def _unknown(name: str) -> str:
    if name in _CLOUDEVENT_RULES:
        return f"{name} belongs to a CloudEvent: specversion is missing"
    if not _is_shown(name):
        return "an attribute is unknown"
    return _unknown_but_shown(name)


@lru_cache(maxsize=256)  # a producer makes its mistake in every event, and finding what is near takes 60 µs
def _unknown_but_shown(name: str) -> str:
    close = get_close_matches(name, _RULES, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'unknown attribute "{name}"{hint}'


# --------------------------------------------------------------------------- a rule gives what is wrong, or None


def _key_fault(value: object) -> str | None:
    if type(value) is str and 0 < len(value) <= _KEY_LENGTH and value.isprintable():
        return None
    return _why_not_text(value, _KEY_LENGTH)


def _text_fault(value: object) -> str | None:
    if type(value) is str and 0 < len(value) <= _TEXT_LENGTH and value.isprintable():
        return None
    return _why_not_text(value, _TEXT_LENGTH)


def _why_not_text(value: object, longest: int) -> str | None:
    if not isinstance(value, str):
        if value is None:
            return "must be a string: leave it out if there is none"
        return "must be a string: quote it" if type(value) in (int, float) else "must be a string"
    if not value:
        return "must not be empty"
    if len(value) > longest:
        return f"must have at most {longest} characters"
    if _CONTROL.search(value) is not None:
        return "must not have control characters"
    return None


def _type_fault(value: object) -> str | None:
    fault = _key_fault(value)
    if fault is not None or not isinstance(value, str):
        return fault
    if value.startswith(OWN):
        return f"must not begin with {OWN} since such types are hookd's own"
    return None if value.isprintable() else "must have printable characters only"


def _time_fault(value: object) -> str | None:
    if isinstance(value, str):
        match = _TIME.fullmatch(value)
        # Texts of digits compare as numbers do; every month has 28 days.
        if match is not None and (
            (value[:4] >= "0001" and "01" <= value[5:7] <= "12" and "01" <= value[8:10] <= "28")
            or _is_date(*match.groups())
        ):
            return None
    return "must be an RFC 3339 date and time with an offset, like 2030-01-31T12:00:00Z"


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _traceparent_fault(value: object) -> str | None:
    if isinstance(value, str) and is_traceparent(value):
        return None
    return "must be a W3C Trace Context, like 00-(32 hex digits)-(16 hex digits)-01"


def _no_fault(_value: object) -> str | None:
    return None


def _specversion_fault(value: object) -> str | None:
    return None if value == SPECVERSION else f'must be "{SPECVERSION}"'


def _base64_fault(_value: object) -> str | None:
    return "is not supported: the data of an event is JSON, in the attribute data"


def _extension_fault(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if value in _INT32 else "must be an integer of 32 bits, or a string"
    if isinstance(value, str):
        return None if not value else _text_fault(value)  # CloudEvents allows the empty string here
    return "must be a string, an integer or a boolean, as every CloudEvents extension"


_RULES: Final[Mapping[str, Callable[[object], str | None]]] = {
    "id": _key_fault,
    "type": _type_fault,
    "source": _text_fault,
    "subject": _text_fault,
    "time": _time_fault,
    "tenant": _key_fault,
    "partitionkey": _key_fault,
    "traceparent": _traceparent_fault,
    "data": _no_fault,
}

_CLOUDEVENT_RULES: Final[Mapping[str, Callable[[object], str | None]]] = {
    **_RULES,
    "specversion": _specversion_fault,
    "datacontenttype": _text_fault,
    "dataschema": _text_fault,
    "data_base64": _base64_fault,
}
