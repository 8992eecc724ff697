"""What a request to the control API holds, read strictly: for every route, whoever may ask there.

Rule: what is not understood is refused and never passed over, and no value of it is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.control.service import ControlRefused
from hookd.core.strictjson import JsonFault, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request


def read_path_id(request: Request) -> str:
    """Give the id that a path names, as it is written there.

    The server leaves an escaped slash as it came, since in another place it would be a part of a name; the one of
    `TENANT/ID` is meant.
    """
    written: str = request.path_params["id"]
    return written.replace("%2F", "/").replace("%2f", "/")


def read_object(text: bytes, known: frozenset[str]) -> dict[str, object]:
    """Give the JSON object that a body is, which may hold these keys. Raises `ControlRefused`."""
    body = parse_json(text)
    if isinstance(body, JsonFault):
        raise ControlRefused(400, f"the body is not JSON as it must be: {body.message}")
    if not isinstance(body, dict):
        raise ControlRefused(422, "the body must be an object")
    expect_known(body, known)
    return body


def expect_known(names: Iterable[str], known: frozenset[str]) -> None:
    """Refuse a key, or a parameter of the query, that is not among those that are known. Raises `ControlRefused`."""
    if not known.issuperset(names):
        raise ControlRefused(422, f"it takes {', '.join(sorted(known))} and nothing else")
