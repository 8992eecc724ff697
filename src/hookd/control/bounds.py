"""What a tenant's definition may cost, so that one tenant's cannot take the time and the memory of all.

Rules of this module:

1. This is judged before anything is tried: what is too much is not compiled, not even once to say so.
2. The bounds are far above what people write by hand: a filter of hundreds of values, some patterns of a line each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hookd.config.managing.amending import Complaint
from hookd.core.conditions import is_small_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: In a filter: keys and elements, whatever they are. Each event of the tenant may be held against all of them.
MOST_VALUES: Final = 1_000
MOST_PATTERNS: Final = 8
MOST_PATTERN_LENGTH: Final = 500


def find_excess(given: Mapping[str, object]) -> tuple[Complaint, ...]:
    """Give what is too much of a definition as it was sent; nothing if it is not."""
    patterns: list[object] = []
    for count, (key, value) in enumerate(_values_in(given.get("filter")), start=1):
        if key == "regex":
            patterns.append(value)
        if count > MOST_VALUES or len(patterns) > MOST_PATTERNS:
            message = f"a filter has at most {MOST_VALUES} values, and at most {MOST_PATTERNS} of them are a `regex`"
            return (_complaint(message),)
    for pattern in patterns:
        if isinstance(pattern, str) and not (len(pattern) <= MOST_PATTERN_LENGTH and is_small_pattern(pattern)):
            message = f"a `regex` has at most {MOST_PATTERN_LENGTH} characters, and repeats little"
            return (_complaint(message),)
    return ()


def _complaint(message: str) -> Complaint:
    return Complaint(pointer="/filter", code="bad_filter", message=message)


def _values_in(top: Any) -> Iterator[tuple[object, object]]:
    """Give every key, or position, with its value, however deep; what is not a mapping or a list has none."""
    open_: list[Any] = [top]
    while open_:
        value = open_.pop()
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in inner:
            yield key, each
            open_.append(each)
