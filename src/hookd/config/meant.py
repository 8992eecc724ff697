"""What was probably meant by a key or a value of the config that is not right.

Rules of this module:

1. Nothing here is taken for what was written: these are hints, and whoever wrote the file decides.
2. Only of a quantity is the number repeated; a value may be a secret.
3. Words of other programs are known where the contract has one word for the same thing.
"""

from __future__ import annotations

import difflib
import os
import re
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from hookd.config.building.values import ValueInvalid, parse_duration, parse_rate, parse_size
from hookd.config.problems import did_you_mean
from hookd.config.text.hidden import tell_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: What others call it. What is merely mistyped is found without.
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "endpoint": ("url",),
        "uri": ("url",),
        "target": ("url",),
        "destination": ("url",),
        "enabled": ("active",),
        "disabled": ("paused", "active"),
        "title": ("name",),
        "label": ("name",),
        "event_types": ("events",),
        "types": ("events",),
        "topics": ("events",),
        "conditions": ("filter",),
        "where": ("filter",),
        "payload": ("body", "template"),
        "extends": ("profile",),
        "inherits": ("profile",),
        "base": ("profile",),
        "retries": ("retry",),
        "max_retries": ("retry",),
        "backoff": ("retry", "schedule"),
        "delays": ("schedule",),
        "rate_limit": ("rate",),
        "parallel": ("concurrency",),
        "workers": ("concurrency",),
        "customer": ("tenant",),
        "signing": ("sign",),
        "signature": ("sign",),
        "token": ("bearer",),
        "user": ("username",),
        "login": ("username",),
        "pass": ("password",),
        "cert": ("certificate",),
        "cacert": ("ca",),
        "cafile": ("ca",),
        "socket": ("unix",),
        "listen": ("http", "inlets"),
        "includes": ("include",),
        "hooks": ("webhooks",),
        "templates": ("profiles",),
        "type": ("event",),
        "pattern": ("event",),
        "expected": ("expect",),
        "result": ("expect",),
    }
)
_DURATIONS: Final = MappingProxyType(
    {
        "ms": ("ms", 1),
        "s": ("s", 1),
        "sec": ("s", 1),
        "second": ("s", 1),
        "m": ("m", 1),
        "min": ("m", 1),
        "minute": ("m", 1),
        "h": ("h", 1),
        "hr": ("h", 1),
        "hour": ("h", 1),
        "d": ("d", 1),
        "day": ("d", 1),
        "w": ("d", 7),
        "week": ("d", 7),
    }
)
#: Milliseconds, the largest unit first.
_MS: Final = MappingProxyType({"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1})
_SIZES: Final = MappingProxyType({"": "B", "b": "B", "k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"})
_OWN: Final = re.compile(r"(?:[xX]_|X-)(?=.)")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([a-z]+)\s*", re.IGNORECASE)
_NUMBERS: Final = re.compile(r"[0-9]+")
_SIZE: Final = re.compile(r"([0-9]{1,12})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_RATE: Final = re.compile(r"([0-9]{1,9})\s*(?:/|per)\s*(s|sec|second|m|min|minute|h|hour)", re.IGNORECASE)
_OTHER_QUOTES: Final = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"


def meant_key(word: str, known: Iterable[str]) -> str | None:
    """Give the key that was probably meant by a word, of those that are known; None: nothing is near."""
    names = tuple(known)
    near = did_you_mean(word, names)
    if near is None and _OWN.match(word):
        return f"x-{word[2:]}"  # a key of the user's own
    said = _SYNONYMS.get(word.lower().replace("-", "_"), ())
    return next((name for name in said if name in names), near)


def meant_id(name: str) -> str | None:
    """Give a name as an id may be written; None if it is far from one."""
    meant = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")
    return meant if _ID.fullmatch(meant) and meant != name else None


def meant_quantity(expected: str, value: object) -> str | None:
    """Give the quantity that was probably meant, where `expected` says that one belongs (`a duration like …`)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if len(text) > _LONGEST:
        return None
    for words, guess, parse in _QUANTITIES:
        if expected.startswith(words):
            meant = guess(text)
            return meant if meant is not None and _is(parse, meant) else None
    return None


def tell_parts(text: str) -> str:
    """Say of a quantity in several units, or with a fraction, that there is one way to write it: `; …`."""
    return "; it takes one whole number and one unit" if len(_NUMBERS.findall(text)) > 1 else ""


def meant_file(path: str) -> str | None:
    """Give the name of the file beside one that is not there which was probably meant. Looks at the disk."""
    directory, _, name = path.rpartition("/")
    try:
        with os.scandir(directory or ".") as entries:
            # In a directory of thousands the one that is missing is nobody's slip of the hand.
            beside = [entry.name for entry, _ in zip(entries, range(_MOST_FILES), strict=False)]
    except OSError:
        return None
    near = difflib.get_close_matches(name, sorted(beside), n=1, cutoff=_NEAR_FILE)
    return near[0] if near else None


def meant_main(directory: str) -> str | None:
    """Give the main file that a directory has under its usual name; None: it has none. Looks at the disk."""
    usual = os.path.join(directory, _MAIN)  # noqa: PTH118  a text
    return usual if os.path.isfile(usual) else None  # noqa: PTH113  the same


def tell_odd(text: str) -> str:
    """Say what about a text is probably not meant and cannot well be seen: `; …`, or an empty text."""
    if text[:1] in _OTHER_QUOTES and text:
        return tell_quote(text[0])
    if "${" in text:
        return "; there is no ${…} here, a value stands in the file as it is"
    return tell_hidden(text)


def tell_quote(mark: str) -> str:
    """Say of a quotation mark that it is none to YAML: `; …`."""
    return f"; {mark} (U+{ord(mark):04X}) is no quotation mark to YAML"


class Quoted(NamedTuple):
    """What stands between quotation marks that are none to YAML, and the first of these."""

    text: str
    mark: str


def meant_unquoted(text: str) -> Quoted | None:
    """Give what stands between such quotation marks, or behind or before one; None: there are none."""
    if text.isascii():
        return None
    meant = text.strip(_OTHER_QUOTES)
    mark = next((each for each in (text[:1], text[-1:]) if each and each in _OTHER_QUOTES), "")
    return Quoted(meant, mark) if meant != text else None


def _guess_duration(text: str) -> str | None:
    if text.isdecimal():
        return f"{text}s"
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text):
        return None
    words = [word.lower() for _, word in parts]
    units = [_DURATIONS.get(word) or _DURATIONS.get(word.removesuffix("s")) for word in words]
    known = [unit for unit in units if unit is not None]
    if len(known) < len(parts):
        return None
    total = sum(Fraction(number) * factor * _MS[unit] for (number, _), (unit, factor) in zip(parts, known, strict=True))
    # In the smallest unit that was written, `330s` of `5m30s`; of `1.5h` in a smaller one.
    least = min(_MS[unit] for unit, _ in known)
    return next((f"{total // ms}{unit}" for unit, ms in _MS.items() if ms <= least and total % ms == 0), None)


def _guess_size(text: str) -> str | None:
    found = _SIZE.fullmatch(text)
    return None if found is None else f"{found[1]}{_SIZES[found[2].lower()]}"


def _guess_rate(text: str) -> str | None:
    if text.isdecimal():
        return f"{text}/s"
    found = _RATE.fullmatch(text)
    return None if found is None else f"{found[1]}/{found[2][0].lower()}"


def _is(parse: Callable[[str], float], text: str) -> bool:
    try:
        return parse(text) > 0
    except ValueInvalid:
        return False


_LONGEST: Final = 40
_MAIN: Final = "hookd.yaml"
_MOST_FILES: Final = 1_000
_NEAR_FILE: Final = 0.75
_QUANTITIES: Final[tuple[tuple[str, Callable[[str], str | None], Callable[[str], float]], ...]] = (
    ("a duration like", _guess_duration, parse_duration),
    ("a size like", _guess_size, parse_size),
    ("a rate like", _guess_rate, parse_rate),
)
