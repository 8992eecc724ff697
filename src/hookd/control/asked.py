"""What a request to the management API says: who asks, which webhook, which definition, on which conditions.

Rules of this module: what is asked and not understood is refused, and never passed over; no value is repeated.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from hookd.config.managing.amending import Complaint
from hookd.control.management import Conditions, ManagementRefused, refuse_definition, refuse_missing
from hookd.control.strictly import read_path_id
from hookd.core.strictjson import JsonFault, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from hookd.control.callers import Caller

_DEFAULT_ROWS: Final = 100
_MOST_ROWS: Final = 500
_LARGEST: Final = 2**63 - 1
#: RFC 9110, 8.8.3. A weak tag never matches in If-Match (13.1.1).
_ETAGS: Final = re.compile(r'\s*(?:(W/)?"([\x21\x23-\x7e]*)"|(\*))\s*(?:,|$)')


def read_caller(request: Request) -> Caller:
    """Give who asks, as admission found out."""
    caller: Caller = request.state.grant
    return caller


def read_id(request: Request, caller: Caller) -> str:
    """Give the whole id that a path names. Another tenant's is not there."""
    full = caller.full_id(read_path_id(request))
    if full is None:
        raise refuse_missing()
    return full


async def read_definition(request: Request) -> Mapping[str, object]:
    """Give the definition that is sent. Raises `ManagementRefused`, as all here."""
    value = parse_json(await request.body())
    if isinstance(value, JsonFault):
        raise ManagementRefused(400, value.code, f"the body is not JSON as it must be: {value.message}")
    if not isinstance(value, dict):
        raise refuse_definition([Complaint(pointer="", code="wrong_type", message="a definition is an object")])
    return value


def read_conditions(request: Request) -> Conditions:
    """Give what the caller expects to be there (RFC 9110, 13.1)."""
    matched, unmatched = request.headers.get("if-match"), request.headers.get("if-none-match")
    etags = None if matched is None else _etags(matched, "If-Match")
    absent = unmatched is not None and "*" in _etags(unmatched, "If-None-Match")
    if unmatched is not None and not absent:
        raise ManagementRefused(400, "bad_condition", "of a change, If-None-Match takes `*` alone")
    return Conditions(etags=etags, absent=absent)


def _etags(text: str, name: str) -> tuple[str, ...]:
    """Give the strong tags of a header, and `*`."""
    found: list[str] = []
    at = 0
    while at < len(text) or not text:
        match = _ETAGS.match(text, at)
        if match is None:
            raise ManagementRefused(400, "bad_condition", f'{name} takes entity tags, as in "0123abcd", or *')
        weak, tag, star = match.groups()
        if star:
            found.append(star)
        elif not weak:
            found.append(tag)
        at = match.end()
    return tuple(found)


def read_query(request: Request, *known: str) -> dict[str, str]:
    """Give the parameters of the query, which must be among `known`."""
    asked = dict(request.query_params)
    if not asked.keys() <= set(known):
        raise ManagementRefused(422, "bad_query", f"it takes {', '.join(known)} and nothing else")
    return asked


def read_limit(asked: Mapping[str, str]) -> int:
    """Give how many rows are wanted."""
    limit = read_whole(asked, "limit")
    if limit is not None and not 1 <= limit <= _MOST_ROWS:
        raise ManagementRefused(422, "bad_query", f"limit must be a whole number from 1 to {_MOST_ROWS}")
    return _DEFAULT_ROWS if limit is None else limit


def read_whole(asked: Mapping[str, str], name: str) -> int | None:
    """Give a whole number."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise ManagementRefused(422, "bad_query", f"{name} must be a whole number")
    return int(text)


def read_instant(asked: Mapping[str, str], name: str) -> int | None:
    """Give an instant (RFC 3339) in milliseconds since the epoch."""
    text = asked.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a `+` that was not escaped comes as a space
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{name} must be an instant with its offset, like 2026-11-21T16:20:05Z"
        raise ManagementRefused(422, "bad_query", message)
    return round(moment.timestamp() * 1_000)
