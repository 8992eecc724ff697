"""JSON values that stand in a config: which Python values are ones, and when two are the same.

Rules of this module:

1. A value of a config is copied once, when it is compiled, into plain dicts and lists: what was merged or frozen
   before compares like what a JSON decoder gives.
2. No conversion: a boolean is not a number (Python thinks that True is 1), "1" is not 1. Integers and floats are both
   JSON's numbers and compare by value, exactly.
3. What JSON cannot say (NaN, infinities, dates, keys that are not strings, lone surrogates) is a problem with its
   place, never a silent string.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from hookd.core.model import JSON
    from hookd.core.paths import Steps

Problem: TypeAlias = "tuple[Steps, str]"


def take_json(value: object, at: Steps, problems: list[Problem]) -> JSON:
    """Give a plain copy of `value`; what is not JSON goes to `problems` as (place, message), with null in its stead."""
    if isinstance(value, Mapping):
        return {key: take_json(item, (*at, key), problems) for key, item in value.items() if is_key(key, at, problems)}
    if isinstance(value, list | tuple):
        return [take_json(item, (*at, number), problems) for number, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        problem = _scalar_problem(value)
        if problem is None:
            return value
    else:
        problem = f"expected a JSON value, not {type(value).__name__}"
    problems.append((at, problem))
    return None


def _scalar_problem(value: object) -> str | None:
    if isinstance(value, str) and not is_unicode(value):
        return "the text is not Unicode: it holds half of a surrogate pair"
    if isinstance(value, float) and not math.isfinite(value):
        return "JSON has no such number"
    return None


def is_key(key: object, at: Steps, problems: list[Problem]) -> TypeGuard[str]:
    """Tell whether `key` can be the key of a JSON object; if not, append why to `problems`."""
    if not isinstance(key, str):
        problems.append((at, f"a key must be a text: quote it ({type(key).__name__} here)"))
        return False
    if not is_unicode(key):
        problems.append((at, "a key is not Unicode: it holds half of a surrogate pair"))
        return False
    return True


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def same_json(left: object, right: object) -> bool:
    """Tell whether two decoded JSON values are the same value; booleans and numbers differ at every depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and len(left) == len(right)
            and all(key in right and same_json(item, right[key]) for key, item in left.items())
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same_json(one, other) for one, other in zip(left, right, strict=True))
        )
    return left == right
