"""libyaml's nodes of one document, without the tags and the values that PyYAML would make of them.

Rules of this module:

1. A node says how it is written, and nothing is guessed of what it means.
2. libyaml's composer recurses in C: 100,000 `[` overflow its stack and kill the process. The depth is therefore counted
   while it composes, in the one method that it calls on the way down.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from yaml._yaml import CParser  # what yaml.cyaml takes it from; only here it has a type
from yaml.nodes import Node, ScalarNode

#: How deep mappings and lists may be nested.
MAX_DEPTH: Final = 64


class Written(Enum):
    """How a node without a tag is written: what `resolve` gives instead of a guessed tag."""

    PLAIN = 1
    QUOTED = 2
    COLLECTION = 3


class TooDeep(Exception):  # noqa: N818  a fact, for the flow of control
    """Values are nested too deep; `node` is the collection in which they are."""

    def __init__(self, node: Any) -> None:
        self.node = node


class _Composer(CParser):
    """libyaml's composer, which calls the three methods below on itself."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        self._depth = 0

    def resolve(self, kind: type[Node], _value: object, implicit: Any) -> Written:
        if kind is not ScalarNode:
            return Written.COLLECTION
        return Written.PLAIN if implicit[0] else Written.QUOTED

    def descend_resolver(self, parent: Any, _index: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:  # a scalar in the innermost collection is one deeper
            raise TooDeep(parent)

    def ascend_resolver(self) -> None:
        self._depth -= 1


def compose_nodes(text: str) -> Node | None:
    """Give the node of the only document; None: there is none. Raises MarkedYAMLError, and `TooDeep`."""
    composer = _Composer(text)
    try:
        root: Node | None = composer.get_single_node()
        return root
    finally:
        composer.dispose()


def is_plain(node: Any) -> bool:
    """Tell whether a scalar is written without quotes and without a tag."""
    return node.tag is Written.PLAIN
