"""Definitions in the words of the YAML: quantities read back, nothing secret gets out, what differs is told."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookd.config.building.values import parse_duration, parse_rate, parse_size
from hookd.core.config import (
    BasicAuth,
    BearerAuth,
    Body,
    EventType,
    Place,
    Reference,
    ReferenceKind,
    RetryPolicy,
    Sign,
    Text,
    Tls,
    Trigger,
    Webhook,
    WebhookTest,
)
from hookd.core.definition import (
    format_duration,
    format_rate,
    format_size,
    keyed_mask,
    plain_mask,
    strip_marks,
    write_definition,
    write_event_type,
    write_url,
)
from hookd.core.model import Event
from hookd.core.preview import preview
from hookd.core.template import compile_template

CANARY = "c4n4ry-s3cret"
REF = Reference(ReferenceKind.FILE, "/etc/key")


def make(url: Text = "https://x.example/hooks", template: object = "$(data)", **more: Any) -> Webhook:
    body = more.pop("body", Body(template=compile_template(template)))
    triggers = (Trigger(pattern="a.*"), Trigger(pattern="a.b", active=False))
    return Webhook(id="w", place=Place(file="x.yaml"), url=url, triggers=triggers, body=body, **more)


SECRETIVE = make(
    url=f"https://x.example/hooks?key={CANARY}",
    template={"t": "$(secrets.s)", "id": "$(id)"},
    auth=BasicAuth(username="me", password=CANARY),
    sign=Sign(secrets=(CANARY, REF)),
    secrets={"s": CANARY, "r": REF},
    headers=(("X-Api-Key", CANARY), ("X-Team", "crm"), ("X-Ref", REF)),
    proxy=f"http://me:{CANARY}@proxy.example:3128",
    tls=Tls(certificate="/c.pem", key=f"-----BEGIN {CANARY}"),
)


# --------------------------------------------------------------------------- quantities


@given(count=st.integers(0, 10**6), unit=st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_reads_back(count: int, unit: str) -> None:
    seconds = parse_duration(f"{count}{unit}")
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@given(count=st.integers(1, 10**6), unit=st.sampled_from(["s", "m", "h"]))
def test_a_rate_reads_back(count: int, unit: str) -> None:
    rate = parse_rate(f"{count}/{unit}")
    assert parse_rate(format_rate(rate)) == pytest.approx(rate)


@given(count=st.integers(0, 10**6), unit=st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_a_size_reads_back(count: int, unit: str) -> None:
    size = parse_size(f"{count}{unit}")
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "90s"), (300, "5m"), (7200, "2h"), (259200, "3d"), (1.5, "1500ms")],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_rate_is_written_as_people_do() -> None:
    assert [format_rate(rate) for rate in (50.0, 0.5, 100 / 3600)] == ["50/s", "30/m", "100/h"]


# --------------------------------------------------------------------------- definitions


def test_a_definition_is_whole_and_in_the_words_of_the_yaml() -> None:
    written = write_definition(
        make(
            name="N",
            tenant="t",
            auth=BearerAuth(token=REF),
            timeout=90.0,
            retry=RetryPolicy(schedule=(5.0, 300.0), max_age=86400.0, permanent=frozenset({404, 400})),
            rate=0.5,
            allow_networks=(ip_network("10.0.0.0/8"),),
            suspend_after=None,
        )
    )
    assert written == {
        "name": "N",
        "active": True,
        "paused": False,
        "tenant": "t",
        "url": "https://x.example/hooks",
        "method": "POST",
        "require_https": False,
        "events": ["a.*", {"event": "a.b", "active": False}],
        "body": {"format": "json", "template": "$(data)"},
        "auth": {"bearer": {"file": "/etc/key"}},
        "timeout": "90s",
        "retry": {"schedule": ["5s", "5m"], "jitter": 0.2, "max_age": "1d", "permanent": [400, 404]},
        "rate": "30/m",
        "concurrency": 8,
        "ordered": False,
        "max_pending": 100_000,
        "suspend_after": "never",
        "allow_networks": ["10.0.0.0/8"],
        "http2": False,
    }


def test_no_secret_gets_out() -> None:
    for mask in (plain_mask, keyed_mask(b"k")):
        assert CANARY not in json.dumps(write_definition(SECRETIVE, mask))
    written = write_definition(SECRETIVE)
    assert written["url"] == "https://x.example/hooks"
    assert written["headers"] == {"X-Api-Key": "***", "X-Team": "crm", "X-Ref": {"file": "/etc/key"}}
    assert written["proxy"] == "http://***@proxy.example:3128"
    assert written["sign"] == {"scheme": "standard", "secrets": ["***", {"file": "/etc/key"}]}


def test_a_keyed_mask_tells_secrets_apart_and_its_marks_come_off() -> None:
    one, other = keyed_mask(b"one"), keyed_mask(b"other")
    assert one("a") == one("a") != one("b")
    assert one("a") != other("a")
    assert strip_marks(f"x {one('a')} y") == "x *** y"
    assert write_url("https://x.example/?a=1", one) != write_url("https://x.example/?a=2", one)
    assert strip_marks(str(write_url("https://x.example/?a=1", one))) == "https://x.example/?***"


def test_an_event_type_says_only_what_it_says() -> None:
    assert write_event_type(EventType(name="a")) == {}
    assert write_event_type(EventType(name="a", description="d", require=("tenant",))) == {
        "description": "d",
        "require": ["tenant"],
    }


# --------------------------------------------------------------------------- requests


def test_a_request_is_shown_without_its_secrets() -> None:
    shown = preview(SECRETIVE, Event(id="e", type="a.x", traceparent="00-1-2-01"))
    assert CANARY not in repr(shown)
    assert shown.body == b'{"t":"***","id":"e"}'
    assert shown.problem is None
    assert shown.headers[0] == ("host", "x.example")
    headers = dict(shown.headers)
    assert headers["X-Ref"] == "*** {file: /etc/key}"
    assert headers["authorization"] == headers["X-Api-Key"] == "***"
    assert headers["webhook-signature"] == "<of the attempt: 2 v1 signatures>"
    assert headers["content-length"] == "<of the body>"  # its secrets are not known here
    assert headers["traceparent"] == "00-1-2-01"


def test_a_request_that_cannot_be_made_says_why() -> None:
    shown = preview(make(template={"n": "$(data.n)"}), Event(id="e", type="a.x"))
    assert (shown.body, shown.problem) == (None, "the body cannot be rendered: data.n is missing")
    shown = preview(
        make(url=REF, body=Body(format="form", template=compile_template({"n": "$(data.n?)"}))),
        Event(id="e", type="a", data=b'{"n":[1]}'),
    )
    assert shown.url == {"file": "/etc/key"}
    assert shown.body == b"n%5B0%5D=1"


def test_a_test_is_written_with_its_name_and_its_body() -> None:
    tests = (
        WebhookTest(place=Place(file="f"), name="new", event={"type": "a"}, expect="delivered", expects_body=True),
        WebhookTest(place=Place(file="f"), event={"type": "b"}, expect="ignored"),
    )
    assert write_definition(make(tests=tests))["tests"] == [
        {"name": "new", "event": {"type": "a"}, "expect": "delivered", "body": None},
        {"event": {"type": "b"}, "expect": "ignored"},
    ]
