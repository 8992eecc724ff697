"""From a claim to the request that goes out, or to the reason why there is none.

Rules of this module:

1. What is the same for every request of a webhook is made once: `prepare` gives a `Prepared`, and a `Preparation`
   keeps it for as long as the texts that it was made of stay the same. References are read at each use (a rotated
   file needs no reload); a webhook without references is prepared once per definition.
2. Nothing here raises for a bad webhook or event. Every failure is a `NoResponse` that was certainly *not sent*, on the
   ordinary schedule, so that a fix heals it like a dead URL.
3. A detail names a field, a path or a rule, never a value: it is stored and logged.
4. `webhook-id` and `webhook-timestamp` always go out, a signature if the webhook signs (Standard Webhooks 1.0.0). The
   id is the delivery's, so the same over all attempts; timestamp and signature are of this attempt.
5. What came out of a reference is checked like what stands in the files: `require_https`, the URL's form, no line
   break in a header.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from hookd.config.references import SecretUnreadable
from hookd.core.addresses import TargetInvalid, header_problem, parse_target, tells_secret
from hookd.core.config import BasicAuth, BearerAuth, Reference
from hookd.core.model import Cause, NoResponse, Secret
from hookd.core.proxies import parse_proxy
from hookd.core.signing import SecretInvalid, SigningKey, parse_secret, sign
from hookd.core.template import RenderFailed, Scope
from hookd.delivery.mask import MASKED, Mask
from hookd.delivery.sender import Head, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hookd.config.references import Secrets
    from hookd.core.addresses import Target
    from hookd.core.config import Body, Text, Webhook
    from hookd.core.model import Claim
    from hookd.core.proxies import Proxy

_Read: TypeAlias = "Callable[[Text], str]"

JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A webhook, ready to make requests of claims. `url` is masked: it may be stored and logged."""

    webhook: Webhook
    head: Head
    keys: tuple[SigningKey, ...]
    secrets: Mapping[str, str]  # those that the template names
    tls_key: Secret | None
    url: str
    mask: Mask
    proxy: Proxy | None = None

    def __repr__(self) -> str:
        return f"Prepared({self.webhook.id})"


class Preparation:
    """Keeps the `Prepared` of one webhook definition. State: what its references held when it was made."""

    __slots__ = ("_prepared", "_references", "_texts", "webhook")

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self._references = tuple(dict.fromkeys(text for text in _texts(webhook) if isinstance(text, Reference)))
        self._texts: list[str] | None = None
        self._prepared: Prepared | NoResponse | None = None

    def current(self, secrets: Secrets) -> Prepared | NoResponse:
        """Give the webhook as it is to be used now, or why it cannot be."""
        if self._references:
            try:
                texts = [secrets.read(reference) for reference in self._references]
            except SecretUnreadable as error:
                return _not_sent(Cause.SECRET_UNREADABLE, str(error))
            if texts != self._texts:
                self._prepared = None
                self._texts = texts
        if self._prepared is None:
            self._prepared = prepare(self.webhook, dict(zip(self._references, self._texts or (), strict=True)))
        return self._prepared


def prepare(webhook: Webhook, texts: Mapping[Reference, str]) -> Prepared | NoResponse:
    """Make what all requests of a webhook share; `texts` holds each of its references, read."""

    def read(text: Text) -> str:
        return texts[text] if isinstance(text, Reference) else text

    try:
        target, shown = _target(webhook, read)
        proxy = None if webhook.proxy is None else _proxy(webhook.proxy, read)
        headers, hidden = _headers(webhook, read)
        authorization = _authorization(webhook.auth, read)
        keys = () if webhook.sign is None else tuple(parse_secret(read(text)) for text in webhook.sign.secrets)
    except SecretInvalid as error:
        return _not_sent(Cause.REQUEST_INVALID, f"a signing secret is unusable: {error}")
    except _Unusable as error:
        return _not_sent(Cause.REQUEST_INVALID, str(error))
    names = webhook.body.template.secret_names
    secrets = {name: read(text) for name, text in webhook.secrets.items() if name in names}
    values = [*hidden.values(), *secrets.values()]
    if authorization is not None:
        header, secret = authorization
        headers.append(("authorization", header))
        values += (secret, header.partition(" ")[2])
    if isinstance(webhook.url, Reference) and target.path != "/":
        values.append(target.path)
    if proxy is not None and proxy.authorization is not None:
        # No request that is kept holds it, but an error page of the proxy may quote it.
        values += (proxy.authorization.partition(" ")[2], *filter(None, [proxy.password]))
    return Prepared(
        webhook=webhook,
        head=Head(method=webhook.method, target=target, headers=tuple(headers)),
        keys=keys,
        secrets=secrets,
        tls_key=None if webhook.tls is None or webhook.tls.key is None else Secret(read(webhook.tls.key)),
        url=shown,
        mask=Mask(("authorization", *hidden), values),
        proxy=proxy,
    )


def build_request(prepared: Prepared, claim: Claim, *, timestamp: int) -> Request | NoResponse:
    """Render, check and sign one attempt; `timestamp` is in seconds since the epoch."""
    webhook = prepared.webhook
    template = webhook.body.template
    try:
        scope = Scope(claim.event, prepared.secrets)
        body = template.render_json(scope) if webhook.body.format == "json" else template.render_form(scope)
    except RenderFailed as error:
        return _not_sent(Cause.RENDER_FAILED, f"{error.path}: {error.message}")
    fault = _fault(webhook.body, scope, body)
    if fault is not None:
        return fault
    event = claim.event
    headers: tuple[tuple[str, str], ...] = (
        ("webhook-id", claim.delivery_id),
        ("webhook-timestamp", str(timestamp)),
    )
    if prepared.keys:
        headers += (("webhook-signature", sign(prepared.keys, claim.delivery_id, timestamp, body)),)
    if event.traceparent is not None:
        headers += (("traceparent", event.traceparent),)
    return Request(
        head=prepared.head,
        headers=headers,
        body=body,
        networks=webhook.allow_networks,
        tls=webhook.tls,
        tls_key=prepared.tls_key,
        proxy=prepared.proxy,
        http2=webhook.http2,
    )


def _fault(body: Body, scope: Scope, rendered: bytes) -> NoResponse | None:
    """Judge what leaves. A form is judged as the tree that it was made of: its text has lost the types."""
    if body.validator is None:
        return None
    text = rendered if body.format == "json" else body.template.render_json(scope)
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _not_sent(Cause.BODY_SCHEMA, "the body is no JSON that a schema can judge")
    fault = body.validator.fault(value)
    if fault is None:
        return None
    return _not_sent(Cause.BODY_SCHEMA, f"body{fault.path}: {fault.message}")


class _Unusable(Exception):  # noqa: N818  a fact that becomes the cause `request_invalid`
    """What a webhook says cannot be sent; the message names the field and no value."""


def _target(webhook: Webhook, read: _Read) -> tuple[Target, str]:
    """Give where requests go, and the URL as it may be shown."""
    referenced = isinstance(webhook.url, Reference)
    try:
        target = parse_target(read(webhook.url))
    except TargetInvalid as error:
        # The text may quote the host, and a URL from a reference is a secret: no word of it.
        detail = "what `url` refers to is no usable URL" if referenced else str(error)
        raise _Unusable(detail) from None
    if webhook.require_https and target.scheme != "https":
        raise _Unusable("the URL is not https, which `require_https` asks for")
    return target, f"{target.origin}/***" if referenced else target.masked


def url_of(webhook: Webhook) -> str:
    """Give the URL of a webhook that cannot be prepared, as it may be shown; empty: it is none."""
    if isinstance(webhook.url, Reference):
        return MASKED  # what it refers to is perhaps the very thing that cannot be read
    try:
        return parse_target(webhook.url).masked
    except TargetInvalid:
        return ""


def _proxy(text: Text, read: _Read) -> Proxy:
    try:
        return parse_proxy(read(text))
    except TargetInvalid as error:
        detail = "what `proxy` refers to is no usable URL" if isinstance(text, Reference) else str(error)
        raise _Unusable(detail) from None


def _headers(webhook: Webhook, read: _Read) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Give the headers of all requests, and those of them that are secret, by name in lower case."""
    headers = [(name, read(text)) for name, text in webhook.headers]
    for name, value in headers:
        if header_problem(name, value) is not None:
            raise _Unusable(f"the header {name} cannot be sent")
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.insert(0, ("content-type", JSON_TYPE if webhook.body.format == "json" else FORM_TYPE))
    secret = {
        name.lower(): read(text) for name, text in webhook.headers if isinstance(text, Reference) or tells_secret(name)
    }
    return headers, secret


def _authorization(auth: BearerAuth | BasicAuth | None, read: _Read) -> tuple[str, str] | None:
    """Give the value of the Authorization header and the secret in it (RFC 6750 section 2.1, RFC 7617 section 2)."""
    if auth is None:
        return None
    if isinstance(auth, BearerAuth):
        secret = read(auth.token)
        header = f"Bearer {secret}"
    else:
        username, secret = read(auth.username), read(auth.password)
        if ":" in username:
            raise _Unusable("a username of `auth` cannot hold a colon")
        header = f"Basic {base64.b64encode(f'{username}:{secret}'.encode()).decode()}"
    # The name is ours here; only the value can be wrong.
    if header_problem("x-authorization", header) is not None:
        raise _Unusable("the credentials of `auth` cannot be sent in a header")
    return header, secret


def _texts(webhook: Webhook) -> Iterator[Text]:
    """Give every field of a definition that may be a reference and that a request needs."""
    yield webhook.url
    for _, text in webhook.headers:
        yield text
    if isinstance(webhook.auth, BearerAuth):
        yield webhook.auth.token
    elif webhook.auth is not None:
        yield webhook.auth.username
        yield webhook.auth.password
    if webhook.sign is not None:
        yield from webhook.sign.secrets
    for name, text in webhook.secrets.items():
        if name in webhook.body.template.secret_names:
            yield text
    if webhook.tls is not None and webhook.tls.key is not None:
        yield webhook.tls.key
    if webhook.proxy is not None:
        yield webhook.proxy


def _not_sent(cause: Cause, detail: str) -> NoResponse:
    return NoResponse(cause=cause, detail=detail, sent=False)
