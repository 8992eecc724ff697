"""What goes out for a claim, why nothing goes out, and what people may see of it."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from hookd.config.references import SecretReader
from hookd.core.config import (
    BasicAuth,
    BearerAuth,
    Body,
    Fault,
    Reference,
    ReferenceKind,
    Sign,
    Tls,
)
from hookd.core.model import Cause, Claim, Exchange, NoResponse, Outcome, Response
from hookd.core.signing import generate_secret
from hookd.core.template import compile_template
from hookd.delivery.mask import BODY_CAP, Mask, build_exchange
from hookd.delivery.request import Preparation, Prepared, build_request
from tests.delivery.stage import EPOCH, make_event, make_webhook

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Webhook
    from hookd.delivery.sender import Request

SECOND = EPOCH // 1000
READER = SecretReader(None, {})


def env(name: str) -> Reference:
    return Reference(ReferenceKind.ENV, name)


def make_claim(**event: Any) -> Claim:
    return Claim(lease=1, delivery_id="dlv_1", webhook="crm", event=make_event(**event), attempts=0, aging_since=EPOCH)


def prepare(webhook: Webhook, **environ: str) -> Prepared | NoResponse:
    return Preparation(webhook).current(SecretReader(None, environ))


def build(webhook: Webhook, claim: Claim | None = None, **environ: str) -> tuple[Prepared, Request]:
    prepared = prepare(webhook, **environ)
    assert isinstance(prepared, Prepared), prepared
    request = build_request(prepared, claim or make_claim(), timestamp=SECOND)
    assert not isinstance(request, NoResponse), request
    return prepared, request


def fail(webhook: Webhook, **environ: str) -> NoResponse:
    prepared = prepare(webhook, **environ)
    made = prepared if isinstance(prepared, NoResponse) else build_request(prepared, make_claim(), timestamp=1)
    assert isinstance(made, NoResponse)
    assert not made.sent
    return made


class Refusing:
    """A schema that wants `data.n` to be a string."""

    def fault(self, value: object) -> Fault | None:
        assert isinstance(value, dict)
        return None if isinstance(value.get("n"), str) else Fault(path="/n", message="must be a string")


def test_the_default_request() -> None:
    prepared, request = build(make_webhook(url="https://example.com/hooks?key=1"))
    assert prepared.head.prefix.startswith(b"POST /hooks?key=1 HTTP/1.1\r\nhost: example.com\r\n")
    assert ("content-type", "application/json") in prepared.head.headers
    assert request.headers == (("webhook-id", "dlv_1"), ("webhook-timestamp", str(SECOND)))
    assert prepared.url == "https://example.com/hooks"


def test_a_form_says_so() -> None:
    webhook = make_webhook(body=Body(format="form", template=compile_template({"n": "$(data.n)", "t": "$(type)"})))
    prepared, request = build(webhook)
    assert ("content-type", "application/x-www-form-urlencoded") in prepared.head.headers
    assert request.body == b"n=1&t=user.updated"


def test_a_content_type_of_the_users_own_is_kept() -> None:
    prepared, _ = build(make_webhook(headers=(("Content-Type", "application/vnd.x+json"), ("X-Team", "crm"))))
    assert prepared.head.headers == (("Content-Type", "application/vnd.x+json"), ("X-Team", "crm"))


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (BearerAuth(token="t0ken"), "Bearer t0ken"),
        (BearerAuth(token=env("T")), "Bearer from-env"),
        (BasicAuth(username="me", password=env("T")), "Basic " + base64.b64encode(b"me:from-env").decode()),
        (BasicAuth(username="é", password="a:b"), "Basic " + base64.b64encode("é:a:b".encode()).decode()),
    ],
)
def test_authorization(auth: BearerAuth | BasicAuth, header: str) -> None:
    prepared, request = build(make_webhook(auth=auth), T="from-env")
    assert ("authorization", header) in prepared.head.headers
    exchange = build_exchange(prepared.mask, prepared.url, request, Response(status=200))
    assert ("authorization", "***") in exchange.request_headers


def test_every_secret_signs_and_a_foreign_verifier_agrees() -> None:
    new, old = generate_secret(os.urandom(32)), generate_secret(os.urandom(32))
    _, request = build(make_webhook(sign=Sign(secrets=(new, env("OLD")))), OLD=old)
    headers = dict(request.headers)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        signature = Verifier(secret).sign("dlv_1", datetime.fromtimestamp(SECOND, tz=UTC), request.body.decode())
        assert signature in headers["webhook-signature"].split(" ")


def test_a_rotated_file_is_seen_at_the_next_request(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    preparation = Preparation(make_webhook(auth=BearerAuth(token=Reference(ReferenceKind.FILE, str(path)))))
    first = preparation.current(READER)
    assert isinstance(first, Prepared)
    assert preparation.current(READER) is first
    path.write_text("two\n")
    second = preparation.current(READER)
    assert isinstance(second, Prepared)
    assert ("authorization", "Bearer two") in second.head.headers
    path.unlink()
    missing = preparation.current(READER)
    assert isinstance(missing, NoResponse)
    assert (missing.cause, missing.sent) == (Cause.SECRET_UNREADABLE, False)
    path.write_text("two\n")
    assert preparation.current(READER) is second


def test_a_webhook_without_references_is_prepared_once() -> None:
    class Never:
        def read(self, text: object) -> str:
            raise AssertionError(text)

    preparation = Preparation(make_webhook(auth=BearerAuth(token="t"), headers=(("x", "y"),)))
    assert preparation.current(Never()) is preparation.current(Never())


def test_only_what_a_request_needs_is_read() -> None:
    webhook = make_webhook(secrets={"used": env("A"), "unused": env("B")}, template={"a": "$(secrets.used)"})
    _, request = build(webhook, A="text")
    assert request.body == b'{"a":"text"}'


def test_tls_and_networks_go_along() -> None:
    tls = Tls(certificate="/etc/me.pem", key=env("KEY"))
    _, request = build(make_webhook(tls=tls), KEY="the key")
    assert request.tls is tls
    assert request.tls_key is not None
    assert request.tls_key.reveal() == "the key"
    assert "the key" not in repr(request)


def test_proxy_and_http2_go_along() -> None:
    _, request = build(make_webhook(proxy="http://proxy:3128", http2=True))
    assert request.proxy is not None
    assert (request.proxy.target.origin, request.http2) == ("http://proxy:3128", True)
    _, request = build(make_webhook(proxy=env("P")), P="http://me:t0psecret@proxy:3128")
    assert request.proxy is not None
    assert request.proxy.password == "t0psecret"
    assert "t0psecret" not in repr(request)
    _, request = build(make_webhook())
    assert (request.proxy, request.http2) == (None, False)


def test_a_traceparent_goes_along() -> None:
    _, request = build(make_webhook(), make_claim(traceparent="00-a-b-01"))
    assert ("traceparent", "00-a-b-01") in request.headers


@pytest.mark.parametrize(
    ("webhook", "cause", "detail"),
    [
        (make_webhook(template={"x": "$(data.nope)"}), Cause.RENDER_FAILED, "data.nope"),
        (make_webhook(url=env("MISSING")), Cause.SECRET_UNREADABLE, "environment variable MISSING is not set"),
        (make_webhook(url=env("JUNK")), Cause.REQUEST_INVALID, "what `url` refers to is no usable URL"),
        (make_webhook(proxy=env("JUNK")), Cause.REQUEST_INVALID, "what `proxy` refers to is no usable URL"),
        (make_webhook(proxy="http://proxy/x"), Cause.REQUEST_INVALID, "a proxy's URL has no path and no query"),
        (make_webhook(url=env("PLAIN"), require_https=True), Cause.REQUEST_INVALID, "https"),
        (make_webhook(headers=(("X-Key", env("BROKEN")),)), Cause.REQUEST_INVALID, "the header X-Key cannot be sent"),
        (make_webhook(auth=BearerAuth(token=env("BROKEN"))), Cause.REQUEST_INVALID, "`auth` cannot be sent"),
        (make_webhook(auth=BasicAuth(username=env("PLAIN"), password="p")), Cause.REQUEST_INVALID, "colon"),
        (make_webhook(sign=Sign(secrets=(env("JUNK"),))), Cause.REQUEST_INVALID, "a signing secret is unusable"),
        (
            make_webhook(body=Body(template=compile_template({"n": "$(data.n)"}), validator=Refusing())),
            Cause.BODY_SCHEMA,
            "body/n: must be a string",
        ),
        (
            make_webhook(body=Body(format="form", template=compile_template({"n": "$(data.n)"}), validator=Refusing())),
            Cause.BODY_SCHEMA,
            "body/n: must be a string",
        ),
    ],
)
def test_what_cannot_go_out_says_why_and_quotes_nothing(webhook: Webhook, cause: Cause, detail: str) -> None:
    environ = {"JUNK": "ftp://jünk secret", "PLAIN": "http://plain.example.com/", "BROKEN": "line\r\nbreak"}
    outcome = fail(webhook, **environ)
    assert outcome.cause is cause
    assert detail in outcome.detail
    for value in environ.values():
        assert value not in outcome.detail


def test_a_good_body_passes_its_schema() -> None:
    webhook = make_webhook(body=Body(template=compile_template({"n": "$(data.n)"}), validator=Refusing()))
    _, request = build(webhook, make_claim(data=b'{"n":"text"}'))
    assert request.body == b'{"n":"text"}'


# --------------------------------------------------------------------------- masks


def show(webhook: Webhook, outcome: Outcome | None = None, **environ: str) -> Exchange:
    prepared, request = build(webhook, None, **environ)
    return build_exchange(prepared.mask, prepared.url, request, outcome or Response(status=200))


def test_a_url_from_a_reference_shows_its_origin_alone() -> None:
    exchange = show(make_webhook(url=env("URL")), URL="https://chat.example.com/services/T0/B0/s3cr3t?x=1")
    assert exchange.url == "https://chat.example.com/***"
    assert "s3cr3t" not in repr(exchange)


def test_secrets_are_masked_wherever_they_come_back() -> None:
    secret = 'pa"ss/wörd+&'
    webhook = make_webhook(
        auth=BearerAuth(token="bearer-token"),
        headers=(("X-Key", env("KEY")), ("X-Team", "crm")),
        secrets={"s": env("S")},
        template={"secret": "$(secrets.s)", "inside": "a $(secrets.s) b", "n": "$(data.n)"},
    )
    echo = Response(
        status=500,
        headers=(("x-echo", "key-value"), ("x-auth", "Bearer bearer-token")),
        body=b'key-value bearer-token pa%22ss%2Fw%C3%B6rd%2B%26 pa\\"ss\\/w\\u00f6rd+&',
    )
    exchange = show(webhook, echo, KEY="key-value", S=secret)
    assert exchange.request_body == b'{"secret":"***","inside":"a *** b","n":1}'
    assert dict(exchange.request_headers)["X-Key"] == "***"
    assert dict(exchange.request_headers)["X-Team"] == "crm"
    assert dict(exchange.response_headers) == {"x-echo": "***", "x-auth": "Bearer ***"}
    assert exchange.response_body == b"*** *** *** ***"


def test_what_a_proxy_quotes_of_our_credentials_is_masked() -> None:
    webhook = make_webhook(proxy="http://me:t0psecret@proxy:3128")
    page = Response(status=407, headers=(), body=b"not bWU6dDBwc2VjcmV0, t0psecret")
    assert show(webhook, page).response_body == b"not ***, ***"


def test_a_secret_in_a_form_is_masked() -> None:
    body = Body(format="form", template=compile_template({"token": "$(secrets.s)", "pin": "$(secrets.p)", "n": "12"}))
    exchange = show(make_webhook(body=body, secrets={"s": "a b&c/d", "p": "12"}))
    assert exchange.request_body == b"token=***&pin=***&n=***"


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    exchange = show(
        make_webhook(secrets={"p": "a1"}, template={"pin": "$(secrets.p)", "word": "xa1x", "n": "$(data.n)"})
    )
    assert exchange.request_body == b'{"pin":"***","word":"xa1x","n":1}'


def test_bodies_are_cut_after_they_are_masked() -> None:
    mask = Mask((), ["secret" * 100])
    body = b"x" * (BODY_CAP - 3) + b"secret" * 100
    webhook = make_webhook()
    prepared, request = build(webhook)
    exchange = build_exchange(mask, prepared.url, request, Response(status=200, body=body))
    assert exchange.response_body == b"x" * (BODY_CAP - 3) + b"***"


@given(secret=st.text(min_size=4, max_size=20), before=st.text(max_size=20), after=st.text(max_size=20))
@settings(max_examples=150, deadline=None)
def test_no_rendering_of_a_secret_escapes_the_mask(secret: str, before: str, after: str) -> None:
    if secret in before + after or secret in "***" or set(secret) <= set('*"\\'):
        return
    template = compile_template({"whole": "$(secrets.s)", "inside": "$(data.b)$(secrets.s)$(data.a)"})
    data = msgspec.json.encode({"b": before, "a": after})
    webhook = make_webhook(body=Body(template=template), secrets={"s": secret})
    prepared, request = build(webhook, make_claim(data=data))
    masked = prepared.mask.body(request.body)
    assert b'"whole":"***"' in masked
    assert masked.count(b"***") >= 2
