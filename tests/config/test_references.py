"""References are read at use, from real files and variables, and never show what they hold."""

from __future__ import annotations

import os
import timeit
from typing import TYPE_CHECKING

import pytest

from hookd.config.references import SecretReader, SecretUnreadable
from hookd.core.config import Reference, ReferenceKind

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "hidden-value"


def file(path: Path) -> Reference:
    return Reference(ReferenceKind.FILE, str(path))


def test_a_literal_is_itself() -> None:
    assert SecretReader(None, {}).read("text\n") == "text\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a \n", " a "), ("é".encode(), "é")],
)
def test_one_newline_is_trimmed(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert SecretReader(None, {}).read(file(path)) == text


def test_a_variable_and_a_credential_are_read(tmp_path: Path) -> None:
    (tmp_path / "crm").write_text(f"{HIDDEN}\n")
    reader = SecretReader(str(tmp_path), {"CRM_KEY": f"{HIDDEN}2\n"})
    assert reader.read(Reference(ReferenceKind.CREDENTIAL, "crm")) == HIDDEN
    assert reader.read(Reference(ReferenceKind.ENV, "CRM_KEY")) == f"{HIDDEN}2"


def test_a_rotated_file_is_seen_at_the_next_use(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    reader = SecretReader(None, {})
    for number in range(20):  # in place, the same size, faster than any clock of a file system ticks
        path.write_text(f"value-{number:02}")
        assert reader.read(file(path)) == f"value-{number:02}"
    replacement = tmp_path / "new"
    replacement.write_text("value-by-rename")
    replacement.rename(path)
    assert reader.read(file(path)) == "value-by-rename"


def test_a_file_that_was_left_alone_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    reader = SecretReader(None, {})
    # White box: the clock alone says that the file has settled, since nobody can set a ctime back.
    monkeypatch.setattr("hookd.config.references.time.time_ns", lambda: path.stat().st_ctime_ns + 3_000_000_000)
    assert reader.read(file(path)) == "old"
    monkeypatch.setattr("hookd.config.references._read_regular", pytest.fail)
    assert reader.read(file(path)) == "old"
    assert min(timeit.repeat(lambda: reader.read(file(path)), number=200, repeat=5)) / 200 < 100e-6


def test_a_file_that_comes_back_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    reader = SecretReader(None, {})
    assert reader.read(file(path)) == "one"
    path.unlink()
    with pytest.raises(SecretUnreadable, match="No such file"):
        reader.read(file(path))
    path.write_text("two")
    assert reader.read(file(path)) == "two"


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (HIDDEN.encode() + b"\xff", "not UTF-8"),
        (HIDDEN.encode() + b"\0", "NUL"),
        (HIDDEN.encode() * 6000, "larger than 64 KiB"),
    ],
)
def test_an_unusable_file_is_told_without_its_content(tmp_path: Path, content: bytes, phrase: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SecretUnreadable, match=phrase) as caught:
        SecretReader(None, {}).read(file(path))
    assert str(path) in str(caught.value)
    assert HIDDEN not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(SecretUnreadable, match=r"not a regular file|Is a directory"):
            SecretReader(None, {}).read(file(path))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../etc/passwd", "/etc/passwd"])
def test_a_credential_cannot_leave_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(SecretUnreadable, match="plain name"):
        SecretReader(str(tmp_path), {}).read(Reference(ReferenceKind.CREDENTIAL, name))


def test_what_is_not_there_is_told_by_kind_and_name(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match=r"credential crm .*CREDENTIALS_DIRECTORY is not set"):
        SecretReader(None, {}).read(Reference(ReferenceKind.CREDENTIAL, "crm"))
    with pytest.raises(SecretUnreadable, match="credential crm cannot be read: No such file"):
        SecretReader(str(tmp_path), {}).read(Reference(ReferenceKind.CREDENTIAL, "crm"))
    with pytest.raises(SecretUnreadable, match="environment variable CRM_KEY is not set"):
        SecretReader(None, {}).read(Reference(ReferenceKind.ENV, "CRM_KEY"))
    with pytest.raises(SecretUnreadable, match="environment variable CRM_KEY is not UTF-8"):
        SecretReader(None, {"CRM_KEY": "a\udcff"}).read(Reference(ReferenceKind.ENV, "CRM_KEY"))
    with pytest.raises(SecretUnreadable, match="NUL"):
        SecretReader(None, {}).read(Reference(ReferenceKind.FILE, "/a\0b"))
