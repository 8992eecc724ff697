"""A receiver of webhooks to develop against: it verifies, shows, and answers as it is told.

Rules: what it is told to answer comes after the request was shown, so that a hang or a delay can be watched; a
signature that is wrong is answered with 401, since a receiver that takes it would hide the mistake.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from hookd.cli.output import styled
from hookd.cli.readable import format_body, make_visible
from hookd.control.describe import describe_bytes
from hookd.core.signing import verify
from hookd.web.messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.core.signing import SigningKey
    from hookd.web.messages import Request

UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request that came in. `fault` says why its signature is wrong; None when it is right or not asked for."""

    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    verified: bool
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer, and when."""

    status: int = 200
    delay_s: float = 0.0
    hang: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Takes requests. `keys` gives the keys of a request's host, or none: then nothing is verified."""

    keys: Callable[[str], Sequence[SigningKey]]
    answer: Callable[[Received], Answer]
    show: Callable[[Received], None]

    async def handle(self, request: Request) -> Response:
        """Verify, show, answer."""
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        named = dict(headers)
        host = named.get("host", "")
        keys = self.keys(host)
        fault = None
        if keys:
            fault = verify(
                keys,
                named.get("webhook-id", ""),
                named.get("webhook-timestamp", ""),
                named.get("webhook-signature", ""),
                request.body,
                now=int(time.time()),
            )
        received = Received(
            method=request.method,
            target=request.target.decode("latin-1"),
            host=host,
            headers=headers,
            body=request.body,
            verified=bool(keys) and fault is None,
            fault=fault,
        )
        self.show(received)
        if fault is not None:
            return Response(UNAUTHORIZED, (), f"{fault}\n".encode())
        answer = self.answer(received)
        if answer.hang:
            await trio.sleep_forever()
        if answer.delay_s:
            await trio.sleep(answer.delay_s)
        return Response(answer.status)


def format_received(received: Received, number: int, *, all_headers: bool) -> str:
    """Give a request as people read it."""
    title = styled(make_visible(f"── {number}: {received.method} {received.target}", one_line=True), "strong")
    verdict = ""
    if received.fault is not None:
        verdict = styled(f"  signature wrong: {received.fault}", "bad")
    elif received.verified:
        verdict = styled("  signature right", "good")
    shown = [
        f"{styled(make_visible(name) + ':', 'faint')} {make_visible(value)}"
        for name, value in received.headers
        if all_headers or name.startswith(("webhook-", "x-")) or name in {"content-type", "host"}
    ]
    kind = dict(received.headers).get("content-type", "")
    body = format_body(kind, describe_bytes(received.body))
    return "\n".join([title + verdict, *shown, "", *([body, ""] if body else [])])


def describe_received(received: Received) -> dict[str, Any]:
    """Give a request for programs; `body` is a text, or `{"base64": …}` of bytes that are not UTF-8."""
    return {
        "method": received.method,
        "target": received.target,
        "headers": [list(header) for header in received.headers],
        "body": describe_bytes(received.body),
        "signature": "right" if received.verified else "not checked" if received.fault is None else "wrong",
        "fault": received.fault,
    }
