"""A parsed file: its values, and where in the text each of them stands.

Rules of this module:

1. The place of an aliased or merged value is where it is written, which is where a person has to edit.
2. Nothing is computed for a file without problems: the nodes that the composer made are kept, and asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.problems import Problem

Path: TypeAlias = "tuple[str | int, ...]"
Entries: TypeAlias = "dict[str, tuple[Node, Node]]"

#: What `doubtful` gives of a mapping to which any key may come, and of one that is just as it was read.
ANY_KEY: Final = "*"
NO_DOUBT: Final[frozenset[str]] = frozenset()

#: Marks in a text are searched for from the first on, each time.
_MOST_MARKS: Final = 200


class Document:
    """A parsed file: `value` is made of dict, list, str, int, float, bool and None, and paths into it have places."""

    __slots__ = ("_entries", "_root", "doubts", "file", "flaws", "silent", "text", "value")

    def __init__(self, file: str, text: str, value: Any, root: Node | None, entries: dict[int, Entries]) -> None:
        self.file = file
        self.text = text
        self.value = value
        #: What is wrong with the file though it can be read, and the codes that only follow from it, with their places.
        self.flaws: tuple[Problem, ...] = ()
        self.silent: frozenset[tuple[Place, str]] = frozenset()
        #: The paths at which they leave something out, so that more may stand there, or something else.
        self.doubts: tuple[Path, ...] = ()
        self._root = root
        self._entries = entries

    def place(self, path: Path) -> Place:
        """Give where the value at `path` stands; of its nearest ancestor that exists, if it does not."""
        node = self._root
        for _, node in self._walk(path):  # noqa: B007  the last one is what is wanted
            pass
        return place_of(node, self.file)

    def key_place(self, path: Path) -> Place:
        """Give where the key of the value at `path` stands (the entry itself in a list); else as `place`."""
        place = place_of(self._root, self.file)
        for key, node in self._walk(path):
            place = place_of(key or node, self.file)
        return place

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in the text at `path` its `mark` of this number stands, counted from 0; else as `place`."""
        place, node = self.place(path), None
        for _, node in self._walk(path):  # noqa: B007  the last one is what is wanted
            pass
        if not isinstance(node, ScalarNode) or number > _MOST_MARKS:
            return place
        start, end = node.start_mark.index, node.end_mark.index
        at = start - 1
        for _ in range(number + 1):
            at = self.text.find(mark, at + 1, end)
            if at < 0:  # written as an escape
                return place
        line, before = self.text.count("\n", start, at), self.text.rfind("\n", 0, at)
        return Place(file=self.file, line=place.line + line, column=at - before)

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of the mapping at a path of which the value may be another one; `*` if any key may come."""
        return find_doubtful(self.doubts, path)

    def drop_nodes(self) -> None:
        """Forget where things stand. The nodes go piece by piece: freeing a million in one step stops all threads."""
        entries, root = self._entries, self._root
        self._entries, self._root = {}, None
        while entries:
            entries.popitem()
        for branch in root.value if isinstance(root, MappingNode) else ():
            inner = branch[1].value
            while isinstance(inner, list) and inner:
                inner.pop()

    def _walk(self, path: Path) -> Iterator[tuple[Node | None, Node]]:
        """Give the key node (in mappings) and the value node of each step of `path`, as far as it exists."""
        node = self._root
        for step in path:
            if isinstance(node, MappingNode):
                found = self._entries.get(id(node), {}).get(str(step))
                if found is None:
                    return
                key, node = found
                yield key, node
            elif isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
                node = node.value[step]
                yield None, node
            else:
                return


def find_doubtful(doubts: tuple[Path, ...], path: Path) -> frozenset[str]:
    """Give the keys of the mapping at `path` that are in doubt, `*` if any key may come."""
    if not doubts:
        return NO_DOUBT
    inner = (doubt[len(path) :] for doubt in doubts if doubt[: len(path)] == path)
    return frozenset(str(steps[0]) if steps else ANY_KEY for steps in inner)


def place_of(node: Node | None, file: str) -> Place:
    """Give where a node stands; without one, the beginning of the file."""
    if node is None:
        return Place(file=file)
    return Place(file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)
