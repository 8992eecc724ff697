"""Copies of the store: made while it runs, and put in its place again.

Rules of this module:

1. A copy is one moment of the store, whole and fsynced, or it is not there. It is made by a reader (VACUUM INTO), in
   whatever process: the writer goes on meanwhile.
2. A copy says that it is one. What is made of it when it is opened must not give its deliveries the ids that the store
   gave after the copy was made: receivers know those, and would take new deliveries for repetitions. So the first to
   open a copy goes on counting at numbers that nobody has reached (`tables.prepare_file`).
3. A store is replaced only by who owns its directory, and what stood there is kept under another name, its WAL with it:
   a WAL beside another database than its own destroys it.
4. What belongs to a store and stands in files goes along (see `belongings`).
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from hookd.store.base import StoreUnusable
from hookd.store.batches import ask
from hookd.store.belongings import Belongings, PutBack, give_away, pack, put_back, read_belongings, strip, unpack
from hookd.store.lock import own_directory, sync_directory
from hookd.store.tables import APPLICATION_ID, MARK_COPY, SCHEMA_VERSION, connect, is_copy

if TYPE_CHECKING:
    from pathlib import Path

#: The name of the database in a state directory, and what SQLite keeps beside it.
DATABASE: Final = "hookd.db"
_BESIDE: Final = ("-wal", "-shm")
#: Where a SQLite file has its application id: sqlite.org/fileformat2.html#database_header.
_ID_AT: Final = 68


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy holds. `definitions` and `secrets` are files of webhooks that were defined through the API.

    `whole`: it was made as copies are made here. Else it is a file that somebody copied, and who copies that of a
    running store misses what its WAL holds.
    """

    bytes: int
    webhooks: int
    events: int
    pending: int
    dead: int
    definitions: int
    secrets: int
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of a restored copy; `kept` is where what stood there is kept, if something did."""

    kept: Path | None
    files: PutBack


def copy_database(source: Path, target: Path, managed_dir: Path | None = None) -> None:
    """Write a consistent, fsynced copy, mode 0600. Raises `StoreUnusable`; then `target` is what it was before."""
    target = target.absolute()
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            connection = connect(source, writable=False)
            try:
                # It is consistent, but neither synced nor atomic: sqlite.org/lang_vacuum.html.
                connection.execute("VACUUM INTO ?", (str(part),))
            finally:
                connection.close()
            _mark(part, read_belongings(source.parent, managed_dir))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.rename(target)
        sync_directory(target.parent)
    except (OSError, apsw.Error) as error:
        raise StoreUnusable(f"{target} cannot be written: {_reason(error)}") from None
    finally:
        for path in (part, part.with_name(f"{part.name}-journal")):
            with suppress(OSError):
                path.unlink()


def _mark(part: Path, belongings: Belongings) -> None:
    connection = connect(part, writable=True)
    try:
        connection.execute("PRAGMA synchronous=OFF").fetchall()  # the whole file is synced after this
        with connection:
            connection.execute(MARK_COPY)
            pack(connection, belongings)
    finally:
        connection.close()


def back_up(state_dir: Path, target: Path, managed_dir: Path | None = None) -> Copied:
    """Copy the store of a state directory, whether a hookd runs there or not. Raises `StoreUnusable`.

    `managed_dir` is where the webhooks stand that were defined through the API.
    """
    source = state_dir / DATABASE
    _expect_readable(source)
    if target.is_dir():
        raise StoreUnusable(f"{target} is a directory: name a file")
    if target.exists() and source.samefile(target):
        raise StoreUnusable(f"{target} is the store itself: name another file")
    if target.exists() and not is_store(target):
        raise StoreUnusable(f"{target} exists and is no backup of hookd: name another file")
    copy_database(source, target, managed_dir)
    return read_copy(target)


def restore(backup: Path, state_dir: Path, managed_dir: Path | None = None) -> Restored:
    """Put a copy into a state directory, and what belongs to it where it is missing.

    Raises `StoreLocked` if a hookd runs there, `StoreUnusable` if the copy is none or cannot be put there.
    """
    _expect_readable(backup)
    _check(backup)
    target = state_dir / DATABASE
    with own_directory(state_dir):
        part = state_dir / f"{DATABASE}.{secrets.token_hex(4)}.part"
        try:
            with part.open("xb") as file:
                os.chmod(part, 0o600)  # noqa: PTH101  before anything is in it
                with backup.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                files = put_back(_take_out(part), state_dir, managed_dir)
                give_away(part, state_dir)  # restored by root, run by another
                os.fsync(file.fileno())
            kept = _set_aside(target)
            part.rename(target)
            sync_directory(state_dir)
        except (OSError, apsw.Error) as error:
            raise StoreUnusable(f"{backup} cannot be put into {state_dir}: {_reason(error)}") from None
        finally:
            for path in (part, part.with_name(f"{part.name}-journal")):
                with suppress(OSError):
                    path.unlink()
    return Restored(kept=kept, files=files)


def _take_out(part: Path) -> Belongings:
    connection = connect(part, writable=True)
    try:
        connection.execute("PRAGMA synchronous=OFF").fetchall()  # it is synced as a whole
        belongings = unpack(connection)
        strip(connection)
        connection.execute(MARK_COPY)  # whoever made it
    finally:
        connection.close()
    return belongings


def _set_aside(database: Path) -> Path | None:
    """Keep what stands there under another name; the database stays where it is until it is replaced."""
    if not database.exists():
        for ending in _BESIDE:
            database.with_name(database.name + ending).unlink(missing_ok=True)
        return None
    with suppress(apsw.Error):  # a broken one is kept as it is
        connection = connect(database, writable=True)
        connection.close()  # the last one folds the WAL in
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{database.name}.{moment}{more}" for more in ("", *(f"-{number}" for number in range(2, 100))))
    kept = next(path for name in names if not (path := database.with_name(name)).exists())
    os.link(database, kept)
    for ending in _BESIDE:
        beside = database.with_name(database.name + ending)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + ending))
    return kept


def is_store(path: Path) -> bool:
    """Whether a file is a database of hookd, by its head."""
    try:
        with path.open("rb") as file:
            head = file.read(_ID_AT + 4)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and head[_ID_AT:] == APPLICATION_ID.to_bytes(4)


def read_copy(path: Path) -> Copied:
    """Give what a copy holds. Raises `StoreUnusable`."""
    try:
        connection = _open(path)
        try:
            [(events,)] = ask(connection, "SELECT count(*) FROM events")
            [(webhooks, pending, dead)] = ask(
                connection,
                "SELECT count(*), coalesce(sum(pending), 0), coalesce(sum(dead), 0) FROM webhooks"
                " WHERE merged_into IS NULL",
            )
            belongings = unpack(connection)
            whole = is_copy(connection)
        finally:
            connection.close()
        size = path.stat().st_size
    except (OSError, apsw.Error) as error:
        raise StoreUnusable(f"{path} cannot be read: {_reason(error)}") from None
    return Copied(
        bytes=size,
        webhooks=webhooks,
        events=events,
        pending=pending,
        dead=dead,
        definitions=len(belongings.definitions),
        secrets=len(belongings.secrets),
        whole=whole,
    )


def _open(path: Path) -> apsw.Connection:
    """Open a file that nobody writes, without making anything beside it."""
    uri = f"{path.absolute().as_uri()}?immutable=1"
    return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _expect_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise StoreUnusable(f"there is no {path}") from None
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be read: {_reason(error)}") from None


def _check(backup: Path) -> None:
    """Expect a whole copy of ours, that this hookd can read."""
    if not is_store(backup):
        raise StoreUnusable(f"{backup} is no backup of hookd")
    if backup.with_name(backup.name + "-wal").exists():
        raise StoreUnusable(f"{backup} is a store in use, or was one: `hookd backup` makes a copy that can be restored")
    try:
        connection = _open(backup)
        try:
            version = connection.pragma("user_version")
            [(verdict,), *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            connection.close()
    except apsw.Error as error:
        raise StoreUnusable(f"{backup} is damaged ({_reason(error)})") from None
    if version > SCHEMA_VERSION:
        raise StoreUnusable(f"{backup} was made by a newer hookd (schema {version})")
    if verdict != "ok":
        raise StoreUnusable(f"{backup} is damaged: SQLite's quick_check does not pass")


def _reason(error: OSError | apsw.Error) -> str:
    if isinstance(error, apsw.FullError):
        return "there is no room left"
    return (error.strerror or "an error of the system") if isinstance(error, OSError) else type(error).__name__
