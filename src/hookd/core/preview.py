"""The request that a delivery would make, for people: method, URL, headers and body, before anything is sent.

Rules of this module:

1. It reads no secret. A header or a part of the body that comes out of one is `***`, so that it can be made anywhere,
   also where the secrets are not; where a reference stands, it is named beside it.
2. What is made for each delivery or attempt (id, time, signature) is said in `<…>`.
3. The headers stand in the order in which the sender writes them; a test holds the two together.
4. What would keep the request from being made (a template that cannot be rendered, a body that does not fit its
   schema) is said in `problem`, in the words of the attempt that would fail.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd import __version__
from hookd.core.addresses import TargetInvalid, parse_target
from hookd.core.config import Reference
from hookd.core.definition import MASK, plain_mask, write_header, write_url
from hookd.core.template import RenderFailed, Scope

if TYPE_CHECKING:
    from hookd.core.config import Text, Webhook
    from hookd.core.model import Event

#: As `delivery.sender` and `delivery.request` write them.
_DEFAULTS: Final = (("user-agent", f"hookd/{__version__}"), ("accept-encoding", "identity"))
_TYPES: Final = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A request as it would go out. `body` None: it cannot be made, and `problem` says why."""

    method: str
    url: object
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    problem: str | None = None


def preview(webhook: Webhook, event: Event) -> Preview:
    """Give the request that a delivery of this event to this webhook would make."""
    body, problem = _render(webhook, event)
    return Preview(
        method=webhook.method,
        url=write_url(webhook.url, plain_mask),
        headers=_headers(webhook, event, body),
        body=body,
        problem=problem,
    )


def _headers(webhook: Webhook, event: Event, body: bytes | None) -> tuple[tuple[str, str], ...]:
    given = {name.lower() for name, _ in webhook.headers}
    headers = [("host", _host(webhook.url))]
    headers += [pair for pair in _DEFAULTS if pair[0] not in given]
    if "content-type" not in given:
        headers.append(("content-type", _TYPES[webhook.body.format]))
    headers += [(name, _header(name, value)) for name, value in webhook.headers]
    if webhook.auth is not None:
        headers.append(("authorization", MASK))
    named = bool(webhook.body.template.secret_names)
    length = "<of the body>" if body is None or named else str(len(body))
    headers.append(("content-length", length))
    headers.append(("webhook-id", "<of the delivery, the same over all attempts>"))
    headers.append(("webhook-timestamp", "<of the attempt>"))
    if webhook.sign is not None:
        count = len(webhook.sign.secrets)
        what = "v1 signature" if count == 1 else f"{count} v1 signatures"
        headers.append(("webhook-signature", f"<of the attempt: {what}>"))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent))
    return tuple(headers)


def _host(url: Text) -> str:
    if isinstance(url, Reference):
        return f"<of the URL, from {url}>"
    try:
        return parse_target(url).authority
    except TargetInvalid:
        return MASK


def _header(name: str, value: Text) -> str:
    if isinstance(value, Reference):
        return f"{MASK} {value}"
    return str(write_header(name, value, plain_mask))


def _render(webhook: Webhook, event: Event) -> tuple[bytes | None, str | None]:
    template = webhook.body.template
    scope = Scope(event, dict.fromkeys(template.secret_names, MASK))
    try:
        written = template.render_json(scope)
        body = written if webhook.body.format == "json" else template.render_form(scope)
    except RenderFailed as failed:
        return None, f"the body cannot be rendered: {failed}"
    fault = None if webhook.body.validator is None else webhook.body.validator.fault(json.loads(written))
    if fault is None:
        return body, None
    masked = " (judged with its secrets masked)" if template.secret_names else ""
    return body, f"the body does not fit its schema: body{fault.path}: {fault.told}{masked}"
