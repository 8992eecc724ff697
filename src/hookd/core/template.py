"""Templates: from what stands under `body.template` to a function that gives the bytes of a body.

Rules of this module:

1. `$(path)` with nothing around it is the value itself, of any JSON type; with text around it, it is text.
   `$(path?)` may be missing. `$$` is a dollar sign, and so is a `$` before anything but `(` and `$`.
2. Keys are literal. The key `...` spreads the object that its `$(path)` gives; one per mapping.
3. Numbers, booleans and null stand for themselves.
4. A template is compiled once per config and all its problems are reported at once, each with its place inside it.
   What does not depend on the event is encoded then, and not at every delivery.
5. Written keys win over spread ones as the receiver reads them: in a form, what PHP would take for a written key is
   dropped, or a producer could set the receiver's token (` token`, `token[x]`).
6. A template does nothing but look up and insert: no expressions, no loops, no code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hookd.core.encoding import encode_form, first_byte, name_in_php, parse_for_form
from hookd.core.jsonvalues import Problem, is_key, take_json
from hookd.core.paths import JSON_ATTRIBUTES, Path, PathInvalid, parse_path
from hookd.core.render import (
    Member,
    Node,
    RenderFailed,
    Scope,
    list_node,
    member,
    object_node,
    spread_member,
    text_piece,
    value_piece,
)

if TYPE_CHECKING:
    from hookd.core.paths import Steps

__all__ = [
    "DEFAULT_TEMPLATE",
    "RenderFailed",
    "Scope",
    "Template",
    "TemplateInvalid",
    "compile_template",
]

#: What a webhook sends that says nothing about its body: the payload of Standard Webhooks 1.0.0.
DEFAULT_TEMPLATE: Final[Mapping[str, str]] = {"type": "$(type)", "timestamp": "$(time)", "data": "$(data?)"}

_SPREAD: Final = "..."
#: A dollar that means something: `$$`, a whole `$(…)` (a quoted key may hold a parenthesis), or one left open. The
#: bound keeps a long text of open ones from costing its square.
_DOLLAR: Final = re.compile(r"""\$\$|\$\(((?:[^")]|"(?:[^"\\]|\\.)*"){0,512})\)|\$\(""")


#: Names that PHP takes as they are.
_is_plain: Final = re.compile(r"[A-Za-z0-9_-]*").fullmatch


class TemplateInvalid(ValueError):  # noqa: N818  a fact about a config, told to a person
    """A template does not compile: `problems` names all of them, as (place inside the template, message).

    `numbers` says of those that are about one `$(…)` which `$(` of its text that is, counted from 0.
    """

    def __init__(self, problems: tuple[Problem, ...], numbers: Mapping[Problem, int]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems
        self.numbers = numbers


class Template:
    """A compiled template.

    `written` is what it was compiled from, for showing. `paths` are all that it names, in its order;
    `secret_names` the secrets among them, which a Scope must bring.
    `fits_form` tells whether it can give a form: a mapping does, and so may a single value of the event's JSON.
    """

    __slots__ = ("__weakref__", "_keys", "_names", "_node", "_whole", "fits_form", "paths", "secret_names", "written")

    def __init__(
        self, node: Node, paths: tuple[Path, ...], *, written: object, whole: Path | None, fits_form: bool
    ) -> None:
        self._node = node
        self.written = written
        self._whole = whole
        self.paths = paths
        self.secret_names = frozenset(str(path.steps[0]) for path in paths if path.attribute == "secrets")
        self.fits_form = fits_form
        keys = (
            frozenset(key for key in written if isinstance(key, str)) if isinstance(written, Mapping) else frozenset()
        )
        #: The keys that are written beside a spread, and what PHP calls them.
        self._keys = keys if _SPREAD in keys else frozenset()
        self._names = frozenset(map(name_in_php, self._keys))

    def __repr__(self) -> str:
        return f"<Template of {len(self.paths)} paths>"

    def render_json(self, scope: Scope) -> bytes:
        """Give the body as JSON: UTF-8, compact but for what the producer wrote. Raise `RenderFailed`."""
        node = self._node
        if isinstance(node, bytes):
            return node
        try:
            body = node(scope)
        except UnicodeEncodeError:
            # An event is Unicode when it gets here, so it came out of a secret; the exception would quote it.
            raise RenderFailed("secrets", "holds a text that is not Unicode") from None
        if body is None:
            raise RenderFailed(self._whole.text if self._whole else "", "is missing, and is the whole body")
        return bytes(body)

    def render_form(self, scope: Scope) -> bytes:
        """Give the body as a form that PHP's `$_POST` reads. Raise `RenderFailed`, also when it is not an object."""
        body = self.render_json(scope)
        value = parse_for_form(body) if first_byte(body) == b"{" else None
        if not isinstance(value, Mapping):
            raise RenderFailed(self._whole.text if self._whole else "", "is not an object, and a form needs one")
        keys, names = self._keys, self._names
        if keys and not all(map(_is_plain, value)):
            value = {key: item for key, item in value.items() if key in keys or name_in_php(key) not in names}
        return encode_form(value)


def compile_template(node: object) -> Template:
    """Compile the value under `body.template`; raise `TemplateInvalid` that names all problems."""
    compiler = _Compiler()
    compiled = compiler.node(node, ())
    if compiler.problems:
        raise TemplateInvalid(tuple(compiler.problems), compiler.numbers)
    whole = compiler.paths[0] if compiler.paths and node in _spellings(compiler.paths[0]) else None
    fits_form = isinstance(node, Mapping) or (whole is not None and whole.attribute in JSON_ATTRIBUTES)
    return Template(compiled, tuple(compiler.paths), written=node, whole=whole, fits_form=fits_form)


def _spellings(path: Path) -> tuple[str, str]:
    """Give the texts that are this path with nothing around it."""
    return f"$({path.text})", f"$({path.text}?)"


class _Compiler:
    """One walk over a template, which gathers its paths and its problems."""

    __slots__ = ("numbers", "paths", "problems")

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.problems: list[Problem] = []
        self.numbers: dict[Problem, int] = {}

    def node(self, node: object, at: Steps) -> Node:
        if isinstance(node, str):
            return self._text(node, at)
        if isinstance(node, Mapping):
            return self._object(node, at)
        if isinstance(node, list | tuple):
            return list_node([self.node(item, (*at, number)) for number, item in enumerate(node)])
        return _static(take_json(node, at, self.problems))

    def _object(self, node: Mapping[object, object], at: Steps) -> Node:
        written = frozenset(key for key in node if isinstance(key, str) and key != _SPREAD)
        members: list[Member] = []
        for key, item in node.items():
            if not is_key(key, at, self.problems):
                continue
            place = (*at, key)
            if key == _SPREAD:
                path = self._spread(item, place)
                if path is not None:
                    members.append(spread_member(path, written))
                continue
            if "$(" in key:
                self.problems.append((place, "a key is literal text; `$(…)` works in values"))
            members.append(member(key, self.node(item, place)))
        return object_node(members)

    def _spread(self, node: object, at: Steps) -> Path | None:
        segments = self._segments(node, at) if isinstance(node, str) else None
        if segments is not None and len(segments) == 1:
            path = segments[0]
            if isinstance(path, Path) and path.attribute in JSON_ATTRIBUTES:
                return path
        if segments != []:  # else it has told its own problem
            self.problems.append((at, "a spread takes one path to an object, such as $(data)"))
        return None

    def _text(self, text: str, at: Steps) -> Node:
        if "$" not in text:
            return _static(take_json(text, at, self.problems))
        segments = self._segments(text, at)
        if len(segments) == 1 and isinstance(segments[0], Path):
            return value_piece(segments[0])
        if any(isinstance(segment, Path) for segment in segments):
            return text_piece(segments)
        return _static("".join(str(segment) for segment in segments))

    def _segments(self, text: str, at: Steps) -> list[str | Path]:
        """Take a text apart at its paths; empty after a problem."""
        if take_json(text, at, self.problems) is None:
            return []
        segments: list[str | Path] = []
        literal = ""
        end = number = counted = 0
        before = len(self.problems)
        for dollar in _DOLLAR.finditer(text):
            literal += text[end : dollar.start()]
            # Those too that mean nothing: behind a dollar sign, `$$(`, or inside of another one.
            number += text.count("$(", counted, dollar.start() + 1)
            counted, end = dollar.span()
            if dollar.group() == "$$":
                literal += "$"
                continue
            path = self._path(dollar.group(1), at, number)
            if path is not None:
                segments += (literal, path) if literal else (path,)
                literal = ""
        literal += text[end:]
        if literal or not segments:
            segments.append(literal)
        return segments if len(self.problems) == before else []

    def _path(self, text: str | None, at: Steps, number: int) -> Path | None:
        message = "`$(` is never closed; a dollar sign before a parenthesis is `$$`"
        if text is not None:
            try:
                path = parse_path(text)
            except PathInvalid as invalid:
                if "$(" not in text:  # else another one opens before this one is closed
                    message = str(invalid)
            else:
                self.paths.append(path)
                return path
        self.problems.append((at, message))
        self.numbers.setdefault((at, message), number)
        return None


def _static(value: object) -> bytes:
    # msgspec refuses integers beyond 64 bits, which YAML may hold.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
