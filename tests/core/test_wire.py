"""From a producer's bytes to an event, or to the one reason why not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookd.core.model import Event, Refusal, RefusalCode
from hookd.core.paths import ABSENT
from hookd.core.wire import Incoming, event_from_headers, parse_batch, parse_event, same_content

NOW = 1_700_000_000_000
LIMIT = 2_000
CLOUD = {"specversion": "1.0", "id": "1", "source": "/app", "type": "a.b"}


def _parse(event: object, *, tenant: str | None = None) -> Incoming | Refusal:
    line = event if isinstance(event, bytes) else json.dumps(event).encode()
    return parse_event(line, limit=LIMIT, now=NOW, new_id=lambda: "made", tenant=tenant)


def _read(event: object, *, tenant: str | None = None) -> Event:
    incoming = _parse(event, tenant=tenant)
    assert isinstance(incoming, Incoming), incoming
    return incoming.event


def _refused(event: object, *, tenant: str | None = None) -> Refusal:
    refusal = _parse(event, tenant=tenant)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def test_every_attribute_is_kept_as_it_was_written() -> None:
    attributes = {
        "id": "e-1",
        "type": "user.updated",
        "source": "/app",
        "subject": "user/7",
        "time": "2024-02-29T23:59:60.123456789+05:30",
        "tenant": "acme",
        "partitionkey": "7",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    event = _read(attributes)
    assert {name: getattr(event, name) for name in attributes} == attributes
    assert (event.data, event.extensions, event.accepted_at) == (None, None, NOW)


def test_an_event_needs_a_type_only_and_gets_an_id() -> None:
    incoming = _parse({"type": "a"})
    assert isinstance(incoming, Incoming)
    assert (incoming.event.id, incoming.made_id, incoming.data) == ("made", True, ABSENT)
    written = _parse({"type": "a", "id": "mine"})
    assert isinstance(written, Incoming)
    assert (written.event.id, written.made_id) == ("mine", False)


def test_data_stays_byte_for_byte() -> None:
    data = b'{"n":1E2, "f":0.10 ,"z":-0,"u":"\\u00e9\\/","big":12345678901234567890}'
    incoming = _parse(b' {"d\\u0061ta" : ' + data + b' , "type":"a"} ')
    assert isinstance(incoming, Incoming)
    assert incoming.event.data == data
    assert incoming.data == {"n": 100, "f": 0.1, "z": 0, "u": "é/", "big": 12345678901234567890}


@pytest.mark.parametrize("data", [b"null", b"0", b'""', b"[]", b"false"])
def test_data_may_be_any_json(data: bytes) -> None:
    incoming = _parse(b'{"type":"a","data":' + data + b"}")
    assert isinstance(incoming, Incoming)
    assert incoming.event.data == data
    assert incoming.data == json.loads(data)


@pytest.mark.parametrize(
    ("event", "path", "message"),
    [
        ([], None, "an event is a JSON object"),
        ("a", None, "an event is a JSON object"),
        ({}, "/type", "type is required"),
        ({"type": None}, "/type", "type must be a string: leave it out if there is none"),
        ({"type": ""}, "/type", "type must not be empty"),
        ({"type": "a" * 257}, "/type", "type must have at most 256 characters"),
        ({"type": "a\u200bb"}, "/type", "type must have printable characters only"),
        ({"type": "hookd.delivery.dead"}, "/type", "type must not begin with hookd. since such types are hookd's own"),
        ({"type": "a", "tenant": 7}, "/tenant", "tenant must be a string: quote it"),
        ({"type": "a", "tenant": None}, "/tenant", "tenant must be a string: leave it out if there is none"),
        ({"type": "a", "tenant": True}, "/tenant", "tenant must be a string"),
        ({"type": "a", "tennant": "x"}, "/tennant", 'unknown attribute "tennant"; did you mean "tenant"?'),
        ({"type": "a", "zzz/~": "x"}, "/zzz~1~0", 'unknown attribute "zzz/~"'),
        ({"type": "a", "x" * 65: 1}, None, "an attribute is unknown"),
        ({"type": "a", "a\nb": 1}, None, "an attribute is unknown"),
        ({"type": "a", "dataschema": "x"}, "/dataschema", "dataschema belongs to a CloudEvent: specversion is missing"),
        ({"type": "a", "id": "a\x00b"}, "/id", "id must not have control characters"),
        ({"type": "a", "id": "a\x85b"}, "/id", "id must not have control characters"),
        ({"type": "a", "id": "x" * 257}, "/id", "id must have at most 256 characters"),
        ({"type": "a", "partitionkey": "x" * 257}, "/partitionkey", "partitionkey must have at most 256 characters"),
        ({"type": "a", "source": "x" * 1025}, "/source", "source must have at most 1024 characters"),
        ({"type": "a", "subject": {}}, "/subject", "subject must be a string"),
    ],
)
def test_what_is_not_an_event(event: object, path: str | None, message: str) -> None:
    refusal = _refused(event)
    assert (refusal.code, refusal.path, refusal.message) == (RefusalCode.INVALID_EVENT, path, message)


@pytest.mark.parametrize(
    "time",
    [
        "2024-01-31",
        "2024-01-31T12:00:00",
        "2024-01-31 12:00:00Z",
        "2023-02-29T12:00:00Z",
        "2024-13-01T12:00:00Z",
        "2024-01-31T24:00:00Z",
        "2024-01-31T12:60:00Z",
        "2024-01-31T12:00:61Z",
        "2024-01-31T12:00Z",
        "2024-01-31T12:00:00+0100",
        "2024-01-31T12:00:00.Z",
        "\uff12024-01-31T12:00:00Z",
        "2024-01-31T12:00:00Z\n",
        1700000000,
        "",
        None,
    ],
)
def test_a_time_that_is_not_rfc_3339_is_refused(time: object) -> None:
    assert _refused({"type": "a", "time": time}).path == "/time"


@pytest.mark.parametrize("time", ["2024-01-31T12:00:00Z", "2024-01-31t12:00:00z", "0001-01-01T00:00:00.5-23:59"])
def test_a_time_that_is_rfc_3339_is_taken(time: str) -> None:
    assert _read({"type": "a", "time": time}).time == time


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
        7,
    ],
)
def test_a_traceparent_that_is_none_is_refused(traceparent: object) -> None:
    assert _refused({"type": "a", "traceparent": traceparent}).path == "/traceparent"


def test_names_of_every_script_are_names() -> None:
    event = _read(
        {"type": "gebruiker.gewijzigd", "id": "日本語 👩\u200d👧", "tenant": "Zoë & Söhne", "subject": "a\u2028b"}
    )
    assert event.id == "日本語 👩\u200d👧"


def test_a_refusal_names_the_event_where_it_can() -> None:
    refusal = _refused({"type": "a", "id": "e1", "time": "yesterday"})
    assert (refusal.id, refusal.type) == ("e1", "a")
    refusal = _refused({"type": "a" * 300, "id": 5})
    assert (refusal.id, refusal.type) == (None, None)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"type":"a"', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":NaN}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":1e400}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","type":"a"}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":{"x":1,"x":1}}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":"\\ud800"}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":"\xff"}', RefusalCode.MALFORMED_JSON),
        (b'{"type":"a","data":' + b"[" * 64 + b"]" * 64 + b"}", RefusalCode.TOO_DEEP),
        (b'{"type":"a","data":"' + b"x" * LIMIT + b'"}', RefusalCode.TOO_LARGE),
    ],
)
def test_what_is_not_strict_json(line: bytes, code: RefusalCode) -> None:
    assert _refused(line).code is code


def test_the_limit_counts_every_byte() -> None:
    line = b'{"type":"a","data":"' + b"x" * (LIMIT - 22) + b'"}'
    assert len(line) == LIMIT
    assert _read(line).data
    assert _refused(line + b" ").code is RefusalCode.TOO_LARGE


# --------------------------------------------------------------------------- tenants


def test_a_bound_sender_gives_its_events_its_tenant() -> None:
    assert _read({"type": "a"}, tenant="acme").tenant == "acme"
    assert _read({"type": "a", "tenant": "acme"}, tenant="acme").tenant == "acme"
    refusal = _refused({"type": "a", "id": "e", "tenant": "umbrella"}, tenant="acme")
    assert (refusal.code, refusal.path, refusal.id) == (RefusalCode.NOT_ALLOWED, "/tenant", "e")
    assert "umbrella" not in refusal.message
    assert "acme" not in refusal.message


def test_a_bound_tenant_is_in_the_digest() -> None:
    assert _read({"type": "a"}, tenant="x").digest == _read({"type": "a", "tenant": "x"}, tenant="x").digest


# --------------------------------------------------------------------------- CloudEvents


def test_further_attributes_of_a_cloudevent_are_extensions() -> None:
    event = _read(
        CLOUD
        | {"datacontenttype": "application/json", "dataschema": "urn:x", "tenant": "acme", "subject": None}
        | {"sequence": "7", "count": 3, "flag": False, "empty": "", "unset": None, "data": None}
    )
    assert event.tenant == "acme"
    assert event.subject is None
    assert event.data == b"null"
    assert event.extensions is not None
    assert json.loads(event.extensions) == {"sequence": "7", "count": 3, "flag": False, "empty": ""}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"specversion": 1.0}, "/specversion"),
        ({"id": None}, "/id"),
        ({"source": None}, "/source"),
        ({"type": None}, "/type"),
        ({"data_base64": "AAAA"}, "/data_base64"),
        ({"traceparent": "x"}, "/traceparent"),
        ({"tenant": 7}, "/tenant"),
        ({"Upper": "x"}, "/Upper"),
        ({"my-extension": "x"}, "/my-extension"),
        ({"x" * 65: "x"}, None),
        ({"nested": {"a": 1}}, "/nested"),
        ({"fraction": 1.5}, "/fraction"),
        ({"large": 2**31}, "/large"),
        ({"text": "x" * 1025}, "/text"),
        ({"text": "a\x00"}, "/text"),
        ({f"x{number}": 1 for number in range(65)}, None),
    ],
)
def test_what_is_not_a_cloudevent(change: dict[str, Any], path: str | None) -> None:
    refusal = _refused(CLOUD | change)
    assert (refusal.code, refusal.path) == (RefusalCode.INVALID_EVENT, path)


HEADERS = [(b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"/app"), (b"ce-type", b"a.b")]
JSON_TYPE = (b"content-type", b"application/json; charset=utf-8")


def _binary(headers: list[tuple[bytes, bytes]], body: bytes = b"", **options: Any) -> Incoming | Refusal:
    return event_from_headers(headers, body, limit=LIMIT, now=NOW, new_id=lambda: "made", **options)


def test_binary_mode_says_what_structured_mode_says() -> None:
    headers = [*HEADERS, (b"host", b"x"), (b"ce-tenant", b"Zo%C3%AB"), (b"ce-sequence", b'"a \\"b\\" %25"'), JSON_TYPE]
    incoming = _binary(headers, b' {"n":1E2}\n')
    structured = _read(
        json.dumps(CLOUD | {"tenant": "Zoë", "sequence": 'a "b" %'})[:-1].encode() + b',"data":{"n":1E2}}'
    )
    assert isinstance(incoming, Incoming)
    assert incoming.event == structured
    assert incoming.data == {"n": 100}


def test_binary_mode_without_a_body_has_no_data() -> None:
    incoming = _binary(HEADERS)
    assert isinstance(incoming, Incoming)
    assert incoming.data is ABSENT
    assert incoming.event.data is None


@pytest.mark.parametrize(
    ("headers", "body", "code", "path"),
    [
        ([*HEADERS[1:], JSON_TYPE], b"{}", RefusalCode.INVALID_EVENT, "/specversion"),
        ([*HEADERS[:3], JSON_TYPE], b"{}", RefusalCode.INVALID_EVENT, "/type"),
        (HEADERS, b"{}", RefusalCode.INVALID_EVENT, "/data"),
        ([*HEADERS, (b"content-type", b"text/xml")], b"<a/>", RefusalCode.INVALID_EVENT, "/data"),
        ([*HEADERS, JSON_TYPE], b"{", RefusalCode.MALFORMED_JSON, "/data"),
        ([*HEADERS, JSON_TYPE], b'"' + b"x" * LIMIT + b'"', RefusalCode.TOO_LARGE, None),
        ([*HEADERS, (b"ce-id", b"2")], b"", RefusalCode.INVALID_EVENT, None),
        ([*HEADERS, (b"ce-subject", b"%FF")], b"", RefusalCode.INVALID_EVENT, None),
        ([*HEADERS, (b"ce-data", b"1")], b"", RefusalCode.INVALID_EVENT, None),
        ([*HEADERS, (b"ce-subject", b"a%0Ab")], b"", RefusalCode.INVALID_EVENT, "/subject"),
    ],
)
def test_what_binary_mode_refuses(
    headers: list[tuple[bytes, bytes]], body: bytes, code: RefusalCode, path: str | None
) -> None:
    refusal = _binary(headers, body)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.path) == (code, path)


@pytest.mark.parametrize("media_type", [b"application/json", b"Application/Vnd.X+JSON;charset=utf-8"])
def test_json_by_any_name_is_json(media_type: bytes) -> None:
    assert isinstance(_binary([*HEADERS, (b"content-type", media_type)], b"1"), Incoming)


# --------------------------------------------------------------------------- batches


def _batch(text: bytes) -> list[Incoming | Refusal] | Refusal:
    return parse_batch(text, limit=LIMIT, now=NOW, new_id=lambda: "made", tenant="acme")


def test_the_events_of_a_batch_stand_alone() -> None:
    large = b'{"type":"a","data":"' + b"x" * LIMIT + b'"}'
    batch = _batch(b'[ {"type":"a","data":{"n":1E2} }, {"tenant":"b","type":"a"}, 5,' + large + b',{"type":"b"}]')
    assert isinstance(batch, list)
    first, second, third, fourth, fifth = batch
    assert isinstance(first, Incoming)
    assert (first.event.data, first.data, first.event.tenant) == (b'{"n":1E2}', {"n": 100}, "acme")
    codes = [one.code for one in (second, third, fourth) if isinstance(one, Refusal)]
    assert codes == [RefusalCode.NOT_ALLOWED, RefusalCode.INVALID_EVENT, RefusalCode.TOO_LARGE]
    assert isinstance(fifth, Incoming)


def test_an_event_may_be_as_deep_in_a_batch_as_alone() -> None:
    deepest = b'{"type":"a","data":' + b"[" * 63 + b"]" * 63 + b"}"
    assert _read(deepest).data
    batch = _batch(b"[" + deepest + b"]")
    assert isinstance(batch, list)
    assert isinstance(batch[0], Incoming)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"type":"a"}', RefusalCode.INVALID_EVENT),
        (b"[", RefusalCode.MALFORMED_JSON),
        (b'[{"type":"a","type":"a"}]', RefusalCode.MALFORMED_JSON),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(text: bytes, code: RefusalCode) -> None:
    refusal = _batch(text)
    assert isinstance(refusal, Refusal)
    assert refusal.code is code


def test_an_empty_batch_is_one() -> None:
    assert _batch(b"[]") == []


# --------------------------------------------------------------------------- sameness

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_digest_leaves_out_the_trace_and_when_it_came() -> None:
    again = parse_event(
        json.dumps({"type": "a", "id": "1", "traceparent": TRACE}).encode(), limit=LIMIT, now=NOW + 5, new_id=str
    )
    assert isinstance(again, Incoming)
    assert again.event.digest == _read({"type": "a", "id": "1"}).digest
    assert len(again.event.digest) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"type": "a"}, {"type": "b"}),
        ({"subject": "x"}, {"partitionkey": "x"}),
        ({"subject": "x"}, {}),
        ({"time": "2024-01-31T12:00:00Z"}, {}),
        ({"data": None}, {}),
        ({"data": {"a": 1}}, {"data": {"a": 2}}),
        ({"data": {"a": 1}}, {"data": {"a": True}}),
        ({"data": {"a": [0]}}, {"data": {"a": [False]}}),
        ({"data": "1"}, {"data": 1}),
        ({"data": [1, 2]}, {"data": [2, 1]}),
        ({"data": {"a": None}}, {"data": {}}),
        (CLOUD | {"x": "1"}, CLOUD | {"x": 1}),
        (CLOUD | {"x": 1}, CLOUD),
    ],
)
def test_other_content_is_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = _read({"type": "a", "id": "1"} | one), _read({"type": "a", "id": "1"} | other)
    assert not same_content(first, second)
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":[2,3]}', b'{ "b" : [2, 3], "a":1 }'),
        (b'{"n":1E2}', b'{"n":100}'),
        (b'{"n":0.10}', b'{"n":0.1}'),
        (b'"\\u00e9\\/"', '"é/"'.encode()),
        (b"null", b"null"),
    ],
)
def test_the_same_content_in_another_spelling_is_the_same(one: bytes, other: bytes) -> None:
    assert same_content(_read(b'{"type":"a","data":' + one + b"}"), _read(b'{"data":' + other + b',"type":"a"}'))


def test_key_trace_and_acceptance_are_no_content() -> None:
    first = _read({"type": "a", "id": "1", "tenant": "x", "source": "s"})
    second = _read({"type": "a", "id": "2", "tenant": "y", "traceparent": TRACE})
    assert same_content(first, second)
