r"""Conditions: what one operator of a filter says about one value that is there.

Rules of this module:

1. A condition is compiled once, when a config is built, into a function of the value; a bad operand is a problem
   then, not a surprise at an event.
2. No conversion between types: an operator that does not apply to the type it meets is false (`gt` of a number
   and a text, `prefix` of a number), and so is `gt` with a boolean.
3. `ne` is true for every value that is there and is not equal, of whatever type. Missing values never come here.
4. Only `contains` looks inside an array, at its elements; of a text it finds a part. Texts order by code point, which
   is also the order of RFC 3339 times in one zone.
5. `regex` is RE2 (linear time, whatever the pattern and the text) and unanchored. Its memory is bounded: a pattern
   such as `(\pL{1,300}x)+` would take tens of megabytes and a fifth of a second.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import re2

from hookd.core.jsonvalues import Problem, same_json, take_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hookd.core.model import JSON
    from hookd.core.paths import Steps

Condition: TypeAlias = "Callable[[object], bool]"

#: What RE2 may take for one pattern; its own default is 8 MiB. `\p{L}{1,30}` fits.
_PATTERN_BYTES: Final = 1 << 20
_SMALL_PATTERN_BYTES: Final = 1 << 18


#: What other engines have and RE2, which takes linear time, cannot have.
_LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")


class OperandInvalid(ValueError):  # noqa: N818  a fact about a text, told to a person
    """An operand does not fit its operator; `problems` are places inside the operand, with messages."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def compile_condition(name: str, operand: object) -> Condition:
    """Give the function for operator `name` (of `OPERATORS`, `exists` apart) with its operand; or `OperandInvalid`."""
    problems: list[Problem] = []
    value = take_json(operand, (), problems)
    if problems:
        raise OperandInvalid(tuple(problems))
    return _COMPILERS[name](value)


def _invalid(message: str, at: Steps = ()) -> OperandInvalid:
    return OperandInvalid(((at, message),))


def _compile_eq(operand: JSON) -> Condition:
    if operand is None or isinstance(operand, bool):
        return lambda value: value is operand
    if isinstance(operand, str):
        return lambda value: value == operand  # nothing else that JSON gives is equal to a text
    if isinstance(operand, int | float):
        return lambda value: value == operand and not isinstance(value, bool)
    return lambda value: same_json(value, operand)


def _compile_ne(operand: JSON) -> Condition:
    equal = _compile_eq(operand)
    return lambda value: not equal(value)


def _compile_in(operand: JSON) -> Condition:
    if not isinstance(operand, list):
        raise _invalid("expected a list of values")
    if not operand:
        raise _invalid("an empty list matches nothing; an empty array is written {eq: []}")
    texts = frozenset(item for item in operand if isinstance(item, str))
    others = tuple(_compile_eq(item) for item in operand if not isinstance(item, str))

    def is_in(value: object) -> bool:
        if isinstance(value, str):
            return value in texts
        return any(equal(value) for equal in others)

    return is_in


def _compile_order(compare: Callable[[Any, Any], bool]) -> Callable[[JSON], Condition]:
    def compile_operand(operand: JSON) -> Condition:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        if isinstance(operand, int | float) and not isinstance(operand, bool):
            return lambda value: (
                isinstance(value, int | float) and not isinstance(value, bool) and compare(value, operand)
            )
        raise _invalid("expected a number or a text")

    return compile_operand


def _text_operand(operand: JSON) -> str:
    if not isinstance(operand, str):
        raise _invalid("expected a text")
    return operand


def _compile_prefix(operand: JSON) -> Condition:
    prefix = _text_operand(operand)
    return lambda value: isinstance(value, str) and value.startswith(prefix)


def _compile_suffix(operand: JSON) -> Condition:
    suffix = _text_operand(operand)
    return lambda value: isinstance(value, str) and value.endswith(suffix)


def _compile_contains(operand: JSON) -> Condition:
    equal = _compile_eq(operand)
    part = operand if isinstance(operand, str) else None

    def contains(value: object) -> bool:
        if isinstance(value, list):
            return any(equal(item) for item in value)
        return part is not None and isinstance(value, str) and part in value

    return contains


def _compile_regex(operand: JSON) -> Condition:
    pattern = _text_operand(operand)
    try:
        search = _compile_pattern(pattern, _PATTERN_BYTES).search
    except re2.error as error:
        if _LOOK_AROUND.search(pattern):
            raise _invalid(
                "RE2 has no look-around, `(?!…)` and the like; `not` and a second line do the same"
            ) from None
        if _BACK_REFERENCE.search(pattern):
            raise _invalid(r"RE2 has no references back, such as `\1`") from None
        raise _invalid(f"RE2 does not take this pattern: {_reason(error)}") from None
    # As bytes: for a text the binding walks it once more, to give positions that nobody asks for.
    return lambda value: isinstance(value, str) and search(value.encode()) is not None


def is_small_pattern(pattern: str) -> bool:
    """Whether RE2 needs little memory for a pattern; one that it does not take needs none."""
    try:
        _compile_pattern(pattern, _SMALL_PATTERN_BYTES)
    except re2.error as error:
        return "too large" not in _reason(error)
    return True


def _compile_pattern(pattern: str, most_bytes: int) -> Any:
    options = re2.Options()
    options.log_errors = False  # RE2 would write them to standard error, past our log
    options.never_capture = True  # whether, not where
    options.max_mem = most_bytes
    return re2.compile(pattern, options)


def _reason(error: re2.error) -> str:
    reason = error.args[0] if error.args else "no reason given"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


_COMPILERS: Final[Mapping[str, Callable[[JSON], Condition]]] = {
    "eq": _compile_eq,
    "ne": _compile_ne,
    "in": _compile_in,
    "gt": _compile_order(operator.gt),
    "gte": _compile_order(operator.ge),
    "lt": _compile_order(operator.lt),
    "lte": _compile_order(operator.le),
    "prefix": _compile_prefix,
    "suffix": _compile_suffix,
    "contains": _compile_contains,
    "regex": _compile_regex,
}

#: Every operator there is. `exists` asks about the path and not about a value, so the filter answers it.
OPERATORS: Final = (*_COMPILERS, "exists")
