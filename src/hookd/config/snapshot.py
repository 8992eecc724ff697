"""Every file of a config, read once into memory, at a moment when nothing moved.

Rules of this module:

1. A git checkout, a save over several files or a copy is not atomic: each changed file is absent for a moment. So all
   files are listed and read, and then listed again; if a name, inode, size or time differs, all is read again.
2. After this nobody opens a file of the config: what was checked is what runs, and the hash is of what was read.
3. Files are named as a person would name them: the main file as it was given, the others beside it. The hash knows
   their paths relative to the main file only, so that it is the same on every machine.
4. A file counts once, however many patterns and links lead to it, under the first name in the order of the entries.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.beside import give_way
from hookd.config.listing import Listed, list_wanted, read_wanted, tell_unreadable
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.reading import Moved, read_file, stamp_of
from hookd.config.text.strictyaml import parse_anyway
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hookd.config.listing import Wanted
    from hookd.config.reading import Stamp

#: Tries, and the pause between two of them in seconds: a file that is being replaced is whole again within 1 s.
_TRIES: Final = 20
_PAUSE: Final = 0.05


class Snapshot:
    """The files of a config: `main` names the main one; `files` holds the content of each, in the order of reading.

    Schema files come to it later, through `add`. `roots` are directories that hold, or may come to hold, a file of it.
    """

    def __init__(
        self,
        main: str,
        files: Mapping[str, bytes],
        *,
        wanted: Wanted | None = None,
        listed: Listed | None = None,
        stamps: Mapping[str, Stamp] | None = None,
    ) -> None:
        self.main = main
        self._files = dict(files)
        self._wanted = wanted  # None: made in memory, and nothing on disk can differ from it
        self._listed = listed or Listed({name: Place(file=main) for name in files if name != main})
        self._stamps = dict(stamps or {})

    @classmethod
    def of_copies(cls, main: str, files: Mapping[str, bytes], included: Iterable[str]) -> Snapshot:
        """Give a snapshot of files that were read at another time: nothing on disk can differ from it."""
        return cls(main, files, listed=Listed({name: Place(file=main) for name in included}))

    def amended(self, root: str, changes: Mapping[str, bytes | None]) -> Snapshot:
        """Give the files as they are once files of the managed directory `root` are written so, or gone (None)."""
        written = {name: content for name, content in changes.items() if content is not None}
        files = {name: content for name, content in self._files.items() if name not in changes}
        listed = {name: place for name, place in self._listed.files.items() if name not in changes}
        # The managed directory comes last, sorted, as when it is listed.
        inside = f"{root.rstrip('/')}/"
        managed = {name: place for name, place in listed.items() if name.startswith(inside)}
        asked = self._wanted.managed if self._wanted is not None else None
        managed.update(dict.fromkeys(written, Place(file=self.main) if asked is None else asked[1]))
        others = {name: place for name, place in listed.items() if name not in managed}
        return Snapshot(
            self.main,
            {**files, **written},
            wanted=self._wanted,
            listed=Listed({**others, **dict(sorted(managed.items()))}, self._listed.roots),
            stamps={name: stamp for name, stamp in self._stamps.items() if name not in changes},
        )

    def take_stamps(self, names: Iterable[str]) -> None:
        """Take these files as they lie on disk now for those that were read: we have just written them so."""
        for name in names:
            stamp = stamp_of(name)
            if name in self._files and stamp is not None:
                self._stamps[name] = stamp

    @property
    def files(self) -> Mapping[str, bytes]:
        """The content of each file by name, the main one first."""
        return self._files

    @property
    def included(self) -> tuple[str, ...]:
        """The names of the included and managed files, in the order in which they count."""
        return tuple(self._listed.files)

    @property
    def roots(self) -> tuple[str, ...]:
        """Directories to watch: those of the files, and those below which a pattern may match something new."""
        beside = (os.path.dirname(name) or "." for name in self._files)  # noqa: PTH120  thousands of them
        return tuple(dict.fromkeys([*self._listed.roots, *beside]))

    @property
    def sources(self) -> Mapping[str, str]:
        """The text of each file by name, for `render_problems`."""
        return {name: content.decode("utf-8", "replace") for name, content in self._files.items()}

    @property
    def hash(self) -> str:
        """12 hexadecimal digits over the paths, relative to the main file, and the contents of all files."""
        top = Path(self.main).parent
        digest = hashlib.blake2b(digest_size=6)
        directories: dict[str, str] = {}
        found: list[tuple[str, bytes]] = []
        for name, content in self._files.items():
            directory, slash, last = name.rpartition("/")
            if directory not in directories:
                inner = os.path.relpath(directory + slash or ".", top)
                directories[directory] = "" if inner == "." else f"{inner}/"
            found.append((directories[directory] + last, content))
        for path, content in sorted(found):
            named = os.fsencode(path)
            digest.update(b"%d %d\n" % (len(named), len(content)))
            digest.update(named)
            digest.update(content)
        return digest.hexdigest()

    def add(self, path: str | os.PathLike[str], place: Place | None = None) -> bytes:
        """Read one more file, such as a schema, unless it is here already, and give its content.

        Raises ConfigInvalid at `place`, where it is named, if it cannot be read.
        """
        name = os.fspath(path)
        if name not in self._files:
            try:
                self._files[name], self._stamps[name] = read_file(name)
            except (Moved, OSError) as error:
                raise ConfigInvalid([tell_unreadable(name, error, place)], self.sources) from None
        return self._files[name]

    def share(self, before: Mapping[str, bytes]) -> None:
        """Take over the very content of files read before where it is the same: who refers to it then holds it once."""
        for name, content in self._files.items():
            known = before.get(name)
            if known == content:
                self._files[name] = known

    def changes(self, seen: dict[str, Stamp]) -> Iterator[tuple[str, bytes]]:
        """Give the files that hold something else now, as they lie, half written or not. For who can do without.

        `seen` are the stamps of those that were given before, which are not given again; it is filled.
        """
        listed = () if self._wanted is None else list_wanted(self.main, self._wanted).files
        for name in (self.main, *listed):
            stamp = stamp_of(name)
            if stamp is None or stamp == (seen.get(name) or self._stamps.get(name)):
                continue
            try:
                content, seen[name] = read_file(name)
            except (Moved, OSError):
                continue
            if content != self._files.get(name):
                yield name, content

    def holds(self, name: str, content: bytes) -> bool:
        """Whether a file holds this now, without taking it in."""
        if name in self._files:
            return self._files[name] == content
        try:
            return read_file(name)[0] == content
        except (Moved, OSError):
            return False

    def settled(self) -> bool:
        """Whether the files on disk are still those that were read, and no other has come."""
        if self._wanted is not None and [*list_wanted(self.main, self._wanted).files] != [*self._listed.files]:
            return False
        return all(stamp_of(name) == stamp for name, stamp in self._stamps.items())


def read_snapshot(main: Path, *, pause: Callable[[float], None] = time.sleep, settled: bool = True) -> Snapshot:
    """Read the main file, what it includes, and its managed directory. Blocks; may take a second while files change.

    Raises ConfigInvalid: no main file, one that is not YAML, a file that is named and not there or cannot be read, or
    files that never settle. What the files say is not looked at beyond `include` and `managed_dir`.
    Not `settled`: it is not asked whether they stand still, which the caller does before it believes anything.
    """
    missed: _Unreadable | None = None
    for attempt in range(_TRIES):
        if attempt:
            pause(_PAUSE)
        # A file that is not there may be on its way: nothing else is read again for as long as it stays away.
        if missed is not None and missed.stays():
            continue
        try:
            snapshot = _read_once(str(main))
        except Moved:
            missed = None
        except _Unreadable as error:
            if missed is not None and error.problems == missed.problems:
                raise ConfigInvalid(error.problems, error.sources) from None
            missed = error
        else:
            missed = None
            if not settled or snapshot.settled():
                return snapshot
    message = "the files of the config kept changing while they were read"
    raise ConfigInvalid([Problem(Place(file=str(main)), message, "unsettled")])


#: For how many tries a file that is missing is waited for: git, editors and copies bring it back within milliseconds.
#: For a link that leads nowhere longer: who publishes a tree takes down links after what they lead to, one by one.
_PATIENCE: Final = 3
_PATIENCE_WITH_LINKS: Final = 12


class _Unreadable(ConfigInvalid):
    """Files cannot be read at this moment. State: for how many tries more they are waited for."""

    def __init__(self, problems: Iterable[Problem], names: Iterable[str], sources: Mapping[str, str]) -> None:
        super().__init__(problems, sources)
        self._seen = {name: _look_at(name) for name in names}
        has_links = any(is_link for _, is_link in self._seen.values())
        self._waits = _PATIENCE_WITH_LINKS if has_links else _PATIENCE

    def stays(self) -> bool:
        """Whether to wait for them still: none of them has come, or gone, or become another one."""
        self._waits -= 1
        return self._waits >= 0 and all(_look_at(name) == seen for name, seen in self._seen.items())


def _look_at(name: str) -> tuple[Stamp | None, bool]:
    """Give the stamp of what a name leads to, and whether it is a link."""
    return stamp_of(name), os.path.islink(name)  # noqa: PTH114  pathlib raises where a directory is closed to us


def _read_once(main: str) -> Snapshot:
    try:
        content, stamp = read_file(main)
    except FileNotFoundError:
        problem = Problem(Place(file=main), f"there is no config at {main}", "missing_file")
        raise _Unreadable([problem], [main], {}) from None
    except OSError as error:
        raise _Unreadable([tell_unreadable(main, error, None)], [main], {}) from None
    # What else is wrong with it is told by the load, which knows how to go on from there.
    document = parse_anyway(content, main)
    wanted = read_wanted(document)
    listed = list_wanted(main, wanted)
    files, stamps = {main: content}, {main: stamp}
    problems: dict[str, Problem] = {}
    for name, place in listed.files.items():
        give_way()
        try:
            files[name], stamps[name] = read_file(name)
        except OSError as error:
            problems[name] = tell_unreadable(name, error, place)
    if problems:
        raise _Unreadable(problems.values(), problems, {main: document.text})
    return Snapshot(main, files, wanted=wanted, listed=listed, stamps=stamps)
