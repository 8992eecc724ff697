"""What is not known of a file that was read in spite of its flaws.

Rules of this module:

1. A flaw leaves something out, and says no more of a file than that: what would stand at its path may be something
   else, or have more in it. Everything beside it is as it is written.
2. A value that is used in several places, through an alias or `<<`, is in doubt in each of them.
3. Only a file with flaws is looked at, so a good one costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hookd.config.text.document import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hookd.config.problems import Problem
    from hookd.config.text.document import Entries, Path
    from hookd.core.config import Place

#: The keys of these mappings are names, which a number or a date without quotes may be meant to be; those at the top,
#: and in a definition, are the contract's.
_NAMED: Final = frozenset({"event_types", "profiles", "webhooks"})
_DEFINITION: Final = 2


def find_doubts(root: Node, entries: Mapping[int, Entries], flaws: Iterable[Problem], file: str) -> tuple[Path, ...]:
    """Give the paths at which something may come that was left out, or that may be something else than was read.

    The flaws are a duplicate key, of which the first one stands, a key that is no text, and a tag.
    """
    return tuple(dict.fromkeys(_Search(entries, flaws, file).run(root)))


class _Search:
    """One walk over the values of a file, as they were built: aliases and merges followed."""

    def __init__(self, entries: Mapping[int, Entries], flaws: Iterable[Problem], file: str) -> None:
        self._entries = entries
        self._file = file
        self._found: list[Path] = []
        flaws = tuple(flaws)
        self._left_out = {flaw.place for flaw in flaws if flaw.code == "key_not_text"}
        self._tagged = {flaw.place for flaw in flaws if flaw.code == "tag"}
        # Of two equal keys the first, which is the one that is there.
        self._keys = self._tagged | {flaw.also for flaw in flaws if flaw.code == "duplicate_key" and flaw.also}

    def run(self, root: Node) -> list[Path]:
        self._walk(root, ())
        return self._found

    def _walk(self, node: Node, path: Path) -> None:
        if self._is(node, self._tagged) and not self._begins_with_key(node):
            self._found.append(path)
        if isinstance(node, SequenceNode):
            for index, entry in enumerate(node.value):
                self._walk(entry, (*path, index))
        elif isinstance(node, MappingNode):
            if self._lacks(node, path, frozenset()):
                self._found.append(path)
            for name, (key, value) in self._entries.get(id(node), {}).items():
                if self._is(key, self._keys):
                    self._found.append((*path, name))
                self._walk(value, (*path, name))

    def _lacks(self, node: MappingNode, path: Path, above: frozenset[int]) -> bool:
        """Tell whether a key that is no text stands in a mapping, or in one that it merges.

        Only one that may be meant for something counts.
        """
        for key, value in node.value:
            if self._is(key, self._left_out) and (not isinstance(key, ScalarNode) or _is_of_names(path)):
                return True
            if isinstance(key, ScalarNode) and key.value == "<<" and id(node) not in above:
                sources = value.value if isinstance(value, SequenceNode) else [value]
                merged = (source for source in sources if isinstance(source, MappingNode))
                if any(self._lacks(source, path, above | {id(node)}) for source in merged):
                    return True
        return False

    def _begins_with_key(self, node: Node) -> bool:
        """Tell whether a mapping begins where its first key does, so that what stands there is said of the key."""
        return isinstance(node, MappingNode) and bool(node.value) and self._is(node.value[0][0], {self._place(node)})

    def _place(self, node: Node) -> Place:
        return place_of(node, self._file)

    def _is(self, node: Node, places: set[Place]) -> bool:
        return bool(places) and self._place(node) in places


def _is_of_names(path: Path) -> bool:
    """Whether the keys of a mapping are the user's own."""
    is_definition = path == ("defaults",) or (len(path) == _DEFINITION and path[0] in _NAMED)
    return path != () and not is_definition
