"""Loading real trees: one Config, or every problem of the whole tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hookd.config.checking.showing import render_problems
from hookd.config.load import Loaded, Rejected, load, load_again, load_config, load_snapshot
from hookd.config.problems import CODES, ConfigInvalid
from hookd.config.snapshot import read_snapshot
from tests.config.trees import load_tree, problems_of, write_tree

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.yaml"
HOOK = 'webhooks: {%s: {url: "https://example.com/", events: [a]}}\n'
MAIN = "version: 1\ninclude: ['hooks/**/*.yaml']\nmanaged_dir: managed\n"


def test_the_example_config_loads() -> None:
    config = load_config(EXAMPLE)
    assert config.webhooks
    assert config.event_types


def test_all_files_make_one_config(tmp_path: Path) -> None:
    config = load_tree(
        tmp_path, main=MAIN + HOOK % "m", hooks__a=HOOK % "a", hooks__deep__er__b=HOOK % "b", managed__c=HOOK % "c"
    )
    assert list(config.webhooks) == ["m", "a", "b", "c"]
    assert str(config.webhooks["b"].place) == f"{tmp_path}/hooks/deep/er/b.yaml:1:12"


def test_a_relative_main_file_loads_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = "version: 1\ninclude: [hooks/*.yaml]\nevent_types: {a: {schema: s.json}}\n"
    hook = "webhooks: {w: {url: {file: u}, events: [a]}}\n"
    write_tree(tmp_path, main=main, hooks__w=hook, **{"s.json": "{}"})
    monkeypatch.chdir(tmp_path)
    loaded = load(Path("hookd.yaml"))
    assert str(loaded.config.webhooks["w"].place) == "hooks/w.yaml:1:12"
    assert getattr(loaded.config.webhooks["w"].url, "name", None) == f"{tmp_path}/hooks/u"
    assert loaded.config.revision == load(tmp_path / "hookd.yaml").config.revision


def test_the_revision_follows_every_byte_that_counts(tmp_path: Path) -> None:
    main = MAIN + "event_types: {a: {schema: s.json}}\n"
    files = {"s.json": '{"$ref": "t.json"}', "t.json": "{}", "other.json": "{}"}
    changes: list[dict[str, str]] = [
        {"main": main, "hooks__a": HOOK % "a", **files},
        {"hooks__a": HOOK % "b"},
        {"s.json": '{"$ref": "t.json", "title": "x"}'},
        {"t.json": "true"},
        {"hooks__new": "x-a: 1\n"},
    ]
    seen = [load_tree(tmp_path, **change).revision.hash for change in changes]
    assert len(set(seen)) == len(seen)
    assert load_tree(tmp_path, **{"other.json": "true"}).revision.hash == seen[-1]


def test_the_same_tree_elsewhere_has_the_same_revision(tmp_path: Path) -> None:
    one = load_tree(tmp_path / "one", main=MAIN, hooks__a=HOOK % "a").revision
    assert load_tree(tmp_path / "two", main=MAIN, hooks__a=HOOK % "a").revision == one


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_revision_knows_the_commit(tmp_path: Path) -> None:
    write_tree(tmp_path, main=MAIN)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@e", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    revision = load_config(tmp_path / "hookd.yaml").revision
    assert (revision.commit, revision.dirty) == (head.stdout.strip(), False)
    assert str(revision) == f"{revision.hash}@{head.stdout[:12]}"
    dirty = load_tree(tmp_path, hooks__a=HOOK % "a").revision
    assert dirty.dirty
    assert str(dirty).endswith("+")


def test_a_missing_main_file_is_a_problem_for_people(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path)
    assert problem.message == f"there is no config at {tmp_path}/hookd.yaml"


def test_files_that_are_not_yaml_are_told_with_what_the_others_have(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path, main=MAIN + "nonsense: 1\n", hooks__a="webhooks: [\n", hooks__b="webhooks: {w: {profile: later}}\n",
        hooks__c="a: b: c\n",
    )  # fmt: skip
    told = [(Path(it.place.file).name, it.code) for it in found]
    assert told == [("hookd.yaml", "unknown_key"), ("a.yaml", "yaml_syntax"), ("c.yaml", "yaml_syntax")]


def test_problems_can_be_shown_with_their_lines(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a="webhooks:\n  w: {url: ftp://x, events: [a]}\n")
    with pytest.raises(ConfigInvalid) as caught:
        load_config(main)
    shown = render_problems(caught.value.problems, caught.value.sources)
    assert "hooks/a.yaml:2:12: " in shown
    assert "  w: {url: ftp://x, events: [a]}" in shown
    assert {problem.code for problem in caught.value.problems} <= set(CODES)


def test_a_snapshot_is_what_is_built(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a=HOOK % "a")
    snapshot = read_snapshot(main)
    write_tree(tmp_path, main="broken: [", hooks__a="broken")
    assert list(load_snapshot(snapshot).webhooks) == ["a"]


def test_what_did_not_change_is_not_built_again(tmp_path: Path) -> None:
    main = write_tree(
        tmp_path, main=MAIN + "event_types: {a: {schema: s.json}}\n", hooks__a=HOOK % "a", **{"s.json": "{}"}
    )
    first = load(main)
    assert load_again(main, first) is None
    os.utime(main)
    (tmp_path / "hooks" / "a.yaml").write_bytes((tmp_path / "hooks" / "a.yaml").read_bytes())
    assert load_again(main, first) is None
    for change in ({"s.json": "true"}, {"hooks__b": HOOK % "b"}, {"main": MAIN}):
        write_tree(tmp_path, **change)
        second = load_again(main, first)
        assert isinstance(second, Loaded)
        first = second
    assert str(tmp_path / "s.json") not in first.snapshot.files


def test_a_bad_tree_is_looked_at_again_only_when_it_changed(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main="version: 1\nevent_types: {a: {schema: s.json}}\n")
    bad = load_again(main, None)
    assert isinstance(bad, Rejected)
    assert load_again(main, bad) is None
    write_tree(tmp_path, **{"s.json": "{}"})  # the missing schema comes; no file that was there changed
    assert isinstance(load_again(main, bad), Loaded)


def test_files_that_move_while_they_are_built_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a=HOOK % "a", hooks__b=HOOK % "b")
    asked: list[Path] = []

    def move(main: Path, _files: object) -> None:
        # The moment between reading and building, in which somebody else moves a definition from one file to another.
        if not asked:
            write_tree(tmp_path, hooks__a=HOOK % "b2", hooks__b=HOOK % "a2")
        asked.append(main)

    monkeypatch.setattr("hookd.config.load.read_checkout", move)
    assert list(load_config(main).webhooks) == ["b2", "a2"]
    assert asked == [main, main]


def test_files_that_never_settle_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write_tree(tmp_path, main=MAIN)
    counter = iter(range(1000))

    def move(_main: Path, _files: object) -> None:
        write_tree(tmp_path, hooks__a=HOOK % f"w{next(counter)}")

    monkeypatch.setattr("hookd.config.load.read_checkout", move)
    with pytest.raises(ConfigInvalid, match="kept changing"):
        load_config(main)


def test_a_missing_include_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    main = tmp_path / "hookd.yaml"
    main.write_text("version: 1\ninclude: [missing.yaml]\nwebhooks:\n  one: {url: http://example.com/, evnets: [x]}\n")
    with pytest.raises(ConfigInvalid) as invalid:
        load_config(main)
    assert [(problem.code, problem.place.line) for problem in invalid.value.problems] == [
        ("missing_file", 2),
        ("unknown_key", 4),
    ]
    assert "evnets" in invalid.value.sources[str(main)]


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("x-a: 1\nx-a: 2\n", "duplicate_key"),
        ("5: a\n", "key_not_text"),
        ("x-a: !x 1\n", "tag"),
        ("x-a: [\n", "yaml_syntax"),
        ("x-a: 'a\nx-b: b\n", "yaml_syntax"),
    ],
)
@pytest.mark.parametrize("is_below", [False, True])
def test_a_main_file_with_a_mistake_of_any_kind_does_not_hide_what_it_includes(
    tmp_path: Path, main: str, told: str, *, is_below: bool
) -> None:
    include = "include:\n- hooks/a.yaml\n- gone.yaml\n- lost/*.yaml\n"
    (tmp_path / "lost").symlink_to("nowhere")
    text = f"version: 1\n{main}{include}" if is_below else f"version: 1\n{include}{main}"
    found = problems_of(tmp_path, main=text, hooks__a="webhooks: {w: {events: [a], timout: 5s}}\n")
    first = 2 + (main.count("\n") if is_below else 0)
    at = [f"{Path(it.place.file).name}:{it.place.line} {it.code}" for it in found if told != it.code]
    missing = [f"hookd.yaml:{first + 2} missing_file", f"hookd.yaml:{first + 3} missing_file"]
    needed = [] if told == "yaml_syntax" else ["a.yaml:1 missing_key"]  # the defaults may name a `url`
    assert sorted(at) == sorted([*missing, "a.yaml:1 unknown_key", *needed])
    assert [it.code for it in found].count(told) == 1


def test_what_one_side_of_a_conflict_includes_is_not_missed(tmp_path: Path) -> None:
    main = "version: 1\n<<<<<<< a\ninclude: [gone.yaml]\n=======\ninclude: [hook.yaml]\n>>>>>>> b\n"
    assert [it.code for it in problems_of(tmp_path, main=main)] == ["conflict_marker"]


def test_nothing_is_said_of_files_that_move_but_that_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half of the one tree and a half of the other would be wrong in many ways."""
    write_tree(tmp_path, main="version: 1\ninclude: ['*.d/*.yaml']\n", **{"w.d/a.yaml": "webhooks: {w: {}}\n"})
    numbers = iter(range(10_000))

    def settled(_snapshot: object) -> bool:
        write_tree(tmp_path, **{"w.d/b.yaml": f"x-a: {next(numbers)}\n"})
        return False

    monkeypatch.setattr("hookd.config.snapshot.Snapshot.settled", settled)
    assert [it.code for it in problems_of(tmp_path)] == ["unsettled"]
