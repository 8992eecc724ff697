"""Load a config: snapshot, strict parse, schema check, build; one Config or all that is wrong.

Rules of this module:

1. Every stage looks at all the files before it gives up. A file that is not YAML ends it before the files are put
   together, though: half a tree has profiles and webhooks missing that nobody needs to hear about.
2. What was read is what is built. The schemas, which are named inside, join the snapshot while it is built, and when
   a file has moved meanwhile everything is read again.
3. The revision is a hash of every byte that counts. The commit is information beside it, and may be missing.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, overload

from hookd.config.build import Parsed, build_config
from hookd.config.check import check_document
from hookd.config.git import read_checkout
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.reader import Findings
from hookd.config.snapshot import Snapshot, read_snapshot
from hookd.config.strictyaml import parse_yaml
from hookd.core.config import Config, Place, Revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hookd.config.git import Checkout
    from hookd.config.strictyaml import Document

#: A tree that moves this often while it is built is in nobody's hands; the reading itself waits for quiet as well.
_TRIES: Final = 5

#: Files beside a schema that are looked at for an `$id`.
_MOST_BESIDE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A config and the files that it was made of."""

    config: Config
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why there is no config, and the files that it would have been made of, if they could be read.

    `missing` are the paths of schemas that are named and could not be read.
    """

    error: ConfigInvalid
    snapshot: Snapshot | None
    missing: frozenset[str] = frozenset()


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
def load_again(main: Path, before: Loaded | Rejected | None) -> Loaded | Rejected | None: ...
def load_again(main: Path, before: Loaded | Rejected | None) -> Loaded | Rejected | None:
    """Load a config if its files differ from those of `before`; None: they do not. Blocks."""
    with _collector_paused():
        return _load_again(main, before)


def _load_again(main: Path, before: Loaded | Rejected | None) -> Loaded | Rejected | None:
    for _ in range(_TRIES):
        try:
            snapshot = read_snapshot(main)
            if before is not None and before.snapshot is not None:
                if _is_same(before.snapshot, snapshot) and not missing_came(before):
                    return None
                snapshot = read_snapshot(main)  # comparing has added schemas that it may not name any more
        except ConfigInvalid as error:
            return Rejected(error=_add_main(main, error), snapshot=None)
        shelf = _Shelf(snapshot)
        try:
            config = _load(snapshot, shelf, read_checkout(main.resolve().parent))
        except ConfigInvalid as error:
            if snapshot.settled():
                return Rejected(error=error, snapshot=snapshot, missing=frozenset(shelf.missing))
            continue
        if snapshot.settled():
            return Loaded(config=config, snapshot=snapshot)
    message = "the files of the config kept changing while they were read"
    return Rejected(error=ConfigInvalid([Problem(Place(file=str(main)), message, "unsettled")]), snapshot=None)


def _add_main(main: Path, error: ConfigInvalid) -> ConfigInvalid:
    """Add what is wrong in the main file itself to what kept the others from being read: all problems at once."""
    try:
        document = parse_yaml(main.read_bytes(), str(main))
    except (OSError, ConfigInvalid):
        return error  # it says that already
    return ConfigInvalid(
        [*error.problems, *check_document(document, "main")], {**error.sources, str(main): document.text}
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking over a million new objects again and again while they are made.

    What a load leaves behind has no cycles and is freed by itself; what it makes stays for as long as the config does.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def missing_came(before: Loaded | Rejected) -> bool:
    """Whether a schema that was missing is there now."""
    return isinstance(before, Rejected) and any(os.path.lexists(path) for path in before.missing)


def _is_same(before: Snapshot, now: Snapshot) -> bool:
    """Whether the files, and the schemas that `before` came to, hold what they held."""
    if before.included != now.included or any(before.files[name] != content for name, content in now.files.items()):
        return False
    try:
        return all(now.add(name) == content for name, content in before.files.items())
    except ConfigInvalid:
        return False


def load_snapshot(snapshot: Snapshot, checkout: Checkout | None = None) -> Config:
    """Make a Config of files that were read. Only the schemas that they name are read still, into the snapshot.

    Raises `ConfigInvalid` with all problems and the sources that they are in.
    """
    return _load(snapshot, _Shelf(snapshot), checkout)


def _load(snapshot: Snapshot, shelf: _Shelf, checkout: Checkout | None) -> Config:
    problems: list[Problem] = []
    parsed: list[Document] = []
    torn = False
    for name in (snapshot.main, *snapshot.included):
        try:
            document = parse_yaml(snapshot.files[name], name)
        except ConfigInvalid as error:
            problems.extend(error.problems)
            torn = True
            continue
        problems.extend(check_document(document, "main" if name == snapshot.main else "included"))
        parsed.append(document)
    if torn:
        raise ConfigInvalid(problems, snapshot.sources)
    findings = Findings(problems)

    def revise() -> Revision:
        if checkout is None:
            return Revision(hash=snapshot.hash)
        return Revision(hash=snapshot.hash, commit=checkout.commit, dirty=checkout.dirty)

    included = parsed[1:]
    config = build_config(Parsed(main=parsed[0], included=included), shelf, revise, findings)
    del parsed
    while included:
        included.pop()  # one at a time: a million nodes freed in one step hold everything else up
    if findings.problems:
        raise ConfigInvalid(findings.problems, snapshot.sources)
    return config


class _Shelf:
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
