"""What belongs to a store and stands in files: webhooks that were defined through the API, and their signing secrets.

Rules of this module:

1. A copy of a store is of little use without them: what is owed to a webhook that nobody knows is held, and what it
   signs with was told once. So a copy takes them along, in a table that the store itself never has.
2. Secrets are made before the definitions that name them, and removed after. Definitions are read before and after
   the secrets, and again until they are the same: a copy holds the secrets of its definitions.
3. What is put back replaces nothing. A secret goes where its file is missing; definitions go where there are none: an
   older one among newer ones would bring back a webhook that its owner has removed since.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hookd.core.daemonconfig import SECRETS_FOLDER
from hookd.store.base import StoreUnusable
from hookd.store.lock import sync_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import apsw

_TABLE: Final = "CREATE TABLE belongings (kind TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL) STRICT"
_READ: Final = "SELECT kind, name, content FROM belongings"
_TRIES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Contents by the names of their files."""

    definitions: Mapping[str, bytes] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """How many files were put back, and how many definitions stay in the copy alone."""

    definitions: int = 0
    secrets: int = 0
    left: int = 0


def read_belongings(state_dir: Path, managed_dir: Path | None) -> Belongings:
    """Read what belongs to the store of a state directory. Raises `StoreUnusable` if it cannot be read."""
    definitions = _read_folder(managed_dir, ".yaml")
    for _ in range(_TRIES):
        found = _read_folder(state_dir / SECRETS_FOLDER, "")
        before, definitions = definitions, _read_folder(managed_dir, ".yaml")
        if definitions == before:
            return Belongings(definitions=definitions, secrets=found)
    raise StoreUnusable(f"{managed_dir} kept changing while it was read: try again")


def _read_folder(folder: Path | None, ending: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        for path in [] if folder is None else sorted(folder.iterdir()):
            if not path.name.startswith(".") and path.name.endswith(ending):
                with suppress(FileNotFoundError, IsADirectoryError):  # gone since, or nobody's definition
                    found[path.name] = path.read_bytes()
    except FileNotFoundError:
        pass  # nothing was ever defined through the API
    except OSError as error:
        raise StoreUnusable(f"{error.filename} cannot be read: {error.strerror}") from None
    return found


def pack(connection: apsw.Connection, belongings: Belongings) -> None:
    """Put them into a copy."""
    connection.execute(_TABLE)
    rows = [("definition", *each) for each in belongings.definitions.items()]
    rows += [("secret", *each) for each in belongings.secrets.items()]
    connection.executemany("INSERT INTO belongings VALUES (?, ?, ?)", rows)


def unpack(connection: apsw.Connection) -> Belongings:
    """Give what a copy holds of them: nothing, if it was made before copies held any."""
    if not connection.table_exists(None, "belongings"):
        return Belongings()
    found: dict[str, dict[str, bytes]] = {"definition": {}, "secret": {}}
    for kind, name, content in connection.execute(_READ):
        if kind in found and name == os.path.basename(name):  # noqa: PTH119  a name, which must be nothing else
            found[kind][name] = content
    return Belongings(definitions=found["definition"], secrets=found["secret"])


def strip(connection: apsw.Connection) -> None:
    """Take them out of what is going to be a store: secrets stand in their files alone."""
    connection.execute("PRAGMA secure_delete=ON").fetchall()
    connection.execute("DROP TABLE IF EXISTS belongings")


def put_back(belongings: Belongings, state_dir: Path, managed_dir: Path | None) -> PutBack:
    """Write the files that are missing, for the owner of the state directory alone.

    Raises OSError, `StoreUnusable` if it cannot be told what is there.
    """
    kept = _put_missing(belongings.secrets, state_dir / SECRETS_FOLDER, state_dir)
    if managed_dir is None or _read_folder(managed_dir, ".yaml"):
        return PutBack(secrets=kept, left=len(belongings.definitions))
    written = _put_missing(belongings.definitions, managed_dir, state_dir)
    return PutBack(definitions=written, secrets=kept)


def _put_missing(contents: Mapping[str, bytes], folder: Path, like: Path) -> int:
    """Write files that are not there yet, mode 0600, whose owner is that of `like`; give how many. Raises OSError."""
    if not contents:
        return 0
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        give_away(folder, like)
    missing = [name for name in contents if not (folder / name).exists()]
    for name in missing:
        part = folder / f".{name}.{secrets.token_hex(4)}.part"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(contents[name])
                file.flush()
                os.fsync(file.fileno())
            give_away(part, like)
            part.rename(folder / name)
        finally:
            part.unlink(missing_ok=True)
    sync_directory(folder)
    return len(missing)


def give_away(path: Path, like: Path) -> None:
    """Make a file that root has made the property of the owner of another. Raises OSError."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
