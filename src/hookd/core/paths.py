"""Paths: how a filter or a template names a part of an event.

Rules of this module:

1. One grammar for filters and templates: an attribute, then steps: `data.items[0].sku`, `data["odd key"]`. Two
   grammars would be learned twice and drift apart.
2. `.name` and `["name"]` step into an object and `[0]` into an array; a step that does not fit what it meets is a
   missing path, never a conversion (the member "0" of an object is `data.0`).
3. A trailing `?` makes a path optional. What that means is the template's to say; a filter has `exists` for it.
4. A missing value is `ABSENT`, because JSON's null is a value like any other.
5. `time` is never missing: without one of the producer's own, the time of acceptance stands for it.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from hookd.core.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hookd.core.model import Event

Attribute: TypeAlias = Literal[
    "id",
    "type",
    "source",
    "subject",
    "time",
    "tenant",
    "partitionkey",
    "traceparent",
    "data",
    "extensions",
    "secrets",
]
Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]

#: Every attribute that a path may begin with.
ATTRIBUTES: Final[tuple[Attribute, ...]] = get_args(Attribute)

#: These hold JSON, so a path may step into them.
JSON_ATTRIBUTES: Final = frozenset({"data", "extensions"})


class Absent(Enum):
    """The type of `ABSENT`, so that a type checker can tell it from a value."""

    ABSENT = "absent"


#: Nothing is there. Not the same as None, which is JSON's null.
ABSENT: Final = Absent.ABSENT


class PathInvalid(ValueError):  # noqa: N818  a fact about a text, told to a person
    """A text is not a path; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A parsed path. `text` is what was written, without the `?` of an optional one."""

    text: str
    attribute: Attribute
    steps: Steps = ()
    optional: bool = False

    def __str__(self) -> str:
        return self.text


# A bare name is anything that the grammar does not need for itself: keys like `user-id` or `größe` need no quotes.
_NAME = re.compile(r"""[^\s.\[\]()"'$?*\\\x00-\x1f\x7f]+""")
_INDEX = re.compile(r"\[(0|[1-9][0-9]{0,8})\]")
_QUOTED = re.compile(r"""\[("(?:[^"\\\x00-\x1f]|\\.)*")\]""")


@lru_cache(maxsize=4096)  # ten thousand webhooks say the same few paths; a Path is frozen, so it can be shared
def parse_path(text: str) -> Path:
    """Give the Path that `text` says; raise `PathInvalid` with a message for a person."""
    if not text:
        raise PathInvalid("a path is empty; expected an attribute such as `type` or `data.id`")
    written = text.removesuffix("?")
    head = _NAME.match(written)
    if head is None:
        raise PathInvalid(f"`{shown(text)}`: a path begins with an attribute such as `type` or `data.id`")
    name = head.group()
    attribute = _attribute(name, written)
    steps = _parse_steps(written, head.end())
    if attribute == "secrets":
        if len(steps) != 1 or not isinstance(steps[0], str):
            raise PathInvalid(f"`{shown(written)}`: a secret is named as `secrets.NAME`")
    elif steps and attribute not in JSON_ATTRIBUTES:
        raise PathInvalid(f"`{shown(written)}`: `{attribute}` is a text and has nothing inside it")
    return Path(text=written, attribute=attribute, steps=steps, optional=written != text)


def _attribute(name: str, written: str) -> Attribute:
    for attribute in ATTRIBUTES:
        if attribute == name:
            return attribute
    near = did_you_mean(name, ATTRIBUTES)
    hint = near or f"; what the event carries is written `data.{shown(written)}`"
    raise PathInvalid(f"unknown attribute `{shown(name)}`{hint}")


def _parse_steps(text: str, start: int) -> Steps:
    steps: list[Step] = []
    at = start
    while at < len(text):
        if text[at] == "." and (name := _NAME.match(text, at + 1)):
            steps.append(name.group())
            at = name.end()
        elif index := _INDEX.match(text, at):
            steps.append(int(index.group(1)))
            at = index.end()
        elif quoted := _QUOTED.match(text, at):
            steps.append(_unquote(quoted.group(1), text))
            at = quoted.end()
        else:
            raise PathInvalid(f"`{shown(text)}`: {_expected(text, at)}")
    return tuple(steps)


def _unquote(quoted: str, text: str) -> str:
    try:
        key = json.loads(quoted)
    except ValueError:
        raise PathInvalid(f"`{shown(text)}`: a quoted key is written as a JSON string") from None
    return str(key)


def _expected(text: str, at: int) -> str:
    rest = text[at:]
    if rest.startswith("."):
        return "a name is missing after `.`" if at + 1 == len(text) else 'a key with odd characters is written ["key"]'
    if rest.startswith(("[-", "[*", "[+", "[]")):
        return "an index counts from 0, and there are no wildcards"
    if rest.startswith("['"):
        return 'a key is quoted with double quotes: ["key"]'
    if rest.startswith("["):
        return 'expected an index `[0]` or a quoted key `["key"]`'
    if rest[0] in " |":
        return "a path has no spaces, functions or defaults in it; `?` at its end says that it may be missing"
    return f"unexpected `{rest[0]}` at character {at + 1}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give `; did you mean …?` when one of `known` is close to `name`, else an empty text."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def shown(text: str) -> str:
    """Give a text of the config as an error message shows it: at most 80 characters, without control characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:80])
    return clean if len(text) <= len(clean) else clean + "…"


def event_time(event: Event) -> str:
    """Give the event's time as its producer wrote it, else its acceptance: RFC 3339, UTC, milliseconds."""
    if event.time is not None:
        return event.time
    return format_instant(event.accepted_at)
