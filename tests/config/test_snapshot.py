"""Snapshots: all files of a config, each once, read when nothing moved."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hookd.config.patterns import find_files, pattern_root
from hookd.config.problems import ConfigInvalid
from hookd.config.reading import read_file
from hookd.config.snapshot import Snapshot, read_snapshot
from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.syntax import MAX_FILE_BYTES
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.reading import Stamp


def write(top: Path, files: dict[str, str]) -> Path:
    """Write files below a directory and give the path of the main one."""
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return top / "hookd.yaml"


def names(snapshot: Snapshot, top: Path) -> list[str]:
    return [os.path.relpath(name, top) for name in snapshot.files]


def problem_of(main: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read_snapshot(main, pause=lambda _: None)
    return "\n".join(f"{problem.code} {problem}" for problem in caught.value.problems)


# --------------------------------------------------------------------------- what belongs to it


def test_everything_that_is_included_is_read_in_order(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "hookd.yaml": "include: [webhooks.d/**/*.yaml, extra.yaml, nothing/*.yaml]\nmanaged_dir: managed\n",
            "webhooks.d/b.yaml": "b",
            "webhooks.d/a.yaml": "a",
            "webhooks.d/deep/er/c.yaml": "c",
            "webhooks.d/ignored.yml": "no",
            "webhooks.d/.hidden.yaml": "no",
            "webhooks.d/.git/x.yaml": "no",
            "extra.yaml": "extra",
            "managed/m.yaml": "m",
            "managed/m.yaml.tmp": "no",
        },
    )
    snapshot = read_snapshot(main)
    assert names(snapshot, tmp_path) == [
        "hookd.yaml",
        "webhooks.d/a.yaml",
        "webhooks.d/b.yaml",
        "webhooks.d/deep/er/c.yaml",
        "extra.yaml",
        "managed/m.yaml",
    ]
    assert snapshot.files[str(tmp_path / "extra.yaml")] == b"extra"
    assert snapshot.included == tuple(snapshot.files)[1:]
    assert {os.path.relpath(root, tmp_path) for root in snapshot.roots} == {
        "webhooks.d",
        ".",
        "nothing",
        "managed",
        "webhooks.d/deep/er",
    }
    assert snapshot.settled()


def test_a_managed_directory_need_not_be_there(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "managed_dir: /nonexistent/managed\n"})
    assert len(read_snapshot(main).files) == 1


def test_a_file_is_read_once_however_it_is_named(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {"hookd.yaml": "include: [a/x.yaml, 'a/*.yaml', './a/*.yaml', '*.yaml', 'link/*.yaml']\n", "a/x.yaml": "x"},
    )
    (tmp_path / "a/y.yaml").symlink_to("x.yaml")
    (tmp_path / "link").symlink_to("a")
    assert names(read_snapshot(main), tmp_path) == ["hookd.yaml", "a/x.yaml"]


def test_links_are_followed_and_loops_of_them_end(tmp_path: Path) -> None:
    main = write(
        tmp_path, {"hookd.yaml": "include: ['conf/**/*.yaml']\n", "release-7/w.yaml": "w", "conf/a/b/c.yaml": "c"}
    )
    (tmp_path / "conf/current").symlink_to("../release-7")
    for name in ("loop", "pool"):
        (tmp_path / "conf/a" / name).symlink_to("..")
        (tmp_path / "conf/a/b" / name).symlink_to("../..")
    assert names(read_snapshot(main), tmp_path) == ["hookd.yaml", "conf/a/b/c.yaml", "conf/current/w.yaml"]


def test_a_directory_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    top = tmp_path / "conf[1]*"
    main = write(top, {"hookd.yaml": "include: ['d/*.yaml']\n", "d/a.yaml": "a"})
    assert names(read_snapshot(main), top) == ["hookd.yaml", "d/a.yaml"]


def test_files_are_named_as_the_main_file_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml', '../x/*.yaml']\n", "d/a.yaml": "a"})
    monkeypatch.chdir(tmp_path)
    relative = read_snapshot(Path("hookd.yaml"))
    assert list(relative.files) == ["hookd.yaml", "d/a.yaml"]
    assert relative.hash == read_snapshot(tmp_path / "hookd.yaml").hash


def test_what_the_schema_will_refuse_is_left_to_it(tmp_path: Path) -> None:
    for text in ("include: 5\n", "include: [5, '', null]\nmanaged_dir: []\n", "[1, 2]\n", ""):
        assert list(read_snapshot(write(tmp_path, {"hookd.yaml": text})).files) == [str(tmp_path / "hookd.yaml")]


# --------------------------------------------------------------------------- the hash


def test_the_hash_is_of_paths_and_contents_and_not_of_where_it_lies(tmp_path: Path) -> None:
    files = {"hookd.yaml": "include: ['d/*.yaml']\n", "d/a.yaml": "ab", "d/b.yaml": "c"}
    one, two = tmp_path / "one", tmp_path / "two"
    first = read_snapshot(write(one, files)).hash
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert read_snapshot(write(two, files)).hash == first
    os.utime(two / "d/a.yaml", (1, 1))
    assert read_snapshot(two / "hookd.yaml").hash == first
    write(two, {"d/a.yaml": "a", "d/b.yaml": "bc"})
    second = read_snapshot(two / "hookd.yaml").hash
    (one / "d/b.yaml").rename(one / "d/c.yaml")
    third = read_snapshot(one / "hookd.yaml").hash
    assert len({first, second, third}) == 3


def test_a_schema_that_is_added_counts(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "version: 1\n", "schemas/user.json": "{}"})
    snapshot = read_snapshot(main)
    before = snapshot.hash
    assert snapshot.add(tmp_path / "schemas/user.json") == b"{}"
    assert snapshot.hash != before
    assert str(tmp_path / "schemas") in snapshot.roots
    assert snapshot.included == ()
    write(tmp_path, {"schemas/user.json": "{ }"})
    assert snapshot.add(tmp_path / "schemas/user.json") == b"{}"
    assert not snapshot.settled()


def test_a_schema_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    snapshot = read_snapshot(write(tmp_path, {"hookd.yaml": "version: 1\n"}))
    with pytest.raises(ConfigInvalid) as caught:
        snapshot.add(tmp_path / "user.json", Place(file="hookd.yaml", line=3, column=9))
    assert str(caught.value) == f"hookd.yaml:3:9: there is no file at {tmp_path}/user.json"


def test_a_snapshot_that_was_never_on_disk_is_settled() -> None:
    snapshot = Snapshot("hookd.yaml", {"hookd.yaml": b"version: 1\n", "d/a.yaml": b"a: [\n"})
    assert snapshot.included == ("d/a.yaml",)
    assert snapshot.sources["d/a.yaml"] == "a: [\n"
    assert snapshot.settled()


# --------------------------------------------------------------------------- what cannot be read


def test_no_main_file(tmp_path: Path) -> None:
    main = tmp_path / "hookd.yaml"
    assert problem_of(main) == f"missing_file {main}:1:1: there is no config at {main}"


def test_the_main_file_is_a_directory(tmp_path: Path) -> None:
    begins = f"unreadable_file {tmp_path}:1:1: {tmp_path} is a directory, and a config begins with a file"
    assert problem_of(tmp_path) == begins
    main = tmp_path / "hookd.yaml"
    main.mkdir()
    assert problem_of(tmp_path) == begins
    main.rmdir()
    main.write_text("version: 1\n")
    with pytest.raises(ConfigInvalid) as caught:
        read_snapshot(tmp_path)
    assert [problem.hint for problem in caught.value.problems] == [str(main)]


def test_a_main_file_that_is_no_yaml_is_told_with_its_source(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [a\n"})
    with pytest.raises(ConfigInvalid) as caught:
        read_snapshot(main)
    assert caught.value.problems[0].code == "yaml_syntax"
    assert caught.value.sources == {str(main): "include: [a\n"}


def test_a_named_file_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "version: 1\ninclude:\n  - a.yaml\n  - b/*.yaml\n  - c.yaml\n"})
    assert problem_of(main) == (
        f"missing_file {main}:3:5: there is no file at {tmp_path}/a.yaml\n"
        f"missing_file {main}:5:5: there is no file at {tmp_path}/c.yaml"
    )


def test_a_directory_that_is_included_is_told_how(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [d]\n", "d/a.yaml": "a"})
    assert f"{tmp_path}/d is a directory; `{tmp_path}/d/**/*.yaml` names the files in it" in problem_of(main)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['*.yaml', pipe]\n"})
    os.mkfifo(tmp_path / "other.yaml")
    os.mkfifo(tmp_path / "pipe")
    assert problem_of(main) == f"unreadable_file {main}:1:21: {tmp_path}/pipe cannot be read: it is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['*.yaml']\n", "a.yaml": "a"})
    (tmp_path / "a.yaml").chmod(0)
    assert "cannot be read: Permission denied" in problem_of(main)


@pytest.mark.parametrize("entry", ["'d/*.yaml'", "'**/*.yaml'", "d/b.yaml", "'*/b*'", "nothing, '*/[b].yaml'"])
def test_a_link_that_leads_nowhere_is_a_problem_also_if_a_pattern_matches_it(tmp_path: Path, entry: str) -> None:
    """Passed over, it would take its webhooks away without a word."""
    main = write(tmp_path, {"hookd.yaml": f"include: [{entry}]\n", "d/a.yaml": "a", "nothing": ""})
    (tmp_path / "d/b.yaml").symlink_to("../e/c.yaml")
    (tmp_path / "e").symlink_to("gone")
    column = 20 if entry.startswith("nothing") else 11
    assert problem_of(main) == (
        f"missing_file {main}:1:{column}: {tmp_path}/d/b.yaml is a link that leads nowhere: there is nothing at "
        f"{tmp_path}/gone/c.yaml"
    )


def test_two_links_to_the_same_nowhere_are_two_problems(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['*.yaml']\n"})
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).symlink_to("nowhere")
    assert problem_of(main).count("missing_file") == 2


def test_a_link_on_the_way_is_a_problem_where_it_is_spelt_out(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['current/*.yaml', 'c*/*.yaml', '**/*.yaml']\n"})
    (tmp_path / "current").symlink_to("release-7")
    assert problem_of(main) == (
        f"missing_file {main}:1:11: {tmp_path}/current is a link that leads nowhere: there is nothing at "
        f"{tmp_path}/release-7"
    )
    write(tmp_path, {"hookd.yaml": "include: ['c*/*.yaml', '**/*.yaml']\n"})
    assert names(read_snapshot(main), tmp_path) == ["hookd.yaml"]


def test_a_link_to_itself_is_a_problem_too(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['*.yaml']\n"})
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    assert "a.yaml cannot be read: Too many levels of symbolic links" in problem_of(main)


def test_the_lock_of_an_editor_is_none(tmp_path: Path) -> None:
    """Emacs makes such a link beside each file that has unsaved changes."""
    main = write(tmp_path, {"hookd.yaml": "include: ['*.yaml', '.*.yaml', '**/*.yaml']\n", "d/a.yaml": "a"})
    for name in (".#hookd.yaml", "d/.#a.yaml", "d/.hidden.yaml"):
        (tmp_path / name).symlink_to("someone@somewhere.4711:1700000000")
    assert names(read_snapshot(main), tmp_path) == ["hookd.yaml", "d/a.yaml"]


def test_a_link_whose_target_is_being_published_is_waited_for(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml']\n", "d/a.yaml": "a"})
    (tmp_path / "d/b.yaml").symlink_to("../e/b.yaml")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            write(tmp_path, {"e/b.yaml": "b"})

    assert names(read_snapshot(main, pause=pause), tmp_path) == ["hookd.yaml", "d/a.yaml", "d/b.yaml"]
    assert len(pauses) == 6


def test_links_that_are_taken_down_after_what_they_led_to_are_no_problem(tmp_path: Path) -> None:
    """As Kubernetes does: the directory is swapped, and then the links of files that are gone are removed."""
    main = write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml']\n", "d/a.yaml": "a"})
    left = [tmp_path / f"d/{name}.yaml" for name in "bcde"]
    for link in left:
        link.symlink_to("..data/gone.yaml")

    def pause(_seconds: float) -> None:
        if left:
            left.pop().unlink()

    assert names(read_snapshot(main, pause=pause), tmp_path) == ["hookd.yaml", "d/a.yaml"]


def test_what_is_missing_is_another_thing_each_time_is_motion(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml']\n"})
    (tmp_path / "d").mkdir()
    numbers = iter(range(1000))

    def pause(_seconds: float) -> None:
        for link in (tmp_path / "d").iterdir():
            link.unlink()
        (tmp_path / f"d/{next(numbers)}.yaml").symlink_to("nowhere")

    pause(0)
    with pytest.raises(ConfigInvalid) as caught:
        read_snapshot(main, pause=pause)
    assert [problem.code for problem in caught.value.problems] == ["unsettled"]


def test_while_something_is_missing_nothing_else_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [a.yaml, gone.yaml]\n", "a.yaml": "a"})
    asked: list[str] = []

    def count(name: str) -> tuple[bytes, Stamp]:
        asked.append(os.path.relpath(name, tmp_path))
        return read_file(name)

    monkeypatch.setattr("hookd.config.snapshot.read_file", count)
    assert problem_of(main).startswith("missing_file")
    assert asked == ["hookd.yaml", "a.yaml", "gone.yaml"] * 2


def test_a_main_file_that_breaks_a_rule_of_ours_says_what_it_includes(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [a.yaml]\ninclude: [b.yaml]\n5: !x a\n", "a.yaml": "a"})
    assert names(read_snapshot(main), tmp_path) == ["hookd.yaml", "a.yaml"]


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [big.yaml]\n", "big.yaml": ""})
    os.truncate(tmp_path / "big.yaml", 1 << 32)
    snapshot = read_snapshot(main)
    assert len(snapshot.files[str(tmp_path / "big.yaml")]) == MAX_FILE_BYTES + 1
    with pytest.raises(ConfigInvalid, match="1 MiB"):
        parse_yaml(snapshot.files[str(tmp_path / "big.yaml")], "big.yaml")


# --------------------------------------------------------------------------- what moves


def test_a_file_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: [a.yaml]\n"})
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            write(tmp_path, {"a.yaml": "a"})

    assert names(read_snapshot(main, pause=pause), tmp_path) == ["hookd.yaml", "a.yaml"]
    assert len(pauses) == 2


def test_the_main_file_may_be_away_for_a_moment_too(tmp_path: Path) -> None:
    main = tmp_path / "hookd.yaml"

    def pause(_seconds: float) -> None:
        write(tmp_path, {"hookd.yaml": "version: 1\n"})

    snapshot = read_snapshot(main, pause=pause)
    assert snapshot.files == {str(main): b"version: 1\n"}


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml']\n", "d/a.yaml": "old", "d/b.yaml": "old"})
    todo: list[Callable[[], object]] = [
        lambda: write(tmp_path, {"d/a.yaml": "new!"}),
        lambda: write(tmp_path, {"d/c.yaml": "new!"}),
        (tmp_path / "d/b.yaml").unlink,
        lambda: shutil.move(write(tmp_path, {"d/.tmp": "more"}).parent / "d/.tmp", tmp_path / "d/a.yaml"),
        lambda: write(tmp_path, {"hookd.yaml": "include: ['d/*.yaml', e.yaml]\n", "e.yaml": "e"}),
    ]
    pauses: list[float] = []
    settled = Snapshot.settled

    def settled_after_a_change(self: Snapshot) -> bool:
        # The disk changes between the reading and the second look: the only way to hit that moment for sure.
        if todo:
            todo.pop(0)()
        return settled(self)

    monkeypatch.setattr(Snapshot, "settled", settled_after_a_change)
    snapshot = read_snapshot(main, pause=pauses.append)
    assert len(pauses) == 5
    assert {os.path.relpath(name, tmp_path): content for name, content in snapshot.files.items()} == {
        "hookd.yaml": b"include: ['d/*.yaml', e.yaml]\n",
        "d/a.yaml": b"more",
        "d/c.yaml": b"new!",
        "e.yaml": b"e",
    }


def test_files_that_never_settle_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write(tmp_path, {"hookd.yaml": "version: 1\n"})
    settled, count = Snapshot.settled, iter(range(1000))

    def settled_after_a_change(self: Snapshot) -> bool:
        write(tmp_path, {"hookd.yaml": "version: 1\n" + "#" * next(count)})
        return settled(self)

    monkeypatch.setattr(Snapshot, "settled", settled_after_a_change)
    assert problem_of(main) == f"unsettled {main}:1:1: the files of the config kept changing while they were read"


# --------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.yaml", ["a.yaml"]),
        ("**/*.yaml", ["a.yaml", "d/b.yaml", "d/e/c.yaml"]),
        ("d/**/*.yaml", ["d/b.yaml", "d/e/c.yaml"]),
        ("d/**", ["d/b.yaml", "d/e/c.yaml", "d/f.yml"]),
        ("**/e/*", ["d/e/c.yaml"]),
        ("*/*.yaml", ["d/b.yaml"]),
        ("d/*.y?ml", ["d/b.yaml"]),
        ("[ad]*", ["a.yaml"]),
        (".h/*.yaml", [".h/x.yaml"]),
        (".*/*.yaml", [".h/x.yaml"]),
        ("d/./b.*", ["d/b.yaml"]),
        ("d/../a.*", ["d/../a.yaml"]),
        ("nowhere/**/*.yaml", []),
        ("a.yaml/*", []),
        ("", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str]) -> None:
    write(tmp_path, dict.fromkeys(["a.yaml", "d/b.yaml", "d/e/c.yaml", "d/f.yml", ".h/x.yaml"], ""))
    assert find_files(str(tmp_path), pattern) == [f"{tmp_path}/{name}" for name in found]
    if pattern:
        assert find_files("/nonexistent", f"{tmp_path}/{pattern}") == [f"{tmp_path}/{name}" for name in found]


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("*.yaml", "/etc/hookd"),
        ("d/e/*.yaml", "/etc/hookd/d/e"),
        ("d/*/e.yaml", "/etc/hookd/d"),
        ("d/e.yaml", "/etc/hookd/d"),
        ("/srv/**/*.yaml", "/srv"),
        ("/*.yaml", "/"),
    ],
)
def test_the_root_of_a_pattern(pattern: str, root: str) -> None:
    assert pattern_root("/etc/hookd", pattern) == root
