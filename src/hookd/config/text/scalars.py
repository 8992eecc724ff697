"""What a plain YAML scalar is: the core schema of YAML 1.2 (section 10.3.2), with leading zeros kept as text.

Rules of this module:

1. `on`, `no`, `12:30`, `1_000` and `2024-01-01` are texts: they are what they look like.
2. Digits with a leading zero are text (a postal code, a file mode, a customer number loses nothing).
3. What JSON cannot hold (infinity, not-a-number) and what only costs time (thousands of digits) is refused.
"""

from __future__ import annotations

import math
import re
from typing import Final

#: A first character that none of these values begins with makes a scalar a text at once; most scalars are.
_MAY_BE_OTHER: Final = frozenset("0123456789+-.~nNtTfF")

_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}

_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")

#: CPython refuses to convert more than 4,300 digits at all; no config needs a hundredth of it.
_MAX_DIGITS = 400


class NumberInvalid(Exception):  # noqa: N818  a fact about the text
    """A number that cannot be kept; the message says why and shows nothing of it."""


def is_text(text: str) -> bool:
    """Whether a scalar is the text that it looks like, quoted or not: told at a glance, so not of every one that is."""
    return text != "" and text[0] not in _MAY_BE_OTHER


def parse_plain(text: str) -> str | int | float | bool | None:
    """Give the value of an unquoted scalar; raise NumberInvalid for one that JSON cannot hold."""
    if text and text[0] not in _MAY_BE_OTHER:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _FLOAT.match(text):
        return _parse_number(text)
    if _OCTAL_OR_HEX.match(text):
        if len(text) > _MAX_DIGITS:
            raise NumberInvalid(f"a number has at most {_MAX_DIGITS} digits")
        return int(text, 0)
    if _NOT_FINITE.match(text):
        raise NumberInvalid("JSON has no infinity and no not-a-number; put it in quotes if it is a text")
    return text


def _parse_number(text: str) -> int | float:
    if len(text) > _MAX_DIGITS:
        raise NumberInvalid(f"a number has at most {_MAX_DIGITS} digits")
    if _DECIMAL.match(text):
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise NumberInvalid("this number is too large to be kept; put it in quotes if it is a text")
    return number
