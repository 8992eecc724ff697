r"""Encoding: the bytes of a body, as JSON whose parts are the producer's own, and as a form that PHP reads.

Rules of this module:

1. JSON is taken apart one level at a time into raw parts and put together again from them, never decoded and encoded
   anew: `1E2`, `-0`, `0.10`, integers of any size and escapes such as `\/` stay as they were written.
2. A form is what PHP's `http_build_query` makes and `$_POST` reads back: null is left out, true and false are `1`
   and `0`, numbers keep their digits, nested values stand in brackets (`user[tags][0]=a`) with list positions kept,
   and empty arrays and objects, which a form cannot say, are left out.
3. In a form everything but letters, digits and `_.-~` is percent-encoded as UTF-8, a space is `+`. So are the brackets
   that build structure, as `http_build_query` and every browser write them.

What PHP does on its side, and no encoding helps: in a top-level name it turns spaces and dots into `_`, it ends a
nested key at the first `]`, takes an empty nested key as "append", and stops after `max_input_vars` (1000) values.
Two names may so be one to PHP, and the later wins; `name_in_php` tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote_plus

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.core.paths import Step

#: A part of a JSON text, as it was written. `msgspec.Raw` is a buffer like bytes, and types as bytes.
RawJSON: TypeAlias = bytes

#: One level of a JSON text: members by key, elements by position.
Level: TypeAlias = "Mapping[Step, RawJSON]"

_split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode

#: Give a text as a JSON string: UTF-8, escaped only where JSON asks for it. Lone surrogates raise UnicodeEncodeError.
json_string: Final[Callable[[str], bytes]] = msgspec.json.Encoder().encode

_SPACE: Final = b" \t\n\r"


def split_json(text: RawJSON) -> Level:
    """Give the members or elements of a valid JSON text as they were written; nothing if it is neither."""
    kind = first_byte(text)
    if kind == b"{":
        return _split_object(text)  # type: ignore[return-value]  # str keys; a Mapping's key type is invariant
    if kind == b"[":
        return dict(enumerate(_split_array(text)))
    return {}


def first_byte(text: RawJSON) -> bytes:
    """Give the first byte of a JSON text that is not space; it tells what the text is."""
    view = memoryview(text)
    first = view[:1].tobytes()
    return first if first not in _SPACE else view.tobytes().lstrip(_SPACE)[:1]


def text_of(value: RawJSON) -> str:
    """Give a JSON value as it is inserted into text.

    Strings decoded, numbers with their own digits, `true` and `false`, objects and arrays as compact JSON with the
    producer's digits and escapes, null as nothing.
    """
    kind = first_byte(value)
    if kind == b'"':
        return msgspec.json.decode(value, type=str)
    if kind in {b"{", b"["}:
        return msgspec.json.format(bytes(value), indent=-1).decode()
    if kind == b"n":
        return ""
    return bytes(value).strip(_SPACE).decode()


def parse_for_form(text: RawJSON) -> object:
    """Decode a valid JSON text for `encode_form`: a number becomes the text of its digits."""
    return json.loads(bytes(text), parse_int=str, parse_float=str)


def encode_form(value: Mapping[str, object]) -> bytes:
    """Give `application/x-www-form-urlencoded` bytes of a tree of mappings, lists, texts, numbers, booleans and None.

    Numbers of Python's own are written as JSON writes them; `parse_for_form` keeps the producer's digits.
    """
    pairs: list[str] = []
    for key, item in value.items():
        _append(quote_plus(key), item, pairs)
    return "&".join(pairs).encode("ascii")


def name_in_php(key: str) -> str:
    """Give the entry of `$_POST` that a parameter of this name gets into.

    PHP drops spaces in front, ends a name at a NUL, and takes what stands in brackets for keys inside.
    """
    name, bracket, keys = key.partition("\0")[0].lstrip(" ").partition("[")
    if bracket and "]" not in keys:
        name = f"{name}_{keys}"
    return name.replace(" ", "_").replace(".", "_")


def _append(name: str, value: object, pairs: list[str]) -> None:
    if value is None:
        return
    if isinstance(value, str):
        pairs.append(f"{name}={quote_plus(value)}")
    elif isinstance(value, bool):
        pairs.append(f"{name}={value:d}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _append(f"{name}%5B{quote_plus(key)}%5D", item, pairs)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _append(f"{name}%5B{number}%5D", item, pairs)
    else:
        pairs.append(f"{name}={quote_plus(json.dumps(value))}")
