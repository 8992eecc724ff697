"""A file of the config as the build reads it: its plain values, and places for those who ask.

Rules of this module:

1. A file is parsed and checked once for as long as its bytes are the same: of 1,000 files of which one has changed, one
   is read anew.
2. What stays of a file between two loads is what the next load needs of it in any case: everything but its webhooks,
   of which there may be thousands. These, and the nodes that places are found by (60 times the size of the text), are
   parsed again when somebody asks. Hardly anybody does: places are for problems.
3. The few places that a config without problems needs (of an id, of a test, of a schema's name) are noted while the
   nodes are there.
4. What is large is freed in pieces, since freeing holds the interpreter for as long as it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hookd.config.beside import give_way
from hookd.config.check import check_document
from hookd.config.text.document import find_doubtful
from hookd.config.text.strictyaml import parse_anyway

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hookd.config.check import Kind
    from hookd.config.problems import Problem
    from hookd.config.text.document import Document, Path
    from hookd.core.config import Place

_WEBHOOKS: Final = "webhooks"


class Sheet:
    """A parsed file: `file` is what its places call it, `content` its bytes, `problems` what the check said of it.

    `flaws`, which are among the problems, are those in spite of which the file was read on; `silent` is what only
    follows from them, and `doubts` are the paths at which they leave something out.

    `ids` are the keys under `webhooks:`, `rest` the values of all other sections. Made by `read_sheet`. Several loads
    may share one, if only one of them is at work.
    """

    __slots__ = (
        "_document",
        "_keys",
        "_places",
        "_rest_places",
        "_webhooks",
        "content",
        "doubts",
        "file",
        "flaws",
        "ids",
        "kind",
        "problems",
        "rest",
        "silent",
    )

    def __init__(self, document: Document, content: bytes, kind: Kind) -> None:
        self.file = document.file
        self.content = content
        self.kind = kind
        self.flaws = document.flaws
        self.silent = document.silent
        self.doubts = document.doubts
        self.problems: tuple[Problem, ...] = (*document.flaws, *check_document(document, kind))
        value = document.value if isinstance(document.value, dict) else {}
        self.rest: Mapping[str, object] = {key: inner for key, inner in value.items() if key != _WEBHOOKS}
        self._document: Document | None = document
        self._webhooks: dict[str, object] | None = None
        self._places: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        self._rest_places = _note_places(document, self.rest)
        self.ids: tuple[str, ...] = tuple(self._note(document))
        if kind == "included" and not self.problems and all(key.startswith("x-") for key in self.rest):
            self._drop_nodes()  # nobody will ask for more places, unless a webhook has problems

    def section(self, key: str) -> Mapping[str, object] | None:
        """Give the mapping under a key of the file; None if there is none."""
        value = self.webhooks() if key == _WEBHOOKS else self.rest.get(key)
        return value if isinstance(value, dict) else None

    def webhooks(self) -> dict[str, object]:
        """Give what stands under `webhooks:`, parsed again if need be."""
        if self._webhooks is None:
            document = parse_anyway(self.content, self.file)
            webhooks = self._note(document)
            document.drop_nodes()
            return webhooks
        return self._webhooks

    def place(self, path: Path) -> Place:
        """Give where the value at `path` stands; of its nearest ancestor that exists, if it does not."""
        return self._places.get(path) or self._rest_places.get(path) or self._open().place(path)

    def key_place(self, path: Path) -> Place:
        """Give where the key of the value at `path` stands (the entry itself in a list); else as `place`."""
        return self._keys.get(path) or self._open().key_place(path)

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in the text at `path` its `mark` of this number stands, counted from 0; else as `place`."""
        return self._open().place_within(path, mark, number)

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of the mapping at a path of which the value may be another one; `*` if any key may come."""
        return find_doubtful(self.doubts, path)

    def shed(self) -> None:
        """Free what can be parsed again."""
        self._drop_nodes()
        self._webhooks = None
        self._places = {}
        self._keys = {}

    def _open(self) -> Document:
        if self._document is None:
            self._document = parse_anyway(self.content, self.file)
        return self._document

    def _drop_nodes(self) -> None:
        document, self._document = self._document, None
        if document is not None:
            document.drop_nodes()

    def _note(self, document: Document) -> dict[str, object]:
        """Take the webhooks out of a document, and the places that will be asked for."""
        value = document.value.get(_WEBHOOKS) if isinstance(document.value, dict) else None
        webhooks: dict[str, object] = value if isinstance(value, dict) else {}
        self._webhooks = webhooks
        self._places = _note_places(document, {_WEBHOOKS: webhooks})
        self._keys = {(_WEBHOOKS, name): document.key_place((_WEBHOOKS, name)) for name in webhooks}
        return webhooks


def _note_places(document: Document, sections: Mapping[str, object]) -> dict[Path, Place]:
    """Give the places in these sections of a document that are asked for without a problem."""
    found: dict[Path, Place] = {}
    for section, named in sections.items():
        if not isinstance(named, dict):
            continue
        definitions: Mapping[Path, object] = {(section,): named}
        if section != "defaults":
            definitions = {(section, name): definition for name, definition in named.items()}
        for path, definition in definitions.items():
            for asked in _find_asked(definition):
                found[*path, *asked] = document.place((*path, *asked))
    return found


def _find_asked(definition: object) -> Iterator[Path]:
    """Give the paths in a definition, or in an event type, of which the place is asked for."""
    if not isinstance(definition, dict):
        return
    if "schema" in definition:
        yield ("schema",)
    body, tests = definition.get("body"), definition.get("tests")
    if isinstance(body, dict) and "schema" in body:
        yield ("body", "schema")
    if isinstance(tests, list):
        yield from (("tests", index) for index in range(len(tests)))


def read_sheet(content: bytes, file: str, kind: Kind) -> Sheet:
    """Parse and check a file. Raises `ConfigInvalid` if it is not YAML; what else is wrong is in `problems`."""
    document = parse_anyway(content, file)
    give_way()
    return Sheet(document, content, kind)
