"""Strict YAML: bytes to plain values, with the place of every key and value.

Rules of this module:

1. YAML has one reading here, the one that a person expects: YAML 1.2 scalars (`scalars`), keys that are texts, no
   key twice, no tags, one document. PyYAML's own construction does the opposite of each, so libyaml only parses
   and composes nodes here, and we build the values from the nodes.
2. Anchors, aliases and `<<` work. An aliased value is built anew at each alias, so that no two parts of the value
   share an object; how many values that may make is bounded (billion laughs), and so is how deep they may go.
3. A mistake of syntax hides no other one that is certain (`resuming`).
4. A file that is YAML and breaks a rule of ours can be read on without what breaks it (`parse_anyway`): the first of
   equal keys stands, a key that is no text is left out, and a tag is passed over. So the rest can be checked as well.
5. The cycle collector pauses meanwhile. It finds no garbage in 200,000 new nodes and takes 4/5 of the time to do so.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from yaml.error import MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.composing import MAX_DEPTH, TooDeep, Written, compose_nodes, is_plain
from hookd.config.text.document import Document, place_of
from hookd.config.text.doubts import find_doubts
from hookd.config.text.hidden import explain_hidden_key, explain_hidden_space
from hookd.config.text.resuming import blank_before_next
from hookd.config.text.scalars import NumberInvalid, is_text, parse_plain
from hookd.config.text.syntax import decode_text, explain_syntax, explain_tab
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.text.document import Entries

#: How many values a file may hold, those that aliases repeat included.
MAX_VALUES: Final = 100_000


def parse_yaml(content: bytes, file: str) -> Document:
    """Read one file strictly. `file` is what its places call it. An empty file is an empty mapping.

    Raises ConfigInvalid with every problem that can be found; a mistake of syntax hides those behind it.
    """
    document = parse_anyway(content, file)
    if document.flaws:
        raise ConfigInvalid(document.flaws, {file: document.text})
    return document


def parse_anyway(content: bytes, file: str) -> Document:
    """Read one file as `parse_yaml` does, and go on where it only breaks a rule of ours: that is in `flaws` then.

    Raises ConfigInvalid if what the file means cannot be told.
    """
    text = decode_text(content, file)
    with _collector_paused():
        root = _compose(text, file)
        if root is None:
            return Document(file, text, {}, None, {})
        builder = _Builder(file, text)
        value = builder.build_root(root)
    document = Document(file, text, value, root, builder.entries)
    if builder.problems:
        if builder.is_torn or any(problem.code not in _FLAWS for problem in builder.problems):
            raise ConfigInvalid(builder.problems, {file: text})
        document.flaws, document.silent = tuple(builder.problems), builder.find_silent()
        document.doubts = find_doubts(root, builder.entries, document.flaws, file)
    return document


def _compose(text: str, file: str) -> Node | None:
    try:
        root = compose_nodes(text)
    except MarkedYAMLError as error:
        problems = [explain_syntax(error, text, file)]
        raise ConfigInvalid(_find_more(problems, text, file), {file: text}) from None
    except TooDeep as error:
        raise ConfigInvalid([Problem(place_of(error.node, file), *_TOO_DEEP)], {file: text}) from None
    if isinstance(root, ScalarNode) and not root.value and is_plain(root):
        return None  # `---` and nothing behind it
    return root


def _find_more(problems: list[Problem], text: str, file: str) -> list[Problem]:
    """Give a mistake of syntax, and those behind it that are certain; what this costs has a bound."""
    lines, budget = text.splitlines(), _MOST_READ_AGAIN
    problem = problems[0]
    while len(problems) < _MOST_MISTAKES and problem.code != "several_documents":
        rest = blank_before_next(lines, problem.place.line)
        budget -= 0 if rest is None else len(rest[0])
        if rest is None or budget < 0:
            break
        try:
            compose_nodes(rest[0])
        except MarkedYAMLError as error:
            problem = explain_syntax(error, rest[0], file)
            if problem.place.line < rest[1] or error.problem == _NO_ANCHOR:  # it may stand in what was passed over
                break
            problems.append(problem)
        except TooDeep:
            break
        else:
            break
    return problems


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Whoever found it enabled enables it again, so that threads which overlap leave it enabled.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Builder:
    """Makes the values of one file from its nodes, and collects what is wrong on the way."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self.entries: dict[int, Entries] = {}
        self.silent: set[tuple[Place, str]] = set()
        self.is_torn = False  # too much is left out for the rest to be judged
        self._file = file
        self._lines = text.splitlines()
        self._may_have_tags = "!" in text
        # Nothing can be wrong then with a scalar that is no number, and most scalars of most files are such.
        self._is_simple = text.isascii() and not self._may_have_tags and "\t" not in text
        self._count = 0
        self._above: set[int] = set()  # the collections that are being built, to notice one inside itself
        self._merging: set[int] = set()  # the same for mappings whose `<<` is being followed

    def build_root(self, root: Node) -> Any:
        """Build the whole value; one that is too large or too deep ends in a single problem."""
        try:
            return self._build(root)
        except TooDeep as error:
            self._report(error.node, *_TOO_DEEP)
        except OverflowError:
            message = f"the file holds more than {MAX_VALUES:,} values, those that aliases repeat included"
            self._report(root, message, "too_many_values")
        return None

    def _report(self, node: Node, message: str, code: str, also: Place | None = None) -> None:
        self.problems.append(Problem(place_of(node, self._file), message, code, also=also))

    def find_silent(self) -> frozenset[tuple[Place, str]]:
        """Give the places and codes of what only follows: of a value also at its key, where it may be told."""
        codes: dict[Place, set[str]] = {}
        for place, code in self.silent:
            codes.setdefault(place, set()).add(code)
        pairs = (pair for entries in self.entries.values() for pair in entries.values())
        keys = ((place_of(key, self._file), codes.get(place_of(value, self._file), ())) for key, value in pairs)
        return frozenset(self.silent) | {(place, code) for place, said in keys for code in said}

    def _silence(self, node: Node, codes: frozenset[str]) -> None:
        """Note what will only follow from what was reported: problems of these codes where the node stands."""
        place = place_of(node, self._file)
        self.silent.update((place, code) for code in codes)

    def _build(self, node: Any) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise OverflowError
        if self._is_simple and type(node) is ScalarNode and is_text(node.value):
            return node.value
        self._refuse_tag(node)
        if isinstance(node, ScalarNode):
            return self._build_scalar(node)
        if id(node) in self._above:
            self._report(node, "this value contains itself through an alias", "cycle")
            return None
        if len(self._above) == MAX_DEPTH:
            raise TooDeep(node)
        self._above.add(id(node))
        value: Any
        if isinstance(node, MappingNode):
            value = {key: self._build(entry) for key, (_, entry) in self._entries_of(node).items()}
        else:
            value = [self._build(entry) for entry in node.value]
        self._above.discard(id(node))
        return value

    def _build_scalar(self, node: Any) -> str | int | float | bool | None:
        text: str = node.value
        if not is_plain(node):
            return text
        first, last = node.start_mark.line, node.end_mark.line
        for number in range(first + 1, last + 1) if last > first else ():
            # A plain text that runs over lines swallows a tab, and with it what was meant to be a key or an entry.
            line = self._line(number)
            if "\t" in line[: len(line) - len(line.lstrip())]:
                self.problems.append(explain_tab(Place(file=self._file, line=number + 1), line))
        if not text.isascii():
            begins = not self._line(first)[: node.start_mark.column].strip(" -")
            for number in range(first if begins else first + 1, last + 1):
                hidden = explain_hidden_space(self._line(number), self._file, number + 1)
                self.problems += [hidden] if hidden else []
        try:
            return parse_plain(text)
        except NumberInvalid as error:
            self._report(node, str(error), "bad_number")
            return None

    def _line(self, number: int) -> str:
        return self._lines[number] if number < len(self._lines) else ""

    def _refuse_tag(self, node: Any) -> None:
        if not isinstance(node.tag, Written):
            self._report(node, "tags are not used here; a value is what it looks like", "tag")
            self._silence(node, _OF_SHAPE)
        elif self._may_have_tags and node.tag is not Written.QUOTED:
            # The lone `!` is resolved away by libyaml; it can be seen in the text only.
            begins = self._line(node.start_mark.line)[node.start_mark.column :]
            if begins.startswith("!"):
                self._report(node, "tags are not used here; a value is what it looks like", "tag")
                self._silence(node, _OF_SHAPE)

    def _entries_of(self, node: MappingNode) -> Entries:
        """Give the entries of a mapping by key: its own, which win, and those that `<<` brings, in written order."""
        known = self.entries.get(id(node))
        if known is not None:
            return known
        own: Entries = {}
        merge: tuple[Node, Node] | None = None
        for key, value in node.value:
            name = self._name_of(key)
            if name is None:
                self._silence(node, _OF_SHAPE if isinstance(key, ScalarNode) else _OF_SHAPE | _OF_PARTS)
                continue
            is_merge = name == "<<" and is_plain(key)
            before = own.get(name)
            if before is not None:
                shown = (
                    f"the key `{name}` stands twice in this mapping" if len(name) <= _SHOWN else "a key stands twice"
                )
                hint = "; write `<<: [*one, *other]`" if is_merge else ""
                self._report(key, shown + hint, "duplicate_key", also=place_of(before[0], self._file))
                self.is_torn = self.is_torn or is_merge
                for first in before if isinstance(before[1], MappingNode) else ():
                    self._silence(first, _OF_PARTS)
            elif is_merge:
                merge = own[name] = (key, value)
            else:
                own[name] = (key, value)
        if merge is not None:
            self._merging.add(id(node))
            own = self._merge(own, *merge)
            self._merging.discard(id(node))
        self.entries[id(node)] = own
        return own

    def _name_of(self, key: Any) -> str | None:
        if self._is_simple and type(key) is ScalarNode and is_text(key.value):
            return cast("str", key.value)
        self._refuse_tag(key)
        if not isinstance(key, ScalarNode):
            message = "a key is a text, not a list or a mapping"
            if self._line(key.start_mark.line)[: key.start_mark.column + 1].endswith("{{"):
                message = "a text that begins with `{` must be in quotes; a template is written $(data.id)"
            self._report(key, message, "key_not_text")
            return None
        try:
            name = parse_plain(key.value) if is_plain(key) else key.value
        except NumberInvalid:
            name = 0  # which is what it looks like
        if isinstance(name, str):
            hidden = None
            if not name.isascii() and is_plain(key):
                hidden = explain_hidden_key(name, place_of(key, self._file), self._line(key.start_mark.line))
            self.problems += [hidden] if hidden else []
            return name
        kind = "true or false" if isinstance(name, bool) else "null" if name is None else "a number"
        self._report(key, f"YAML reads this key as {kind}: quote it", "key_not_text")
        return None

    def _merge(self, own: Entries, key: Node, source: Node) -> Entries:
        """Put the entries of `<<: source` where it stands. The first of several sources wins, as in YAML 1.1."""
        merged: Entries = {}
        sources = source.value if isinstance(source, SequenceNode) else [source]
        for one in sources:
            if not isinstance(one, MappingNode):
                self._report_merge(key, one, "`<<` takes a mapping or a list of mappings", "bad_merge")
            elif id(one) in self._merging or id(one) in self._above:
                self._report_merge(key, one, "this value contains itself through `<<`", "cycle")
            else:
                for name, entry in self._entries_of(one).items():
                    merged.setdefault(name, entry)
        entries: Entries = {}
        for name, entry in own.items():
            if entry[1] is source and name == "<<":
                entries.update((key, value) for key, value in merged.items() if key not in own)
            else:
                entries[name] = entry
        return entries

    def _report_merge(self, key: Node, source: Node, message: str, code: str) -> None:
        """Report what `<<` brings: at the `<<`, since a person edits there, unless it is written behind it."""
        if source.start_mark.index > key.start_mark.index:
            self._report(source, message, code)
        else:  # an alias, of which libyaml tells where its anchor stands
            self._report(key, message, code, also=place_of(source, self._file))


#: A longer key is not repeated in a message.
_SHOWN = 80
#: What a file may be and still be read on.
_FLAWS: Final = frozenset({"duplicate_key", "key_not_text", "tag"})
#: What is said of a value that is not what was meant, and of a mapping that lacks what was left out.
_OF_SHAPE: Final = frozenset({"wrong_type", "bad_value"})
_OF_PARTS: Final = frozenset({"missing_key", "exactly_one", "bad_value"})
#: How many mistakes of syntax of a file are told, and how many characters are read again to find them.
_MOST_MISTAKES: Final = 20
_MOST_READ_AGAIN: Final = 1 << 20
_NO_ANCHOR: Final = "found undefined alias"
_TOO_DEEP = (f"values are nested more than {MAX_DEPTH} deep", "too_deep")
