"""A config out of a commit, from real repositories: equal to the work tree's, whatever else lies in the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from hookd.config.comparing.committed import NotInGit, load_committed
from hookd.config.comparing.placed import Placing, load_placed
from hookd.config.load import load
from hookd.config.problems import ConfigInvalid

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MAIN = """\
version: 1
include: [webhooks.d/**/*.yaml, ../shared/*.hooks]
event_types:
  a.b: {schema: schemas/ab.json}
webhooks:
  here:
    url: {file: secrets/url}
    events: [a.*]
    body: {schema: ../shared/out.json}
"""
FILES = {
    "conf/hookd.yaml": MAIN,
    "conf/webhooks.d/deep/one.yaml": "webhooks: {one: {url: https://one.example, events: [a.b], tls: {ca: ca.pem}}}\n",
    "conf/schemas/ab.json": '{"type": "object", "properties": {"x": {"$ref": "part.json"}}}',
    "conf/schemas/part.json": '{"type": "integer"}',
    "shared/more.hooks": "webhooks: {more: {url: https://more.example, events: [a.b]}}\n",
    "shared/out.json": '{"type": "object"}',
    "big.bin": "x" * 2_000_000,
}


def git(top: Path, *words: str, given: bytes = b"") -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=top, env=environ, check=True, capture_output=True, input=given
    )
    return done.stdout.decode().strip()


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(top: Path, message: str = "c") -> str:
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", message)
    return git(top, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    write(top, FILES)
    git(top, "init", "-q")
    commit(top)
    return top


def test_the_config_of_a_commit_is_the_one_of_its_work_tree(tree: Path) -> None:
    main = tree / "conf/hookd.yaml"
    disk, committed = load(main), load_committed(main, "HEAD")
    assert committed.config.webhooks.keys() == {"here", "one", "more"}
    assert str(committed.config.revision) == str(disk.config.revision)
    for name, webhook in committed.config.webhooks.items():
        assert (webhook.digest, webhook.fingerprint, webhook.place) == (
            disk.config.webhooks[name].digest,
            disk.config.webhooks[name].fingerprint,
            disk.config.webhooks[name].place,
        )


def test_it_is_of_the_commit_and_not_of_the_work_tree(tree: Path) -> None:
    main = tree / "conf/hookd.yaml"
    before = load(main).config
    write(tree, {"conf/webhooks.d/two.yaml": "webhooks: {two: {url: https://two.example, events: [a.b]}}\n"})
    (tree / "conf/webhooks.d/deep/one.yaml").unlink()
    (tree / "conf/schemas/ab.json").write_text("{}")
    committed = load_committed(main, "HEAD").config
    assert committed.webhooks.keys() == {"here", "one", "more"}
    assert committed.revision.hash == before.revision.hash
    commit(tree)
    assert load_committed(main, "HEAD").config.webhooks.keys() == {"here", "two", "more"}
    assert load_committed(main, "HEAD~1").config.webhooks.keys() == {"here", "one", "more"}
    git(tree, "tag", "v1", "HEAD~1")
    assert load_committed(main, "v1").config.revision.hash == before.revision.hash


def test_a_relative_name_from_a_directory_of_the_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "conf/webhooks.d")
    main = Path("../hookd.yaml")
    assert load_committed(main, "HEAD").config.webhooks["one"].place == load(main).config.webhooks["one"].place
    monkeypatch.chdir(tree / "conf")
    main = Path("hookd.yaml")
    found = load_committed(main, "HEAD").config.webhooks["one"].place
    assert found == load(main).config.webhooks["one"].place
    assert found.file == "webhooks.d/deep/one.yaml"


def test_by_way_of_a_link_to_the_tree(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    main = tmp_path / "link/conf/hookd.yaml"
    disk, committed = load(main).config, load_committed(main, "HEAD").config
    assert committed.webhooks["here"].fingerprint == disk.webhooks["here"].fingerprint


def test_a_linked_work_tree(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    assert load_committed(tmp_path / "other/conf/hookd.yaml", "main").config.webhooks.keys() == {"here", "one", "more"}


def test_a_broken_commit_is_told_with_the_names_of_the_work_tree(tree: Path) -> None:
    main = tree / "conf/hookd.yaml"
    (tree / "conf/webhooks.d/deep/one.yaml").write_text("webhooks: {one: {urk: https://one.example, events: [a.b]}}\n")
    (tree / "conf/schemas/ab.json").unlink()
    commit(tree)
    with pytest.raises(ConfigInvalid) as caught:
        load_committed(main, "HEAD")
    places = {(problem.place.file, problem.code) for problem in caught.value.problems}
    assert (str(tree / "conf/webhooks.d/deep/one.yaml"), "unknown_key") in places
    assert (str(main), "missing_file") in places
    assert all("/hookd-" not in str(problem) for problem in caught.value.problems)
    (tree / "conf/hookd.yaml").write_text("version: 1\ninclude: [gone.yaml]\n")
    commit(tree)
    with pytest.raises(ConfigInvalid) as caught:
        load_committed(main, "HEAD")
    assert [str(problem) for problem in caught.value.problems] == [
        f"{main}:2:11: there is no file at {tree}/conf/gone.yaml"
    ]


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nope", "git knows no revision nope"),
        ("--output=/tmp/x", "a revision is a commit"),
        ("HEAD..HEAD", "a revision is a commit"),
        ("HEAD\n", "a revision is a commit"),
        ("HEAD:conf", "git knows no revision"),
    ],
)
def test_what_is_no_revision(tree: Path, revision: str, words: str) -> None:
    with pytest.raises(NotInGit, match=words):
        load_committed(tree / "conf/hookd.yaml", revision)


def test_what_is_not_in_git(tree: Path, tmp_path: Path) -> None:
    write(tmp_path, {"plain/hookd.yaml": "version: 1\n"})
    with pytest.raises(NotInGit, match="in no work tree"):
        load_committed(tmp_path / "plain/hookd.yaml", "HEAD")
    (tree / "new.yaml").write_text("version: 1\n")
    with pytest.raises(NotInGit, match="there is no file"):
        load_committed(tree / "new.yaml", "HEAD")


def test_links_inside_are_followed_and_those_that_lead_out_are_not(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"x.yaml": "webhooks: {outside: {url: https://x.example, events: [a.b]}}\n"})
    folder = tree / "conf/webhooks.d"
    (folder / "linked.yaml").symlink_to("../../shared/more.hooks")
    (folder / "abs").symlink_to(outside)
    (folder / "up").symlink_to("../../../outside")
    (tree / "conf/hookd.yaml").write_text("version: 1\ninclude: ['webhooks.d/**/*.yaml']\n")
    commit(tree)
    assert load_committed(tree / "conf/hookd.yaml", "HEAD").config.webhooks.keys() == {"one", "more"}


def test_a_link_to_what_is_not_in_git_is_left_out(tree: Path) -> None:
    """On disk it leads somewhere, so the config is good there; what it led to at a commit nobody knows."""
    write(tree, {".gitignore": "local\n", "local/x.yaml": "webhooks: {x: {url: https://x.example, events: [a.b]}}\n"})
    (tree / "conf/webhooks.d/x.yaml").symlink_to("../../local/x.yaml")
    (tree / "conf/webhooks.d/loop.yaml.off").symlink_to("loop.yaml.off")
    (tree / "conf/hookd.yaml").write_text("version: 1\ninclude: ['webhooks.d/**/*.yaml']\n")
    commit(tree)
    assert "x" in load(tree / "conf/hookd.yaml").config.webhooks
    assert load_committed(tree / "conf/hookd.yaml", "HEAD").config.webhooks.keys() == {"one"}


def test_a_tree_that_wants_to_be_written_elsewhere_is_not(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees that git itself would refuse to check out, made by hand."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    git(tree, "config", "core.protectHFS", "false")
    blob = git(tree, "hash-object", "-w", "--stdin", given=b"webhooks: {}\n")
    evil = git(tree, "mktree", "--missing", given=f"100644 blob {blob}\tevil.yaml\n".encode())
    main = git(tree, "hash-object", "-w", "--stdin", given=b"version: 1\ninclude: ['**/*.yaml']\n")
    raw = b"".join(
        b"%s %s\0%s" % (mode, name, bytes.fromhex(oid))
        for mode, name, oid in ((b"40000", b"..", evil), (b"40000", b".git", evil), (b"100644", b"hookd.yaml", main))
    )
    top = git(tree, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=raw)
    made = git(tree, "commit-tree", top, "-m", "evil")
    write(tree, {"hookd.yaml": "version: 1\n"})
    found = load_committed(tree / "hookd.yaml", made)
    assert found.snapshot.included == ()
    assert not list(tmp_path.rglob("evil.yaml"))


def test_nothing_of_the_repository_runs(tree: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "run"
    script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    script.chmod(0o755)
    (tree / ".gitattributes").write_text("*.yaml filter=evil diff=evil\n")
    commit(tree)
    hooks = tree / ".git/hooks"
    for name in ("post-checkout", "post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(script, hooks / name)
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor", "core.pager"):
        git(tree, "config", key, str(script))
    assert load_committed(tree / "conf/hookd.yaml", "HEAD").config.webhooks
    assert not ran.exists()


# --------------------------------------------------------------------------- in another place


def test_a_tree_beside_is_equal_to_one_that_stands_there(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy")
    there, here = tree / "conf/hookd.yaml", tmp_path / "copy/conf/hookd.yaml"
    placing = Placing(main=here, top=str(tmp_path / "copy"), as_main=there, as_top=str(tree))
    placed, disk = load_placed(placing, None), load(there)
    assert placed.config.revision.hash == disk.config.revision.hash
    assert [each.fingerprint for each in placed.config.webhooks.values()] == [
        each.fingerprint for each in disk.config.webhooks.values()
    ]
    assert dict(placed.snapshot.files) == dict(disk.snapshot.files)
