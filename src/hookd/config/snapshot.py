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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.beside import give_way
from hookd.config.meant import meant_file
from hookd.config.patterns import RealPaths, is_pattern, list_files, pattern_root
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.reading import Moved, read_file, stamp_of
from hookd.config.text.strictyaml import parse_yaml
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hookd.config.reading import Stamp
    from hookd.config.text.document import Document

#: Tries, and the pause between two of them in seconds: a file that is being replaced is whole again within 1 s.
_TRIES: Final = 20
_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a main file asks for: entries of `include` and the managed directory, each with its place.

    It is kept instead of the parsed file, which takes 60 times as much memory for as long as the config runs.
    """

    include: tuple[tuple[str, Place], ...] = ()
    managed: tuple[str, Place] | None = None


@dataclass(frozen=True, slots=True)
class _Listed:
    """The files of a config other than the main one, by name, with the place that asks for each; where they lie."""

    files: Mapping[str, Place]
    roots: tuple[str, ...] = ()


class Snapshot:
    """The files of a config: `main` names the main one; `files` holds the content of each, in the order of reading.

    Schema files come to it later, through `add`. `roots` are directories that hold, or may come to hold, a file of it.
    """

    def __init__(
        self,
        main: str,
        files: Mapping[str, bytes],
        *,
        wanted: _Wanted | None = None,
        listed: _Listed | None = None,
        stamps: Mapping[str, Stamp] | None = None,
    ) -> None:
        self.main = main
        self._files = dict(files)
        self._wanted = wanted  # None: made in memory, and nothing on disk can differ from it
        self._listed = listed or _Listed({name: Place(file=main) for name in files if name != main})
        self._stamps = dict(stamps or {})

    @classmethod
    def of_copies(cls, main: str, files: Mapping[str, bytes], included: Iterable[str]) -> Snapshot:
        """Give a snapshot of files that were read at another time: nothing on disk can differ from it."""
        return cls(main, files, listed=_Listed({name: Place(file=main) for name in included}))

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
            listed=_Listed({**others, **dict(sorted(managed.items()))}, self._listed.roots),
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
                raise ConfigInvalid([_unreadable(name, error, place)], self.sources) from None
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
        listed = () if self._wanted is None else _list_files(self.main, self._wanted).files
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
        if self._wanted is not None and [*_list_files(self.main, self._wanted).files] != [*self._listed.files]:
            return False
        return all(stamp_of(name) == stamp for name, stamp in self._stamps.items())


def read_snapshot(main: Path, *, pause: Callable[[float], None] = time.sleep, settled: bool = True) -> Snapshot:
    """Read the main file, what it includes, and its managed directory. Blocks; may take a second while files change.

    Raises ConfigInvalid: no main file, one that is not YAML, a file that is named and not there or cannot be read, or
    files that never settle. What the files say is not looked at beyond `include` and `managed_dir`.
    Not `settled`: it is not asked whether they stand still, which the caller does before it believes anything.
    """
    problems: tuple[Problem, ...] = ()
    for attempt in range(_TRIES):
        if attempt:
            pause(_PAUSE)
        try:
            snapshot = _read_once(str(main))
        except Moved:
            continue
        except _Unreadable as error:
            # It may be on its way: asked again for a moment, and told if it stays away.
            if error.problems == problems and attempt >= _PATIENCE:
                raise ConfigInvalid(problems, error.sources) from None
            problems = error.problems
            continue
        if not settled or snapshot.settled():
            return snapshot
    message = "the files of the config kept changing while they were read"
    raise ConfigInvalid(problems or [Problem(Place(file=str(main)), message, "unsettled")])


#: For how many tries a file that is missing is waited for: git, editors and copies bring it back within milliseconds.
_PATIENCE: Final = 4


class _Unreadable(ConfigInvalid):
    """A file cannot be read at this moment."""


def _read_once(main: str) -> Snapshot:
    try:
        content, stamp = read_file(main)
    except FileNotFoundError:
        raise _Unreadable([Problem(Place(file=main), f"there is no config at {main}", "missing_file")]) from None
    except OSError as error:
        raise _Unreadable([_unreadable(main, error, None)]) from None
    document = parse_yaml(content, main)
    wanted = _read_wanted(document)
    listed = _list_files(main, wanted)
    files, stamps = {main: content}, {main: stamp}
    problems: list[Problem] = []
    for name, place in listed.files.items():
        give_way()
        try:
            files[name], stamps[name] = read_file(name)
        except OSError as error:
            problems.append(_unreadable(name, error, place))
    if problems:
        raise _Unreadable(problems, {main: document.text})
    return Snapshot(main, files, wanted=wanted, listed=listed, stamps=stamps)


def _read_wanted(document: Document) -> _Wanted:
    """Read what a main file asks for. Values of a wrong type are left to the check of the schema."""
    value = document.value if isinstance(document.value, dict) else {}
    include, managed = value.get("include"), value.get("managed_dir")
    entries = enumerate(include if isinstance(include, list) else ())
    return _Wanted(
        tuple((it, document.place(("include", number))) for number, it in entries if isinstance(it, str) and it),
        (managed, document.place(("managed_dir",))) if isinstance(managed, str) and managed else None,
    )


def _list_files(main: str, wanted: _Wanted) -> _Listed:
    """List the files that are asked for, as they lie on disk now."""
    directory = str(Path(main).parent)
    files: dict[str, Place] = {}
    roots: list[str] = []
    paths = RealPaths()
    seen = {paths.real(main)}

    def take(names: Mapping[str, bool | None], place: Place) -> None:
        for name, is_link in names.items():
            real = paths.real(name, is_link=is_link)
            if real not in seen:
                seen.add(real)
                files[name] = place

    for entry, place in wanted.include:
        roots.append(pattern_root(directory, entry))
        # The path of one file is taken as it is: that it is not there is told, and not that nothing matched.
        take(list_files(directory, entry) if is_pattern(entry) else {_beside(directory, entry): None}, place)
    if wanted.managed is not None:
        managed = _beside(directory, wanted.managed[0])
        roots.append(managed)
        take(list_files(managed, "*.yaml"), wanted.managed[1])
    return _Listed(files, tuple(roots))


def _beside(directory: str, path: str) -> str:
    return str(Path(directory) / path)


def _unreadable(name: str, error: OSError | Moved, place: Place | None) -> Problem:
    if isinstance(error, Moved):
        return Problem(place or Place(file=name), f"{name} changed while it was read", "unsettled")
    if isinstance(error, FileNotFoundError):
        return Problem(place or Place(file=name), f"there is no file at {name}", "missing_file", hint=meant_file(name))
    if isinstance(error, IsADirectoryError):
        message = f"{name} is a directory; `{name.rstrip('/')}/**/*.yaml` names the files in it"
        return Problem(place or Place(file=name), message, "unreadable_file")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem(place or Place(file=name), f"{name} cannot be read: {reason}", "unreadable_file")
