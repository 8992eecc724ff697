"""Load a config: snapshot, strict parse, schema check, build; one Config or all that is wrong.

Rules of this module:

1. Every stage looks at all the files before it gives up. A file that is not YAML does not keep the others from being
   put together, but what it may hold is not missed then (`salvage`).
2. What was read is what is built. The schemas, which are named inside, join the snapshot while it is built, and when
   a file has moved meanwhile everything is read again.
3. The revision is a hash of every byte that counts. The commit is information beside it, and may be missing.
4. A load goes on from what an earlier one has left (`reuse`): it costs the reading of the files, and what changed in
   them. One load is at work at a time, since two would share what was left.
5. Other threads run meanwhile: nothing here may hold the interpreter for long in one call, which is what walking over
   a large config, or freeing it, does.
"""

from __future__ import annotations

import gc
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, overload

from hookd.config.beside import REST_LITTLE_S, REST_LONG_S, beside_others, give_way
from hookd.config.building.build import Parsed, build_config
from hookd.config.building.reader import Findings
from hookd.config.building.reuse import Kept
from hookd.config.building.sheets import read_sheet
from hookd.config.git import read_checkout
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.salvage import find_unsure, keep_certain, read_rest
from hookd.config.snapshot import Snapshot, read_snapshot
from hookd.config.trim import give_back
from hookd.core.config import Config, Place, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from hookd.config.ahead import Ahead
    from hookd.config.building.sheets import Sheet
    from hookd.config.check import Kind
    from hookd.config.git import Checkout
    from hookd.config.schema.schemas import SchemaShelf

#: A tree that moves this often while it is built is in nobody's hands; the reading itself waits for quiet as well.
_TRIES: Final = 5

#: Files beside a schema that are looked at for an `$id`.
_MOST_BESIDE: Final = 500

#: So many new objects are not worth a walk to find garbage among them: that of 400 webhooks and of what else is young
#: takes 10 ms, in which no event is accepted.
_MANY: Final = 3_000

_one_at_a_time: Final = threading.RLock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A config and the files that it was made of, with what the next load goes on from."""

    config: Config
    snapshot: Snapshot
    kept: Kept = field(default_factory=Kept, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why there is no config, and the files that it would have been made of, if they could be read.

    `missing` are the paths of schemas that are named and could not be read.
    """

    error: ConfigInvalid
    snapshot: Snapshot | None
    missing: frozenset[str] = frozenset()
    kept: Kept = field(default_factory=Kept, repr=False, compare=False)


def load_config(main: Path) -> Config:
    """Load the config whose main file is `main`. Raises `ConfigInvalid` with every problem of the whole tree."""
    return load(main).config


def load(main: Path) -> Loaded:
    """Load a config, and keep the files that it was made of. Raises `ConfigInvalid`."""
    result = load_again(main, None)
    if isinstance(result, Rejected):
        raise result.error
    return result


@overload
def load_again(main: Path, before: None) -> Loaded | Rejected: ...
@overload
def load_again(
    main: Path, before: Loaded | Rejected | None, ahead: Ahead | None = None
) -> Loaded | Rejected | None: ...
def load_again(main: Path, before: Loaded | Rejected | None, ahead: Ahead | None = None) -> Loaded | Rejected | None:
    """Load a config if its files differ from those of `before`; None: they do not. Blocks.

    `ahead` is what was made of them while they were written, after `before`.
    """
    # Who has just checked out a tree waits for it; who saves a file does not mind a moment more.
    with one_load(REST_LONG_S if ahead is None else REST_LITTLE_S):
        result = _load_again(main, before, ahead)
    if result is not None:
        give_back()
    return result


@contextmanager
def one_load(rest_s: float = REST_LITTLE_S) -> Iterator[None]:
    """Do the work of a load: one at a time, with others running, and the collector of garbage waiting.

    `rest_s` is for how many seconds it may rest for those others.
    """
    with _one_at_a_time, beside_others(rest_s), _collector_paused():
        yield


def _load_again(main: Path, before: Loaded | Rejected | None, ahead: Ahead | None) -> Loaded | Rejected | None:
    work = _Work(Kept() if before is None else before.kept)
    for attempt in range(_TRIES):
        try:
            # Whether they stand still is asked at the end, so it is asked twice only when they did not.
            snapshot = read_snapshot(main, settled=attempt > 0)
        except ConfigInvalid as error:
            return Rejected(error=_add_main(main, error, work), snapshot=None, kept=work.kept)
        if before is not None and before.snapshot is not None:
            snapshot.share(before.snapshot.files)
            if _is_same(before.snapshot, snapshot) and not missing_came(before):
                if snapshot.settled():
                    return None
                continue
        if ahead is not None:
            work.kept = ahead.join(work.kept, snapshot)
        shelf = Shelf(snapshot)
        try:
            config = work.load(snapshot, shelf, partial(read_checkout, main, snapshot.files))
        except ConfigInvalid as error:
            if snapshot.settled():
                return Rejected(error=error, snapshot=snapshot, missing=frozenset(shelf.missing), kept=work.kept)
            continue
        if snapshot.settled():
            return Loaded(config=config, snapshot=snapshot, kept=work.kept)
    message = "the files of the config kept changing while they were read"
    unsettled = ConfigInvalid([Problem(Place(file=str(main)), message, "unsettled")])
    return Rejected(error=unsettled, snapshot=None, kept=work.kept)


def _add_main(main: Path, error: ConfigInvalid, work: _Work) -> ConfigInvalid:
    """Add what is wrong in the files that could be read to what kept the others from it: all problems at once."""
    # What is seen of files that move is true of no moment, and would be told as if it stood there.
    rest = None if all(problem.code == "unsettled" for problem in error.problems) else read_rest(main)
    if rest is None:
        return error
    snapshot, missing = rest
    try:
        work.load(snapshot, Shelf(snapshot), lambda: None, whole=False)
    except ConfigInvalid as more:
        problems = [*error.problems, *missing, *more.problems]
        return ConfigInvalid(problems, {**error.sources, **more.sources, **_sources(snapshot, missing)})
    return error


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking over a million new objects again and again while they are made.

    What a load leaves behind has no cycles and is freed by itself; what it makes stays for as long as the config does.
    If it made much, the collector shall not walk over it later either: with 10,000 webhooks that takes up to a second,
    in which no other thread runs. What is frozen is still freed when nobody refers to it.
    """
    enabled = gc.isenabled()
    gc.disable()
    before = gc.get_count()[0]
    try:
        yield
    finally:
        if gc.get_count()[0] - before > _MANY:
            gc.freeze()
        if enabled:
            gc.enable()


def missing_came(before: Loaded | Rejected) -> bool:
    """Whether a schema that was missing is there now."""
    return isinstance(before, Rejected) and any(os.path.lexists(path) for path in before.missing)


def _is_same(before: Snapshot, now: Snapshot) -> bool:
    """Whether the files, and the schemas that `before` came to, hold what they held."""
    if before.included != now.included or any(before.files[name] != content for name, content in now.files.items()):
        return False
    return all(now.holds(name, content) for name, content in before.files.items())


def load_snapshot(snapshot: Snapshot, checkout: Checkout | None = None, shelf: SchemaShelf | None = None) -> Config:
    """Make a Config of files that were read. Only the schemas that they name are read still, into the snapshot.

    `shelf` gives the schemas instead, and then nothing is read at all.
    Raises `ConfigInvalid` with all problems and the sources that they are in.
    """
    with one_load():
        return _Work(Kept()).load(snapshot, shelf or Shelf(snapshot), lambda: checkout)


def load_amended(base: Loaded, snapshot: Snapshot) -> Loaded:
    """Make a Config of files of which most are those of `base`, as `load_snapshot` does. Raises `ConfigInvalid`."""
    with one_load():
        work = _Work(base.kept)
        config = work.load(snapshot, Shelf(snapshot), lambda: None)
        return Loaded(config=config, snapshot=snapshot, kept=work.kept)


class _Work:
    """One load, which may need several tries: `kept` is what it goes on from, and in the end what it leaves."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    def load(
        self,
        snapshot: Snapshot,
        shelf: SchemaShelf,
        ask_checkout: Callable[[], Checkout | None],
        *,
        whole: bool = True,
    ) -> Config:
        """Make a Config. Not `whole`: a file is missing in the snapshot, so what it may solve is not told."""
        problems: list[Problem] = []
        sheets: list[Sheet] = []
        is_unread = not whole
        for name in (snapshot.main, *snapshot.included):
            give_way()
            try:
                sheet = self._read(name, snapshot)
            except ConfigInvalid as error:
                problems.extend(error.problems)
                is_unread = True
                continue
            problems.extend(sheet.problems)
            sheets.append(sheet)
        try:
            if is_unread or any(sheet.flaws for sheet in sheets):
                problems += self._find_certain(snapshot, sheets, shelf, problems, whole=not is_unread)
                silent = frozenset().union(*(sheet.silent for sheet in sheets))
                problems = [problem for problem in problems if (problem.place, problem.code) not in silent]
                self.kept = replace(self.kept, sheets={sheet.file: sheet for sheet in sheets})
                raise ConfigInvalid(problems, _sources(snapshot, problems))
            return self._build(snapshot, sheets, shelf, ask_checkout, Findings(problems))
        finally:
            for sheet in sheets:
                sheet.shed()

    def _read(self, name: str, snapshot: Snapshot) -> Sheet:
        content = snapshot.files[name]
        known = self.kept.sheets.get(name)
        kind: Kind = "main" if name == snapshot.main else "included"
        # A file that the check found something in is looked at again: it is about to be mended.
        if known is not None and known.kind == kind and not known.problems and known.content == content:
            return known
        return read_sheet(content, name, kind)

    def _build(
        self,
        snapshot: Snapshot,
        sheets: Sequence[Sheet],
        shelf: SchemaShelf,
        ask_checkout: Callable[[], Checkout | None],
        findings: Findings,
    ) -> Config:
        def revise() -> Revision:
            checkout = None if findings.problems else ask_checkout()
            if checkout is None:
                return Revision(hash=snapshot.hash)
            return Revision(hash=snapshot.hash, commit=checkout.commit, dirty=checkout.dirty)

        parsed = Parsed(main=sheets[0], included=sheets[1:], before=self.kept)
        config, self.kept = build_config(parsed, shelf, revise, findings)
        if findings.problems:
            raise ConfigInvalid(findings.problems, _sources(snapshot, findings.problems))
        return config

    def _find_certain(
        self, snapshot: Snapshot, sheets: list[Sheet], shelf: SchemaShelf, problems: list[Problem], *, whole: bool
    ) -> list[Problem]:
        """Put the files together that could be read; give what is wrong with them whatever the others say."""
        has_main = bool(sheets) and sheets[0].file == snapshot.main
        main = sheets[0] if has_main else read_sheet(b"", snapshot.main, "main")
        findings = Findings(problems)
        unsure = find_unsure(sheets, has_main=has_main, whole=whole)
        parsed = Parsed(main=main, included=sheets[1:] if has_main else sheets, before=self.kept, unsure=unsure)
        build_config(parsed, shelf, lambda: Revision(hash=""), findings)
        return keep_certain(findings.problems[len(problems) :], unsure)


def _sources(snapshot: Snapshot, problems: Iterable[Problem]) -> dict[str, str]:
    """Give the text of the files that problems name."""
    named: set[str] = set()
    for problem in problems:
        named.add(problem.place.file)
        if problem.also is not None:
            named.add(problem.also.file)
    return {name: content.decode("utf-8", "replace") for name, content in snapshot.files.items() if name in named}


class Shelf:
    """Schema files by way of the snapshot, so that they count and are watched. `missing` could not be read."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.missing: set[str] = set()

    def read(self, path: str, named_at: Place) -> bytes:
        """Give the content of a file. Raises `ConfigInvalid`."""
        try:
            return self._snapshot.add(path, named_at)
        except ConfigInvalid:
            self.missing.add(path)
            raise

    def beside(self, path: str) -> Iterable[str]:
        """Give the schema files in the directory of a file, sorted."""
        directory = os.path.dirname(path)  # noqa: PTH120  a text, as in the snapshot
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208  the same
        except OSError:
            return ()
        schemas = (name for name in names if name.endswith((".json", ".schema.yaml")))
        return [f"{directory}/{name}" for name, _ in zip(schemas, range(_MOST_BESIDE), strict=False)]
