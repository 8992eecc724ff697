"""JSON read strictly and once: one text has one meaning, here and at every receiver.

Rules of this module:

1. The text is UTF-8 without a byte order mark, and nothing follows the value but white space (RFC 8259).
2. What parsers disagree about is refused: the same key twice, NaN and Infinity, a number beyond a double, half of a
   surrogate pair, an integer of more digits than Python reads (4,300), nesting beyond `MAX_DEPTH`.
   The stdlib decoder and msgspec each let some of these through; so the stdlib decoder runs with hooks that refuse.
3. A fault names a rule and a place (line and column), never a character of the text: the text is somebody's payload.
4. The nesting is bounded before the decoder runs, because the decoder recurses.
5. Nearly every text is read in a third of that time: msgspec decodes it, and the two things that it lets pass are
   ruled out. No escape of a surrogate is there; and no key was lost, because the value written anew has as many colons
   as the text (each member has one, and what stands in strings is the same, as long as none is written as an escape).
   What cannot be ruled out, and every fault, is left to the stdlib decoder: a test holds the two against each other.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.scanner import make_scanner
from math import isinf
from typing import TYPE_CHECKING, Final

import msgspec

from hookd.core.jsonvalues import is_unicode
from hookd.core.model import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Callable

#: Deeper texts are refused: every parser on the way recurses, and people do not nest like this.
MAX_DEPTH: Final = 64

_WHITE: Final = " \t\r\n"
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_AS_LIST: Final = bytes.maketrans(b"{}", b"[]")
_STRING: Final = re.compile(rb'"[^"]*"')
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_UNSURE: Final = re.compile(rb"\\u(?:[dD][89a-fA-F]|003[aA])")  # a surrogate, or a colon
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

#: What the stdlib decoder says, in our words; its own may change and could quote the text.
_REASONS: Final = {
    "Expecting value": "a value is expected",
    "Expecting property name enclosed in double quotes": "a key in double quotes is expected",
    "Expecting ':' delimiter": "a colon is expected",
    "Expecting ',' delimiter": "a comma is expected",
    "Unterminated string starting at": "a string does not end",
    "Invalid control character at": "a control character stands in a string",
    "Invalid \\escape": "an escape in a string is not valid",
    "Invalid \\uXXXX escape": "an escape in a string is not valid",
    "Extra data": "the value ended before",
    "Illegal trailing comma before end of object": "a comma has nothing after it",
    "Illegal trailing comma before end of array": "a comma has nothing after it",
}


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Why a text was not read: `malformed_json` or `too_deep`, and a message that holds nothing of the text."""

    code: RefusalCode
    message: str


class _Refused(Exception):  # noqa: N818  raised by a hook, caught in `parse_json`; it never leaves this module
    """A hook of the decoder refuses what the grammar allows."""


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise _Refused("an object has the same key twice")
    return built


def _number_of(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise _Refused("a number is too large for a double")
    return number


def _constant_of(_name: str) -> float:
    raise _Refused("NaN and Infinity are not JSON")


# The scanner is what `JSONDecoder.decode` calls between two regular expressions for white space, a fifth of its cost.
_scan: Final[Callable[[str, int], tuple[object, int]]] = make_scanner(
    json.JSONDecoder(object_pairs_hook=_object_of, parse_float=_number_of, parse_constant=_constant_of)  # type: ignore[arg-type]  # typeshed asks for a scanner, CPython for a decoder
)


def parse_json(text: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read a JSON text strictly; gives the value, or a `JsonFault`.

    Objects are dicts, arrays lists, numbers int or float. `max_depth` counts nested objects and arrays.
    """
    if text.count(b"[") + text.count(b"{") > max_depth and _deeper_than(text, max_depth):
        return JsonFault(RefusalCode.TOO_DEEP, f"nested more than {max_depth} levels deep")
    try:
        value = _decode(text)
        if shows_all_keys(text, _encode(value)):
            return value
    except (ValueError, OverflowError):  # msgspec's own errors and UnicodeDecodeError are ValueErrors
        pass
    return _parse_slowly(text)


def shows_all_keys(text: bytes, anew: bytes) -> bool:
    """Tell whether certainly no key was lost between a text and what was decoded of it, written `anew` (rule 5)."""
    return anew.count(b":") == text.count(b":") and (b"\\" not in text or _UNSURE.search(text) is None)


def _parse_slowly(text: bytes) -> object:
    try:
        decoded = text.decode()
        start = len(decoded) - len(decoded.lstrip(_WHITE)) if decoded[:1] in _WHITE else 0
        value, end = _scan(decoded, start)
        if end != len(decoded):
            _expect_white(decoded, end)
        if "\\u" in decoded and _SURROGATE.search(decoded) is not None:
            _expect_pairs(value)
    except (ValueError, StopIteration, _Refused) as error:
        return JsonFault(RefusalCode.MALFORMED_JSON, _explain(error, text))
    return value


def _expect_white(text: str, end: int) -> None:
    rest = text[end:].lstrip(_WHITE)
    if rest:
        raise json.JSONDecodeError("Extra data", text, len(text) - len(rest))


def _expect_pairs(value: object) -> None:
    """Refuse half of a surrogate pair. Only the decoder knows what is a pair: so what it gave must be writable."""
    if not is_unicode(json.dumps(value, ensure_ascii=False)):
        raise _Refused("a string has half of a surrogate pair")


def _explain(error: ValueError | StopIteration | _Refused, text: bytes) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start + 1}"
    if isinstance(error, json.JSONDecodeError):
        return _not_json(text, error.pos, _REASONS.get(error.msg.removesuffix(": "), "this cannot stand here"))
    if isinstance(error, StopIteration):  # so the scanner says that no value begins here
        if text.startswith(b"\xef\xbb\xbf"):
            return "begins with a byte order mark"
        return _not_json(text, error.value, "a value is expected")
    # What is left is Python's limit on the digits of an integer (`sys.set_int_max_str_digits`).
    return "an integer has too many digits"


def _not_json(text: bytes, position: int, reason: str) -> str:
    before = text.decode()[:position]
    column = position - before.rfind("\n")
    return f"not JSON at line {before.count(chr(10)) + 1} column {column}: {reason}"


def _deeper_than(text: bytes, depth: int) -> bool:
    """Tell exactly, for well-formed text, whether it nests deeper; for other text, whether its brackets may.

    Everything here runs over the whole text at C speed: escapes go, then all but brackets and quotes, then the
    strings; and each pass that removes the empty pairs takes away one level.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = _STRING.sub(b"", text.translate(None, _NOT_STRUCTURE)).translate(_AS_LIST)
    for _ in range(depth):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return b"[]" in brackets or brackets.count(b"[") > depth
