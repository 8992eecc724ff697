"""Rendering: the pieces that a compiled template is made of, and what they are rendered from.

Rules of this module:

1. A piece gives the bytes of one JSON value, or None when a path is missing: an optional one then leaves its key or
   element out, a required one raises `RenderFailed`. A null that is there is a value and stays.
2. A path with nothing around it is the value itself, spliced in as its producer's bytes. In text it is inserted as
   text (`text_of`).
3. Keys that are written win over spread ones, wherever they stand, and also when an optional value left them out:
   what a receiver gets under a key never depends on where its value happened to be missing.
4. A failure names the path and the rule, never a value: it goes into logs.
5. The levels of the event's JSON that paths step through are taken apart once per Scope.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from hookd.core.encoding import first_byte, json_string, split_json, text_of
from hookd.core.paths import JSON_ATTRIBUTES, event_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hookd.core.encoding import Level, RawJSON
    from hookd.core.model import Event
    from hookd.core.paths import Path

Piece: TypeAlias = "Callable[[Scope], RawJSON | None]"
TextPiece: TypeAlias = "Callable[[Scope], str | None]"

#: A piece, or the bytes themselves of what is the same for every event.
Node: TypeAlias = "Piece | bytes"

#: A member of an object: the comma, key and colon before its value, or all of it when nothing is left to render.
#: A spread has nothing before it: its piece gives whole members, each with its comma.
Member: TypeAlias = "tuple[bytes, Piece | None]"

_MISSING: Final = "is missing"


class RenderFailed(Exception):  # noqa: N818  a fact about an event and a template; the sender makes it an outcome
    """A template cannot be rendered for an event: `path` names where, `message` the rule; neither holds a value."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path} {message}" if path else message)
        self.path = path
        self.message = message


class Scope:
    """What one rendering sees: an event, and the secrets that the template names, already read."""

    __slots__ = ("event", "levels", "secrets")

    def __init__(self, event: Event, secrets: Mapping[str, str]) -> None:
        self.event = event
        self.secrets = secrets
        #: Levels taken apart so far, by attribute and steps.
        self.levels: dict[tuple[str | int, ...], Level] = {}

    def __repr__(self) -> str:
        return f"Scope(event.id={self.event.id!r})"


# --------------------------------------------------------------------------- leaves


def value_piece(path: Path) -> Piece:
    """Give the piece for `$(path)` with nothing around it."""
    if path.attribute in JSON_ATTRIBUTES:
        return _require(_raw(path), path)
    text = _attribute(path)

    def piece(scope: Scope) -> bytes | None:
        value = text(scope)
        return None if value is None else json_string(value)

    return _require(piece, path)


def text_piece(segments: Sequence[str | Path]) -> Piece:
    """Give the piece for a text with paths in it; a missing optional path is nothing in it."""
    parts = tuple(segment if isinstance(segment, str) else _text(segment) for segment in segments)

    def piece(scope: Scope) -> bytes:
        return json_string("".join([part if isinstance(part, str) else part(scope) for part in parts]))

    return piece


def _require(piece: Piece, path: Path) -> Piece:
    if path.optional:
        return piece
    name = path.text

    def required(scope: Scope) -> RawJSON:
        value = piece(scope)
        if value is None:
            raise RenderFailed(name, _MISSING)
        return value

    return required


def _text(path: Path) -> Callable[[Scope], str]:
    name, optional = path.text, path.optional
    find: TextPiece = _attribute(path) if path.attribute not in JSON_ATTRIBUTES else _raw_text(path)

    def text(scope: Scope) -> str:
        value = find(scope)
        if value is not None:
            return value
        if optional:
            return ""
        raise RenderFailed(name, _MISSING)

    return text


def _attribute(path: Path) -> TextPiece:
    if path.attribute == "secrets":
        name = str(path.steps[0])
        return lambda scope: scope.secrets.get(name)
    if path.attribute == "time":
        return lambda scope: event_time(scope.event)
    get: TextPiece = attrgetter(f"event.{path.attribute}")
    return get


def _raw_text(path: Path) -> TextPiece:
    find = _raw(path)

    def text(scope: Scope) -> str | None:
        value = find(scope)
        return None if value is None else text_of(value)

    return text


def _raw(path: Path) -> Piece:
    root: Piece = attrgetter(f"event.{path.attribute}")
    if not path.steps:
        return root
    hops = tuple(((path.attribute, *path.steps[:depth]), step) for depth, step in enumerate(path.steps))

    def piece(scope: Scope) -> RawJSON | None:
        value = root(scope)
        levels = scope.levels
        for prefix, step in hops:
            if value is None:
                return None
            level = levels.get(prefix)
            if level is None:
                level = levels[prefix] = split_json(value)
            value = level.get(step)
        return value

    return piece


# --------------------------------------------------------------------------- containers


def list_node(nodes: Sequence[Node]) -> Node:
    """Give the node of a list; an element that is missing is left out."""
    if all(isinstance(node, bytes) for node in nodes):
        return b"[" + b",".join(node for node in nodes if isinstance(node, bytes)) + b"]"

    def piece(scope: Scope) -> bytes:
        values = [node if isinstance(node, bytes) else node(scope) for node in nodes]
        return b"[" + b",".join([value for value in values if value is not None]) + b"]"

    return piece


def member(key: str, node: Node) -> Member:
    """Give a member that is written in a template."""
    head = b"," + json_string(key) + b":"
    return (head + node, None) if isinstance(node, bytes) else (head, node)


def spread_member(path: Path, written: frozenset[str]) -> Member:
    """Give the members of the object at `path`, but for the keys that are `written` beside the spread."""
    find = _require(_raw(path), path)

    def piece(scope: Scope) -> bytes | None:
        value = find(scope)
        if value is None:
            return None
        if first_byte(value) != b"{":
            raise RenderFailed(path.text, "is not an object, and only an object can be spread")
        parts: list[bytes] = []
        for key, item in split_json(value).items():
            if key not in written:
                parts += (b",", json_string(str(key)), b":", item)
        return b"".join(parts) or None

    return b"", piece


def object_node(members: Sequence[Member]) -> Node:
    """Give the node of an object; a member whose value is missing is left out."""
    if all(piece is None for _, piece in members):
        return b"{" + b"".join(head for head, _ in members)[1:] + b"}"

    def piece(scope: Scope) -> bytes:
        parts = [b"{"]
        for head, value_of in members:
            if value_of is None:
                parts.append(head)
                continue
            value = value_of(scope)
            if value is None:
                continue
            if head:
                parts.append(head)
            parts.append(value)
        if len(parts) > 1:
            parts[1] = parts[1][1:]  # every member brings its comma; the first needs none
        parts.append(b"}")
        return b"".join(parts)

    return piece
