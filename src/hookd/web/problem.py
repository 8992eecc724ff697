"""Problem documents, RFC 9457: how every HTTP door of hookd says no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hookd.web.messages import PHRASES, HeaderList, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/problem+json"
CONTENT_TYPE = (b"content-type", MEDIA_TYPE.encode())

#: The word of a status, where nothing closer is said; what each means here stands in `answers`.
_CODES = {status: phrase.lower().replace(" ", "_") for status, phrase in PHRASES.items()}
_CODES[413] = "too_large"  # as of an event

_encode = msgspec.json.Encoder().encode


def code_of(status: int) -> str:
    """Give the `code` of a problem document that says no more than its status."""
    return _CODES.get(status, "error")


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    members: Mapping[str, object] | None = None,
    headers: HeaderList = (),
    close: bool = False,
) -> Response:
    """Give a problem document as a response. `detail` is for a person and holds nothing of the request's body.

    With a `code` its type is `urn:hookd:CODE`; without, the status says all there is and the type is `about:blank`,
    which makes the title the status phrase (RFC 9457, 4.2.1). Every document has a member `code`: programs look there.
    """
    document: dict[str, object] = {
        "type": f"urn:hookd:{code}" if code else "about:blank",
        "title": code.replace("_", " ").capitalize() if code else PHRASES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    document["code"] = code or code_of(status)
    if members:
        document.update((name, value) for name, value in members.items() if value is not None)
    return Response(status, (CONTENT_TYPE, *headers), _encode(document), close)
