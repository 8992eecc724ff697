"""The last good config: a copy of its files in the state directory, to start from when the files are broken.

Rules of this module:

1. One archive, `STATE_DIR/last-good/config.tar`, replaced as a whole: written beside it, synced, renamed. `tar` reads
   it, so that a person can get a file back, and no `include: ["**/*.yaml"]` ever takes it for the config. It may hold
   secrets that were written into the YAML, so it is for the daemon's user alone (0600 in 0700). What a reference
   names (`{file: …}`) is not in it.
2. It is of one main file, by its absolute path, and used for no other. Paths are kept as they were: what is relative
   in a file still means what it meant, beside the original.
3. A copy is used only if its content has the hash that was written down with it.
4. Where it lies is asked of the broken main file first (`daemon.state_dir`, as far as it can be read), then of
   systemd (`$STATE_DIRECTORY`); then it is the default. Rule 2 makes trying them in turn safe.
"""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hookd.config.beside import beside_others
from hookd.config.git import Checkout
from hookd.config.load import Loaded, load_snapshot
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.reload.broken import read_daemon_section
from hookd.config.snapshot import Snapshot
from hookd.core.daemonconfig import DaemonConfig

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping

    from hookd.core.config import Place, Revision

_FOLDER: Final = "last-good"
_ARCHIVE: Final = "config.tar"
_MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
#: Where the name ends, the size stands, and the checksum begins, in a header of `tar`.
_NAME: Final = 100
_SIZE: Final = 124
_SIZE_END: Final = 136
_SUM: Final = 148


class NoLastGood(Exception):  # noqa: N818  a fact
    """There is no copy to start from; the message says where one was looked for and what was wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A config that was good once, and the archive that it was read from."""

    loaded: Loaded
    archive: Path


class Keeper:
    """Keeps the last good config of one main file below a state directory."""

    def __init__(self, state_dir: Path, main: Path) -> None:
        self._folder = state_dir / _FOLDER
        self._main = os.path.abspath(main)  # noqa: PTH100  links stay: they are how it is named
        self._kept: dict[str, object] | None = None

    @beside_others()
    def keep(self, snapshot: Snapshot, revision: Revision) -> bool:
        """Write a copy, unless it is there already; tell whether it was written. Blocks. Raises OSError."""
        manifest = self._describe(snapshot, revision)
        if self._kept is None:
            self._kept = self._read_manifest()
        if self._kept == manifest:
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fresh = self._folder / f"{_ARCHIVE}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            _write_archive(file, manifest, snapshot.files)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / _ARCHIVE)
        _sync_directory(self._folder)
        self._kept = manifest
        return True

    def _describe(self, snapshot: Snapshot, revision: Revision) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "main": self._main,
            "hash": revision.hash,
            "commit": revision.commit,
            "dirty": revision.dirty,
            "files": [_absolute(name) for name in snapshot.files],
            "included": [_absolute(name) for name in snapshot.included],
        }

    def _read_manifest(self) -> dict[str, object] | None:
        try:
            with tarfile.open(self._folder / _ARCHIVE) as archive:
                return _read_json(archive)
        except (OSError, ValueError, tarfile.TarError):
            return None


def find_last_good(main: Path, environ: Mapping[str, str] = os.environ) -> Copy:
    """Give the last good config of `main`, from wherever its state directory may be. Raises `NoLastGood`."""
    reasons: list[str] = []
    for state_dir in dict.fromkeys(_state_directories(main, environ)):
        try:
            return open_last_good(state_dir / _FOLDER / _ARCHIVE, main)
        except NoLastGood as none:
            reasons.append(str(none))
    raise NoLastGood("; ".join(reasons))


def open_last_good(archive: Path, main: Path) -> Copy:
    """Read one copy and build its config; nothing else is read. Raises `NoLastGood`."""
    try:
        manifest, files = _read_archive(archive)
        return Copy(loaded=_load(manifest, files, os.path.abspath(main)), archive=archive)  # noqa: PTH100
    except FileNotFoundError:
        raise NoLastGood(f"there is no last good config at {archive}") from None
    except OSError as error:
        raise NoLastGood(f"the last good config {archive} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, tarfile.TarError):
        raise NoLastGood(f"the last good config {archive} is damaged") from None
    except _OfAnother as other:
        raise NoLastGood(f"the last good config {archive} is of another main file, {other}") from None
    except ConfigInvalid as invalid:
        message = f"the last good config {archive} is not good for this version of hookd: {invalid.problems[0]}"
        raise NoLastGood(message) from None


class _OfAnother(Exception):  # noqa: N818  control flow inside this module
    """The copy is of the main file that the text names."""


def _state_directories(main: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    try:
        section = read_daemon_section(main.read_bytes())
    except OSError:
        section = None
    named = None if section is None else section.get("state_dir")
    if isinstance(named, str) and "\0" not in named:
        yield Path(os.path.abspath(main)).parent / named  # noqa: PTH100
    # systemd.exec(5): several are separated by colons.
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        yield Path(given)
    yield Path(DaemonConfig().state_dir)


def _load(manifest: dict[str, Any], files: dict[str, bytes], main: str) -> Loaded:
    if manifest["format"] != _FORMAT:
        raise ValueError
    if manifest["main"] != main:
        raise _OfAnother(manifest["main"])
    snapshot = Snapshot.of_copies(main, {name: files[name] for name in manifest["files"]}, manifest["included"])
    if snapshot.hash != manifest["hash"]:
        raise ValueError
    commit = manifest["commit"]
    checkout = None if commit is None else Checkout(commit=commit, dirty=manifest["dirty"])
    return Loaded(config=load_snapshot(snapshot, checkout, _Copies(snapshot)), snapshot=snapshot)


class _Copies:
    """Schemas out of a copy, never from the disk."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._files = {os.path.normpath(name): content for name, content in snapshot.files.items()}

    def read(self, path: str, named_at: Place) -> bytes:
        """Give the content of a file. Raises `ConfigInvalid`."""
        content = self._files.get(os.path.normpath(path))
        if content is None:
            raise ConfigInvalid([Problem(named_at, f"there is no copy of {path}", "missing_file")])
        return content

    def beside(self, path: str) -> Iterable[str]:
        """Give the schema files in the directory of a file, sorted."""
        directory = os.path.dirname(os.path.normpath(path))  # noqa: PTH120  a text, as in the snapshot
        endings = (".json", ".schema.yaml")
        return sorted(
            name
            for name in self._files
            if os.path.dirname(name) == directory and name.endswith(endings)  # noqa: PTH120  the same
        )


# --------------------------------------------------------------------------- the archive


def _write_archive(file: io.BufferedIOBase, manifest: Mapping[str, object], files: Mapping[str, bytes]) -> None:
    header = _Header()
    described = json.dumps(manifest, indent=1).encode()
    _add(file, header.of(_MANIFEST, described), described)
    for name, content in files.items():
        _add(file, header.of(_absolute(name).removeprefix("/"), content), content)
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _add(file: io.BufferedIOBase, header: bytes, content: bytes) -> None:
    file.write(header)
    file.write(content)
    file.write(bytes(-len(content) % tarfile.BLOCKSIZE))


class _Header:
    """Makes the headers of members, which differ in name and size alone (POSIX.1-1988, ustar).

    `tarfile` makes each from nothing, which took most of the time of keeping thousands of files.
    """

    def __init__(self) -> None:
        member = tarfile.TarInfo()
        member.mode = 0o600
        block = member.tobuf(tarfile.USTAR_FORMAT)
        self._between, self._behind = block[_NAME:_SIZE], block[_SIZE_END:_SUM]
        self._end = block[_SUM + 8 :]
        # The checksum counts its own field as spaces.
        self._sum = sum(self._between) + sum(self._behind) + sum(self._end) + 8 * ord(" ")

    def of(self, name: str, content: bytes) -> bytes:
        """Give the header of a file."""
        named = name.encode() if name.isascii() else b""
        if not 0 < len(named) <= _NAME:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            return member.tobuf(tarfile.PAX_FORMAT)
        size = b"%011o\0" % len(content)
        total = self._sum + sum(named) + sum(size)
        return b"".join((named.ljust(_NAME, b"\0"), self._between, size, self._behind, b"%06o\0 " % total, self._end))


def _read_archive(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Give the manifest and the files by their absolute paths. Nothing is unpacked onto the disk."""
    with tarfile.open(path) as archive:
        manifest = _read_json(archive)
        files = {f"/{member.name}": _content(archive, member) for member in archive if member.name != _MANIFEST}
    return manifest, files


def _read_json(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    if first is None or first.name != _MANIFEST:
        raise ValueError
    manifest = json.loads(_content(archive, first))
    if not isinstance(manifest, dict):
        raise TypeError
    return manifest


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    return b"" if content is None else content.read()


def _absolute(name: str) -> str:
    return os.path.abspath(name)  # noqa: PTH100  links stay, as in the snapshot


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
