"""The copy of the last good config: what is in it, who may read it, when it is used and when it is not."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from hookd.config.load import load
from hookd.config.reload.broken import read_daemon_section
from hookd.config.reload.lastgood import Keeper, NoLastGood, find_last_good, open_last_good
from hookd.config.snapshot import Snapshot
from hookd.core.config import Reference, ReferenceKind, Revision
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
    version: 1
    daemon: {state_dir: state}
    include: [hooks/**/*.yaml]
    event_types: {a: {schema: s/a.json}}
"""
HOOK = """
    webhooks:
      %s:
        url: https://example.com/
        events: [a]
        headers: {X-Key: {file: ../secrets/key}}
        body: {schema: ../s/out.json}
"""
SCHEMAS = {"s/a.json": '{"$ref": "deep/b.json"}', "s/deep/b.json": '{"type": "object"}', "s/out.json": "{}"}


def make(top: Path) -> Path:
    main = write_tree(top, main=MAIN, hooks__a=HOOK % "a", hooks__b=HOOK % "b", **SCHEMAS)
    write_tree(top, **{"secrets/key": "hunter2"})
    (top / "state").mkdir(exist_ok=True)
    return main


def keep(main: Path) -> Path:
    loaded = load(main)
    assert Keeper(main.parent / "state", main).keep(loaded.snapshot, loaded.config.revision)
    return main.parent / "state" / "last-good" / "config.tar"


def test_a_copy_is_the_same_config_without_any_file_of_it(tmp_path: Path) -> None:
    main = make(tmp_path / "conf")
    before = load(main).config
    archive = keep(main)
    for name in ("hookd.yaml", "hooks", "s"):
        path = main.parent / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    after = open_last_good(archive, main).loaded.config
    assert after.revision == before.revision
    assert after.daemon == before.daemon
    assert list(after.webhooks) == ["a", "b"]
    for name, webhook in after.webhooks.items():
        assert webhook.digest == before.webhooks[name].digest
        assert webhook.fingerprint == before.webhooks[name].fingerprint
    # What is relative still means what it meant, beside the original.
    secret = dict(after.webhooks["a"].headers)["X-Key"]
    assert secret == Reference(ReferenceKind.FILE, str(tmp_path / "conf" / "secrets" / "key"))
    validator = after.event_types["a"].validator
    assert validator is not None
    assert validator.fault([]) is not None
    assert validator.fault({}) is None


def written(path: Path) -> tuple[int, int, int]:
    """Which file it is and when it was written; who reads it moves its access time, which is no change."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def test_a_copy_is_for_its_owner_alone_and_holds_no_secret_of_a_file(tmp_path: Path) -> None:
    main = make(tmp_path)
    old = os.umask(0)
    try:
        archive = keep(main)
    finally:
        os.umask(old)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert archive.parent.stat().st_mode & 0o777 == 0o700
    assert b"hunter2" not in archive.read_bytes()
    with tarfile.open(archive) as copy:
        names = [f"/{name}" for name in copy.getnames()[1:]]
        assert {member.mode for member in copy} == {0o600}
        assert all(member.isreg() for member in copy)
    relative = {os.path.relpath(name, tmp_path) for name in names}
    assert relative == {"hookd.yaml", "hooks/a.yaml", "hooks/b.yaml", *SCHEMAS}
    for name in names:
        with tarfile.open(archive) as copy:
            member = copy.extractfile(name[1:])
            assert member is not None
            assert member.read() == (tmp_path / name).read_bytes()


def test_a_copy_is_written_only_when_it_says_something_new(tmp_path: Path) -> None:
    main = make(tmp_path)
    archive = keep(main)
    loaded = load(main)
    before = written(archive)
    for keeper in (Keeper(tmp_path / "state", main), Keeper(tmp_path / "state", main)):  # as after a restart
        assert not keeper.keep(loaded.snapshot, loaded.config.revision)
        assert not keeper.keep(loaded.snapshot, loaded.config.revision)
    assert written(archive) == before
    write_tree(tmp_path, hooks__b=HOOK % "c")
    loaded = load(main)
    assert keeper.keep(loaded.snapshot, loaded.config.revision)
    assert written(archive)[0] != before[0]  # renamed over the old one, never written into it
    assert list(open_last_good(archive, main).loaded.config.webhooks) == ["a", "c"]
    assert os.listdir(archive.parent) == ["config.tar"]  # noqa: PTH208  the names are what is asked


def test_a_copy_that_was_cut_off_does_not_take_the_place_of_the_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = make(tmp_path)
    archive = keep(main)
    write_tree(tmp_path, hooks__b=HOOK % "c")
    loaded = load(main)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    keeper = Keeper(tmp_path / "state", main)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            keeper.keep(loaded.snapshot, loaded.config.revision)
    assert list(open_last_good(archive, main).loaded.config.webhooks) == ["a", "b"]
    assert keeper.keep(loaded.snapshot, loaded.config.revision)
    assert list(open_last_good(archive, main).loaded.config.webhooks) == ["a", "c"]


def test_a_link_that_was_put_in_its_place_is_not_followed(tmp_path: Path) -> None:
    main = make(tmp_path)
    archive = keep(main)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (archive.parent / "config.tar.new").symlink_to(victim)
    write_tree(tmp_path, hooks__b=HOOK % "c")
    loaded = load(main)
    with pytest.raises(OSError, match="symbolic links"):
        Keeper(tmp_path / "state", main).keep(loaded.snapshot, loaded.config.revision)
    assert victim.read_text() == "precious"


def test_a_copy_of_another_main_file_is_not_used(tmp_path: Path) -> None:
    archive = keep(make(tmp_path))
    with pytest.raises(NoLastGood, match=r"of another main file, .*/hookd\.yaml"):
        open_last_good(archive, tmp_path / "hokd.yaml")


def test_a_relative_name_is_the_same_main_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = make(tmp_path)
    archive = keep(main)
    monkeypatch.chdir(tmp_path)
    config = open_last_good(archive, main.relative_to(tmp_path)).loaded.config
    assert config.revision == load(main.relative_to(tmp_path)).config.revision


@pytest.mark.parametrize("how", ["junk", "empty", "cut", "other content", "no manifest", "other format", "a list"])
def test_a_damaged_copy_is_not_used(tmp_path: Path, how: str) -> None:
    main = make(tmp_path)
    archive = keep(main)
    whole = archive.read_bytes()
    damaged = {
        "junk": b"junk",
        "empty": b"",
        "cut": whole[: len(whole) // 3],
        "other content": whole.replace(b"https://example.com/", b"https://attacker.com"),
        "no manifest": whole.replace(b"manifest.json", b"manifesto.jso"),
        "other format": whole.replace(b'"format": 1', b'"format": 7'),
        "a list": whole.replace(b"\n{", b"\n["),
    }[how]
    if how == "a list":
        with tarfile.open(archive, "w") as copy:
            member = tarfile.TarInfo("manifest.json")
            copy.addfile(member)
        damaged = archive.read_bytes()
    archive.write_bytes(damaged)
    with pytest.raises(NoLastGood, match="damaged"):
        open_last_good(archive, main)


def test_a_copy_that_a_newer_hookd_refuses_says_why(tmp_path: Path) -> None:
    main = make(tmp_path)
    archive = keep(main)
    snapshot = Snapshot.of_copies(str(main), {str(main): b"version: 9\n"}, [])
    Keeper(tmp_path / "state", main).keep(snapshot, Revision(hash=snapshot.hash))
    with pytest.raises(NoLastGood, match=r"not good for this version of hookd: .*hookd\.yaml:1:"):
        open_last_good(archive, main)


@pytest.mark.parametrize("broken", ["webhooks: [\n", "webhooks: {a: 5}\n", "<<<<<<< HEAD\n"])
def test_the_broken_file_itself_leads_to_its_state(tmp_path: Path, broken: str) -> None:
    main = make(tmp_path)
    keep(main)
    with main.open("a") as file:
        file.write(broken)
    assert list(find_last_good(main, {}).loaded.config.webhooks) == ["a", "b"]


@pytest.mark.parametrize("text", [None, "", "\0", "daemon: [\n", "daemon: 5\n", "daemon: {state_dir: [x]}\n"])
def test_a_file_that_says_nothing_leaves_it_to_the_service_manager(tmp_path: Path, text: str | None) -> None:
    main = make(tmp_path)
    keep(main)
    if text is None:
        main.unlink()
    else:
        main.write_text(text)
    given = {"STATE_DIRECTORY": f"{tmp_path}/state:/var/lib/other"}
    assert list(find_last_good(main, given).loaded.config.webhooks) == ["a", "b"]
    with pytest.raises(NoLastGood, match="/var/lib/hookd/last-good"):
        find_last_good(main, {})


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    main = make(tmp_path)
    archive = keep(main)
    archive.unlink()
    archive.mkdir()
    with pytest.raises(NoLastGood, match="cannot be read: Is a directory"):
        open_last_good(archive, main)


def test_the_daemon_section_of_a_broken_file() -> None:
    assert read_daemon_section(b"daemon: {state_dir: x}\n") == {"state_dir": "x"}
    assert read_daemon_section(b"daemon:\n  state_dir: x\nwebhooks: [\n") == {"state_dir": "x"}
    for text in (b"", b"\xff", b"webhooks: [\n", b"daemon: 1\n", b"- daemon\n", b"daemon: {\nx\n"):
        assert read_daemon_section(text) is None


def test_the_manifest_can_be_read_by_people(tmp_path: Path) -> None:
    main = make(tmp_path)
    with tarfile.open(keep(main)) as copy:
        first = copy.extractfile("manifest.json")
        assert first is not None
        manifest = json.load(first)
    assert manifest["main"] == str(main)
    assert manifest["hash"] == load(main).config.revision.hash
    assert manifest["included"] == [f"{tmp_path}/hooks/a.yaml", f"{tmp_path}/hooks/b.yaml"]


@pytest.mark.parametrize("name", ["a.yaml", "m" * 100, "deep/" * 30 + "a.yaml", "é.yaml", "\udce9.yaml"])
@pytest.mark.parametrize("size", [0, 511, 512, 1_048_577])
def test_tar_reads_what_is_written(tmp_path: Path, name: str, size: int) -> None:
    """Names of every kind and contents of every length, in headers that are those of the standard library."""
    files = {str(tmp_path / "hookd.yaml"): b"version: 1\n", f"/{name}": b"x" * size}
    snapshot = Snapshot.of_copies(str(tmp_path / "hookd.yaml"), files, [f"/{name}"])
    (tmp_path / "state").mkdir()
    assert Keeper(tmp_path / "state", tmp_path / "hookd.yaml").keep(snapshot, Revision(hash=snapshot.hash))
    with tarfile.open(tmp_path / "state/last-good/config.tar") as archive:
        member = archive.getmember(name)
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == files[f"/{name}"]
        assert (member.mode, member.type) == (0o600, tarfile.REGTYPE)
        assert len(archive.getnames()) == 3
