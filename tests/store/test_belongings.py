"""Copies take the webhooks of the API and their secrets along, and put back what is missing, and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import apsw
import pytest

from hookd.store import belongings
from hookd.store.base import StoreUnusable
from hookd.store.belongings import PutBack, read_belongings
from hookd.store.copying import DATABASE, back_up, read_copy, restore
from hookd.store.sqlite import open_sqlite_store

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"whsec_CANARY\n"
DEFINITION = b"webhooks: {}\n"


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """Give a state directory with a store, a signing secret, and a managed directory beside it."""
    state, managed = tmp_path / "state", tmp_path / "managed"
    async with open_sqlite_store(state, disk_free=0, ballast=0):
        pass
    (state / "secrets").mkdir(mode=0o700)
    (state / "secrets" / "acme+crm.1").write_bytes(SECRET)
    (managed / ".git").mkdir(parents=True)
    for name in ("acme+crm.yaml", ".acme+crm.yaml.new", "README"):
        (managed / name).write_bytes(DEFINITION)
    return state


async def test_they_come_back_where_nothing_is_left(state: Path, tmp_path: Path) -> None:
    copied = back_up(state, tmp_path / "copy.db", tmp_path / "managed")
    assert (copied.definitions, copied.secrets) == (1, 1)
    fresh, managed = tmp_path / "fresh", tmp_path / "fresh-managed"
    assert restore(tmp_path / "copy.db", fresh, managed).files == PutBack(definitions=1, secrets=1)
    assert [each.name for each in managed.iterdir()] == ["acme+crm.yaml"]
    assert (managed / "acme+crm.yaml").read_bytes() == DEFINITION
    secret = fresh / "secrets" / "acme+crm.1"
    assert secret.read_bytes() == SECRET
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    # The store itself holds no secret, not even in pages that are free again.
    assert b"CANARY" not in (fresh / DATABASE).read_bytes()
    assert b"CANARY" in (tmp_path / "copy.db").read_bytes()
    async with open_sqlite_store(fresh, disk_free=0, ballast=0):
        pass
    assert read_copy(tmp_path / "copy.db") == copied


async def test_nothing_that_is_there_is_replaced(state: Path, tmp_path: Path) -> None:
    managed = tmp_path / "managed"
    (state / "secrets" / "acme+old.1").write_bytes(SECRET)
    back_up(state, tmp_path / "copy.db", managed)
    (state / "secrets" / "acme+old.1").unlink()
    (state / "secrets" / "acme+crm.1").write_bytes(b"newer")
    (managed / "acme+crm.yaml").rename(managed / "acme+new.yaml")  # its owner has removed it, and made another
    assert restore(tmp_path / "copy.db", state, managed).files == PutBack(secrets=1, left=1)
    assert (state / "secrets" / "acme+crm.1").read_bytes() == b"newer"
    assert (state / "secrets" / "acme+old.1").read_bytes() == SECRET
    assert not (managed / "acme+crm.yaml").exists()


async def test_without_a_managed_directory_they_are_told_and_kept(state: Path, tmp_path: Path) -> None:
    assert back_up(state, tmp_path / "none.db").definitions == 0
    back_up(state, tmp_path / "copy.db", tmp_path / "managed")
    assert restore(tmp_path / "copy.db", tmp_path / "fresh").files == PutBack(secrets=1, left=1)
    assert restore(tmp_path / "none.db", tmp_path / "other").files == PutBack(secrets=1)


async def test_a_copy_from_before_there_were_any_is_restored(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(state, copy, tmp_path / "managed")
    connection = apsw.Connection(str(copy))
    connection.execute("DROP TABLE belongings")
    connection.close()
    assert (read_copy(copy).definitions, read_copy(copy).secrets) == (0, 0)
    assert restore(copy, tmp_path / "fresh", tmp_path / "x").files == PutBack()


async def test_a_name_leads_nowhere_else(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(state, copy)
    connection = apsw.Connection(str(copy))
    connection.execute("INSERT INTO belongings VALUES ('secret', '../../evil', x'00'), ('other', 'x', x'00')")
    connection.close()
    assert restore(copy, tmp_path / "fresh").files == PutBack(secrets=1)
    assert not (tmp_path / "evil").exists()


async def test_definitions_and_their_secrets_are_of_one_moment(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed, real = tmp_path / "managed", belongings._read_folder
    changes = 1

    def read(folder: Path | None, ending: str) -> dict[str, bytes]:
        nonlocal changes
        found = real(folder, ending)
        if ending == "" and changes:
            changes -= 1
            (state / "secrets" / f"acme+late.{changes}").write_bytes(SECRET)
            (managed / "acme+late.yaml").write_bytes(f"# {changes}\n".encode())
        return found

    monkeypatch.setattr(belongings, "_read_folder", read)
    found = read_belongings(state, managed)
    assert (set(found.definitions), set(found.secrets)) == (
        {"acme+crm.yaml", "acme+late.yaml"},
        {"acme+crm.1", "acme+late.0"},
    )
    assert "CANARY" not in repr(found)
    changes = 1000
    with pytest.raises(StoreUnusable, match="try again"):
        read_belongings(state, managed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_what_root_puts_back_belongs_to_the_owner_of_the_state_directory(state: Path, tmp_path: Path) -> None:
    back_up(state, tmp_path / "copy.db", tmp_path / "managed")
    fresh, managed = tmp_path / "fresh", tmp_path / "fresh-managed"
    fresh.mkdir(mode=0o700)
    os.chown(fresh, 12345, 12346)
    restore(tmp_path / "copy.db", fresh, managed)
    for path in (fresh / "secrets", fresh / "secrets" / "acme+crm.1", managed, managed / "acme+crm.yaml"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346), path


async def test_a_full_disk_is_called_so(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise apsw.FullError

    monkeypatch.setattr("hookd.store.copying.pack", fail)
    with pytest.raises(StoreUnusable, match="no room left"):
        back_up(state, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_what_cannot_be_read_is_named(state: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnusable, match="file cannot be read: Not a directory"):
        back_up(state, tmp_path / "copy.db", tmp_path / "file")
    assert not (tmp_path / "copy.db").exists()
