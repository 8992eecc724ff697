"""From the bytes that a producer wrote to an Event, or to the one reason why not.

Rules of this module:

1. Bytes become an event or a `Refusal`, a value: bad input is no exception. A refusal says the first fault, with the
   event's id and type where these could be read.
2. The JSON is read strictly (`strictjson`). `data` is kept as the producer's own bytes, copied out of the buffer,
   beside its parsed value, which lives only as long as the event is judged and routed.
3. A CloudEvent (it has `specversion`) and a generic event become the same Event. `specversion`, `datacontenttype` and
   `dataschema` describe the envelope: they are checked and not kept.
4. The digest covers what the producer wrote, `traceparent` left out: a sender makes a new one when it sends again.
5. A generic event that is plainly good is read the short way (`_read_plainly`), which never refuses: whatever it is
   not sure of goes the long way. A test holds the two against each other.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from hookd.core.attributes import extensions_of, find_cloudevent_fault, find_fault, is_json_type, is_plain
from hookd.core.jsonvalues import same_json
from hookd.core.model import Event, Refusal, RefusalCode
from hookd.core.paths import ABSENT
from hookd.core.routing import OWN
from hookd.core.strictjson import MAX_DEPTH, JsonFault, parse_json, shows_all_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was read, and the parsed value of its data (`ABSENT`: it has none)."""

    event: Event
    data: object
    made_id: bool = False  # the producer wrote no id, so that sending it again would be another event


class _Data(msgspec.Struct):
    data: Raw | UnsetType = UNSET


if TYPE_CHECKING:
    _Text: TypeAlias = str | None
    _Raw: TypeAlias = Raw | None
else:  # what msgspec takes for an attribute that is there: a null is not among it
    _Text, _Raw = str, Raw


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The attributes of a generic event; None: it is not there."""

    id: _Text = None
    type: _Text = None
    source: _Text = None
    subject: _Text = None
    time: _Text = None
    tenant: _Text = None
    partitionkey: _Text = None
    traceparent: _Text = None
    data: _Raw = None


_read_data: Final = msgspec.json.Decoder(_Data).decode
_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_items: Final = msgspec.json.Decoder(list[Raw]).decode
_write: Final = msgspec.json.Encoder().encode

_WHITE: Final = b" \t\r\n"
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CE: Final = b"ce-"
#: Stands for a type that no producer may write while the rest of such an event is read.
_STAND_IN: Final = "own"
#: Between the parts that are hashed; no attribute can hold it, so that no two events are written alike.
_UNIT: Final = "\x1f"


def parse_event(
    line: bytes, *, limit: int, now: int, new_id: Callable[[], str], tenant: str | None = None
) -> Incoming | Refusal:
    """Read one event, generic or a CloudEvent in JSON format, of at most `limit` bytes.

    `now` becomes its `accepted_at`, `new_id` makes its id if it has none. `tenant` is what its sender is bound to: an
    event without one gets it, an event with another one is refused.
    """
    if len(line) > limit:
        return refuse_too_large(limit)
    plain = _read_plainly(line)
    if plain is not None:
        return _finish(*plain, None, now=now, new_id=new_id, tenant=tenant)
    tree = parse_json(line)
    if isinstance(tree, JsonFault):
        return Refusal(code=tree.code, message=tree.message)
    return _read(tree, line, now=now, new_id=new_id, tenant=tenant)


def parse_any_event(
    line: bytes, *, limit: int, now: int, new_id: Callable[[], str], tenant: str | None = None
) -> Incoming | Refusal:
    """Read one event as `parse_event` does; one of hookd's own types, which no producer may write, comes in too.

    For who asks what would become of an event; no inlet reads so.
    """
    tree = parse_json(line)
    kind = tree.get("type") if isinstance(tree, dict) else None
    if not (isinstance(tree, dict) and isinstance(kind, str) and kind.startswith(OWN)):
        return parse_event(line, limit=limit, now=now, new_id=new_id, tenant=tenant)
    line = json.dumps({**tree, "type": _STAND_IN}).encode("ascii")
    incoming = parse_event(line, limit=limit, now=now, new_id=new_id, tenant=tenant)
    return incoming if isinstance(incoming, Refusal) else replace(incoming, event=replace(incoming.event, type=kind))


def parse_batch(
    text: bytes, *, limit: int, now: int, new_id: Callable[[], str], tenant: str | None = None
) -> list[Incoming | Refusal] | Refusal:
    """Read a JSON array of events; each stands alone and has at most `limit` bytes.

    A text that is not one strict JSON array is refused as a whole, since its events cannot be told apart.
    """
    tree = parse_json(text, max_depth=MAX_DEPTH + 1)
    if isinstance(tree, JsonFault):
        return Refusal(code=tree.code, message=tree.message)
    if not isinstance(tree, list):
        return Refusal(code=RefusalCode.INVALID_EVENT, message="a batch is a JSON array of events")
    read: list[Incoming | Refusal] = []
    for item, raw in zip(tree, _read_items(text), strict=True):
        own = bytes(raw)
        read.append(
            refuse_too_large(limit) if len(own) > limit else _read(item, own, now=now, new_id=new_id, tenant=tenant)
        )
    return read


def event_from_headers(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    *,
    limit: int,
    now: int,
    new_id: Callable[[], str],
    tenant: str | None = None,
) -> Incoming | Refusal:
    """Read a CloudEvent in binary mode (CloudEvents HTTP binding 1.0, section 3.1): attributes are `ce-` headers.

    `headers` are (name, value) with names in lower case. A body is JSON, and says so in `content-type`; an empty one
    is no data. Every extension is a string here, the type of its value is not sent.
    """
    if len(body) > limit:
        return refuse_too_large(limit)
    tree: dict[str, object] = {}
    content_type = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name.startswith(_CE):
            attribute = name[len(_CE) :].decode("latin-1")
            text = _header_text(value)
            if text is None or attribute in tree or attribute in ("data", "data_base64", "datacontenttype"):
                return Refusal(
                    code=RefusalCode.INVALID_EVENT,
                    message="a ce- header is not percent-encoded UTF-8, stands twice, or is not an attribute's",
                )
            tree[attribute] = text
    tree.setdefault("specversion", None)
    raw = body.strip(_WHITE)
    if not raw:
        return _build(tree, ABSENT, None, now=now, new_id=new_id, tenant=tenant)
    if content_type is None or not is_json_type(content_type):
        return Refusal(
            code=RefusalCode.INVALID_EVENT,
            message="the data of an event is JSON: application/json or +json",
            path="/data",
        )
    data = parse_json(raw)
    if isinstance(data, JsonFault):
        return Refusal(code=data.code, message=data.message, path="/data")
    return _build(tree, data, raw, now=now, new_id=new_id, tenant=tenant)


def same_content(one: Event, other: Event) -> bool:
    """Tell whether two events of the same key say the same: JSON is compared by value, not by its spelling."""
    return (
        one.type == other.type
        and one.subject == other.subject
        and one.time == other.time
        and one.partitionkey == other.partitionkey
        and _same_text(one.extensions, other.extensions)
        and _same_text(one.data, other.data)
    )


def refuse_too_large(limit: int) -> Refusal:
    """Refuse an event that has more than `limit` bytes."""
    return Refusal(code=RefusalCode.TOO_LARGE, message=f"an event may have {limit} bytes at most")


def _read(tree: object, text: bytes, *, now: int, new_id: Callable[[], str], tenant: str | None) -> Incoming | Refusal:
    """Read an event in JSON format from its parsed tree, with the bytes of `data` out of its text."""
    if not isinstance(tree, dict):
        return Refusal(code=RefusalCode.INVALID_EVENT, message="an event is a JSON object")
    if "data" not in tree:
        return _build(tree, ABSENT, None, now=now, new_id=new_id, tenant=tenant)
    raw = _read_data(text).data
    return _build(
        tree, tree["data"], bytes(raw) if isinstance(raw, Raw) else None, now=now, new_id=new_id, tenant=tenant
    )


def _build(
    tree: dict[str, object], data: object, raw: bytes | None, *, now: int, new_id: Callable[[], str], tenant: str | None
) -> Incoming | Refusal:
    extensions = None
    if "specversion" in tree:
        tree = {name: value for name, value in tree.items() if value is not None or name in ("specversion", "data")}
        fault = find_cloudevent_fault(tree)
        if fault is None:
            further = extensions_of(tree)
            extensions = _write(further) if further else None
    else:
        fault = find_fault(tree)
    if fault is not None:
        return fault
    # From here on every attribute that is there is a text: `attributes` has judged it.
    get: Callable[[str], str | None] = tree.get  # type: ignore[assignment]
    envelope = _Envelope(
        id=get("id"),
        type=get("type"),
        source=get("source"),
        subject=get("subject"),
        time=get("time"),
        tenant=get("tenant"),
        partitionkey=get("partitionkey"),
        traceparent=get("traceparent"),
    )
    return _finish(envelope, data, raw, extensions, now=now, new_id=new_id, tenant=tenant)


def _read_plainly(line: bytes) -> tuple[_Envelope, object, bytes | None] | None:
    """Read a generic event: its attributes, the value of its data, and the bytes of that. None: not sure."""
    try:
        envelope = _read_envelope(line)
    except ValueError:  # it is no JSON, no object, not UTF-8, has another attribute, or one of another type
        return None
    # That no attribute stands twice is shown as `strictjson` shows it, here with the data as it was written.
    if not shows_all_keys(line, _write(envelope)) or not is_plain(envelope):
        return None
    if envelope.data is None:
        return envelope, ABSENT, None
    raw = bytes(envelope.data)
    data = parse_json(raw, max_depth=MAX_DEPTH - 1)
    return None if isinstance(data, JsonFault) else (envelope, data, raw)


def _finish(
    envelope: _Envelope,
    data: object,
    raw: bytes | None,
    extensions: bytes | None,
    *,
    now: int,
    new_id: Callable[[], str],
    tenant: str | None,
) -> Incoming | Refusal:
    """Make the event of attributes that were judged."""
    kind, written_id, own_tenant = envelope.type or "", envelope.id, envelope.tenant
    identity = new_id() if written_id is None else written_id
    if tenant is not None and own_tenant != tenant:
        if own_tenant is not None:
            return Refusal(
                code=RefusalCode.NOT_ALLOWED,
                message="this sender is bound to another tenant",
                path="/tenant",
                id=written_id,
                type=kind,
            )
        own_tenant = tenant
    source, subject, time, partitionkey = envelope.source, envelope.subject, envelope.time, envelope.partitionkey
    parts = (identity, kind, source or "", subject or "", time or "", own_tenant or "", partitionkey or "", "")
    told = _UNIT.join(parts).encode()
    if extensions is not None:
        told += extensions
    if raw is not None:
        told = b"%b\x1f%b" % (told, raw)
    event = Event(
        id=identity,
        type=kind,
        source=source,
        subject=subject,
        time=time,
        tenant=own_tenant,
        partitionkey=partitionkey,
        traceparent=envelope.traceparent,
        extensions=extensions,
        data=raw,
        accepted_at=now,
        digest=blake2b(told, digest_size=16).digest(),
    )
    return Incoming(event=event, data=data, made_id=written_id is None)


def _header_text(value: bytes) -> str | None:
    """Give the text of a `ce-` header: quotes go first, then percent-encoding (section 3.1.3.2); None: not UTF-8."""
    text = value.decode("latin-1").strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        return None


def _same_text(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or same_json(parse_json(one), parse_json(other))
