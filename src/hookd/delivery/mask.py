"""What people may see of a request and its answer: secrets masked, sizes capped.

Rules of this module:

1. A secret is every text that went into the request from `auth`, `secrets`, from a reference in `headers` or `url`, and
   from a header whose name tells one (`X-Api-Key`), wherever its value was written.
   (Signing secrets never go out; a signature is no secret.)
2. The headers that carry a secret are masked whole. In bodies, and in what the receiver sends back (many echo the
   request), every occurrence is masked, in each form that the text may take there: as it is, inside a JSON
   string, percent-encoded.
3. A secret shorter than `SHORT` characters would be found in half of all words. It is masked only where it is a whole
   JSON string or a whole value of a form.
4. Masking comes before cutting: a cut through a secret would leave a part of it that no search finds.
5. A URL is shown without user info and query. One that came from a reference is a secret as a whole (a chat's
   incoming-webhook URL is nothing else), so only its origin is shown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from hookd.core.model import Exchange, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hookd.core.model import Outcome
    from hookd.delivery.sender import Request

MASKED: Final = "***"
SHORT: Final = 4
BODY_CAP: Final = 64 * 1024
EXCERPT_CAP: Final = 2_000

_MASKED_BYTES: Final = MASKED.encode()


class Mask:
    """The secrets of one webhook, ready to be searched for. Its repr shows none of them."""

    __slots__ = ("_headers", "_long", "_short_form", "_short_json")

    def __init__(self, headers: Iterable[str], values: Iterable[str]) -> None:
        """`headers`: names, in lower case, whose values are masked whole; `values`: the secrets."""
        self._headers = frozenset(headers)
        values = {value for value in values if value}
        # The longest first: a secret that holds another one must not be found in parts.
        forms = {form for value in values if len(value) >= SHORT for form in _forms(value)}
        self._long = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        short = [value for value in values if len(value) < SHORT]
        self._short_json = tuple(b'"' + form + b'"' for value in short for form in _json_forms(value))
        self._short_form = frozenset(form for value in short for form in _form_forms(value))

    def body(self, body: bytes) -> bytes:
        """Give a body of any kind with every secret in it masked."""
        for form in self._long:
            if form in body:
                body = body.replace(form, _MASKED_BYTES)
        for form in self._short_json:
            body = body.replace(form, b'"' + _MASKED_BYTES + b'"')
        if self._short_form and b"=" in body:
            body = b"&".join(self._pair(pair) for pair in body.split(b"&"))
        return body

    def text(self, text: str) -> str:
        """Give a text, such as a header value, with every long secret in it masked."""
        if not self._long:
            return text
        return self.body(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def request_headers(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Give what we sent, without what is secret in it."""
        return tuple((name, MASKED if name.lower() in self._headers else self.text(value)) for name, value in headers)

    def response_headers(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Give what came back, without what it echoes of our secrets."""
        if not self._long:
            return tuple(headers)
        return tuple((name, self.body(value.encode("latin-1", "replace")).decode("latin-1")) for name, value in headers)

    def excerpt(self, response: Response) -> bytes:
        """Give the first `EXCERPT_CAP` bytes of a response."""
        return self.body(response.body)[:EXCERPT_CAP]

    def _pair(self, pair: bytes) -> bytes:
        name, equals, value = pair.partition(b"=")
        return name + equals + _MASKED_BYTES if value in self._short_form else pair


def build_exchange(mask: Mask, url: str, request: Request, outcome: Outcome) -> Exchange:
    """Give the whole exchange for people; `url` is masked already."""
    head = request.head
    response = outcome if isinstance(outcome, Response) else None
    return Exchange(
        method=head.method,
        url=url,
        request_headers=mask.request_headers(
            (*head.lines, ("content-length", str(len(request.body))), *request.headers)
        ),
        request_body=mask.body(request.body)[:BODY_CAP],
        response_status=None if response is None else response.status,
        response_headers=() if response is None else mask.response_headers(response.headers),
        response_body=b"" if response is None else mask.body(response.body)[:BODY_CAP],
    )


def _json_forms(value: str) -> set[bytes]:
    """Give the inside of the JSON strings that may stand for a text: escaped as little, or as much, as is usual."""
    plain = json.dumps(value, ensure_ascii=False)[1:-1]
    ascii_only = json.dumps(value)[1:-1]
    return {
        form.encode("utf-8", "surrogatepass")
        for form in (plain, ascii_only, plain.replace("/", "\\/"), ascii_only.replace("/", "\\/"))
    }


def _form_forms(value: str) -> set[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    return {quote_plus(raw).encode(), quote(raw, safe="").encode(), quote(raw).encode()}


def _forms(value: str) -> set[bytes]:
    return {value.encode("utf-8", "surrogatepass")} | _json_forms(value) | _form_forms(value)
