"""Written quantities: `10s`, `16KiB`, `50/s`.

Rules of this module:

1. A quantity is one whole number and one unit. Nothing is guessed: a bare number has no unit and is refused, and
   there is one way to write each unit, so that two files never mean different things by the same text.
2. Sizes are binary (`KiB` is 1,024 bytes). `KB` is refused, because people disagree about it.
3. Results are what `core.config` holds: seconds as float, bytes as int, requests per second as float.
"""

from __future__ import annotations

import re
from typing import Final

from hookd.core.units import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_RATE: Final = re.compile(r"([0-9]{1,9})/(s|m|h)")

_SECONDS: Final = {"ms": SECOND / 1000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_BYTES: Final = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}


class ValueInvalid(ValueError):  # noqa: N818  a fact about a text, named like the problems it becomes
    """A text is not such a quantity; the message says what one looks like."""


def parse_duration(text: str) -> float:
    """Give the seconds of `250ms`, `10s`, `5m`, `72h` or `5d`. Raises `ValueInvalid`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueInvalid("must be a duration like 250ms, 10s, 5m, 72h or 5d")
    return int(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Give the bytes of `512B`, `16KiB`, `1MiB` or `20GiB`. Raises `ValueInvalid`."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueInvalid("must be a size like 512B, 16KiB, 1MiB or 20GiB")
    return int(match[1]) * _BYTES[match[2]]


def parse_rate(text: str) -> float:
    """Give the requests per second of `50/s`, `3000/m` or `100/h`. Raises `ValueInvalid`, for a rate of 0 too."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueInvalid("must be a rate like 50/s, 3000/m or 100/h")
    count = int(match[1])
    if count == 0:
        raise ValueInvalid("must be more than 0; `paused: true` is how to hold a webhook")
    return count / _SECONDS[match[2]]


def parse_mode(text: str) -> int:
    """Give the permission bits of an octal text like `0660`. Raises `ValueInvalid`."""
    if re.fullmatch(r"0?[0-7]{3}", text) is None:
        raise ValueInvalid('must be an octal mode in quotes, like "0660"')
    return int(text, 8)
