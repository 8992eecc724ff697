"""The managed directory: its files, its secrets, its repository, and what the rest of the config says to it."""

from __future__ import annotations

import subprocess
from itertools import count
from pathlib import Path

import pytest

from hookd.config.managing.managed import (
    Keyring,
    Removals,
    file_of,
    is_inside,
    managed_root,
    read_definition,
    remove_file,
    render_file,
    write_file,
)
from hookd.config.managing.managedgit import Commit, GitFailed, commit_changes, commit_rest
from hookd.core.config import Reference, ReferenceKind
from tests.config.trees import load_tree, problems_of

DEFINITION = {"profile": "p", "tenant": "4711", "url": "https://example.com/", "events": ["a"]}


# --------------------------------------------------------------------------- files


def test_a_file_is_named_after_its_id() -> None:
    assert file_of("managed", "4711/orders") == "managed/4711+orders.yaml"
    assert file_of("/var/m/", "crm") == "/var/m/crm.yaml"
    assert managed_root("etc/hookd.yaml", "managed") == "etc/managed"
    assert managed_root("hookd.yaml", "/var/m") == "/var/m"


def test_inside_is_below_the_directory_and_not_beside_it() -> None:
    assert is_inside("managed", "managed/a.yaml")
    assert not is_inside("managed", "managed-too/a.yaml")
    assert not is_inside(None, "managed/a.yaml")


def test_a_file_tells_who_and_when_and_is_read_back() -> None:
    content = render_file("4711/orders", DEFINITION, who="eve\n# x\x85", when="2026-11-21T16:20:05.000Z")
    head, _, rest = content.decode().partition("\n")
    assert head.startswith("# Written by hookd for eve # x  at 2026-11-21T16:20:05.000Z.")
    assert rest.startswith('webhooks:\n  "4711/orders":\n    profile: p\n')
    written = read_definition("4711/orders", content)
    assert written is not None
    assert written.definition == DEFINITION


@pytest.mark.parametrize(
    "text",
    [
        "webhooks: {4711/orders: {url: a}, other: {url: b}}",
        "webhooks: {4711/orders: {url: a}}\nmoved: []",
        "webhooks: {other: {url: a}}",
        "webhooks: {4711/orders: 1}",
        "webhooks: [",
        "",
    ],
)
def test_a_file_that_holds_anything_else_is_not_the_apis(text: str) -> None:
    assert read_definition("4711/orders", text.encode()) is None


def test_a_file_is_written_whole_and_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.yaml"
    write_file(str(path), b"one")
    write_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["a.yaml"]
    remove_file(str(path))
    remove_file(str(path))
    assert not path.exists()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(OSError, match=r"a\.yaml"):
        write_file(str(tmp_path / "a.yaml"), b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


# --------------------------------------------------------------------------- secrets and removals


def test_secrets_are_numbered_and_for_us_alone(tmp_path: Path) -> None:
    numbers = count(1)
    ring = Keyring(str(tmp_path), lambda: f"whsec_{next(numbers)}")
    first = ring.next_path("a/b")
    assert ring.make(first) == "whsec_1"
    second = ring.next_path("a/b")
    assert second != first
    assert ring.make(second) == "whsec_2"
    other = ring.next_path("a/b.c")
    assert other.endswith("a+b.c.1")
    ring.make(other)
    assert all(Path(path).stat().st_mode & 0o777 == 0o600 for path in (first, second, other))
    assert ring.holds(first)
    assert not ring.holds("/etc/passwd")
    assert ring.made_at(first) is not None
    assert ring.made_at(first + "9") is None
    ring.drop("a/b", keep=[second])
    assert not Path(first).exists()
    assert Path(second).exists()
    ring.drop("a/b")
    assert not Path(second).exists()
    assert Path(other).exists(), "another webhook's, whose id begins the same"


def test_removals_are_noted_until_they_are_over(tmp_path: Path) -> None:
    removals = Removals(str(tmp_path))
    assert removals.pending() == []
    removals.begin("4711/orders")
    removals.begin("crm")
    assert Removals(str(tmp_path)).pending() == ["4711/orders", "crm"]
    removals.end("crm")
    assert removals.pending() == ["4711/orders"]


# --------------------------------------------------------------------------- the repository


def git(directory: Path, *command: str) -> str:
    done = subprocess.run(["git", "-C", directory, *command], capture_output=True, text=True, check=True)
    return done.stdout


def test_each_change_is_a_commit_in_the_name_of_who_made_it(tmp_path: Path) -> None:
    hook = tmp_path / "trap"
    (tmp_path / "a.yaml").write_text("1\n")
    commit_changes(str(tmp_path), [Commit(file="a.yaml", subject="created a", author="eve <x> (tenant 1)")])
    (tmp_path / ".git/hooks").mkdir(exist_ok=True)
    (tmp_path / ".git/hooks/pre-commit").write_text(f"#!/bin/sh\ntouch {hook}\nexit 1\n")
    (tmp_path / ".git/hooks/pre-commit").chmod(0o755)
    (tmp_path / "a.yaml").write_text("2\n")
    (tmp_path / "b.yaml").write_text("not named\n")
    commit_changes(str(tmp_path), [Commit(file="a.yaml", subject="replaced a", author="bob")])
    (tmp_path / "a.yaml").unlink()
    commits = [Commit(file=name, subject=f"removed {name}", author="bob") for name in ("a.yaml", "never-there.yaml")]
    commit_changes(str(tmp_path), commits)
    assert git(tmp_path, "log", "--format=%an|%cn|%s").splitlines() == [
        "bob|hookd|removed a.yaml",
        "bob|hookd|replaced a",
        "eve x (tenant 1)|hookd|created a",
    ]
    assert git(tmp_path, "status", "--porcelain").splitlines() == ["?? b.yaml"]
    assert not hook.exists()


def test_a_repository_above_is_left_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    inner = tmp_path / "managed"
    inner.mkdir()
    (inner / "a.yaml").write_text("1\n")
    commit_changes(str(inner), [Commit(file="a.yaml", subject="created a", author="eve")])
    assert (inner / ".git").is_dir()
    assert git(tmp_path, "rev-list", "--all") == ""


def test_what_a_crash_left_is_committed_later(tmp_path: Path) -> None:
    commit_rest(str(tmp_path))  # there is no repository yet, and none is made
    assert not (tmp_path / ".git").exists()
    (tmp_path / "a.yaml").write_text("1\n")
    commit_changes(str(tmp_path), [Commit(file="a.yaml", subject="created a", author="eve")])
    (tmp_path / "b.yaml").write_text("1\n")
    commit_rest(str(tmp_path))
    commit_rest(str(tmp_path))
    assert git(tmp_path, "log", "--format=%s").splitlines() == [
        "what was written and not committed before",
        "created a",
    ]


def test_what_git_cannot_do_is_told(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("nonsense")
    with pytest.raises(GitFailed, match="ended with 128"):
        commit_changes(str(tmp_path), [Commit(file="a", subject="s", author="a")])


# --------------------------------------------------------------------------- what the files say

MAIN = """
    version: 1
    managed_dir: managed
    profiles: {p: {timeout: 1s}}
    """
HOOK = "webhooks: {4711/orders: {url: https://example.com/, events: [a], tenant: '4711'}}\n"


def test_a_tenants_id_stands_in_the_managed_directory(tmp_path: Path) -> None:
    config = load_tree(tmp_path, main=MAIN, **{"managed/4711+orders.yaml": HOOK})
    assert list(config.webhooks) == ["4711/orders"]
    assert config.managed_dir == str(tmp_path / "managed")
    assert not config.managed_git


def test_a_tenants_id_stands_nowhere_else(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, main=MAIN + HOOK)
    assert problem.code == "bad_name"
    assert "stands in files of `managed_dir` only" in problem.message


def test_a_tenants_id_is_of_a_webhook_of_that_tenant(tmp_path: Path) -> None:
    files = {"managed/a.yaml": HOOK.replace("tenant: '4711'", "tenant: '4712'")}
    (problem,) = problems_of(tmp_path, main=MAIN, **files)
    assert problem.code == "bad_name"
    assert 'must have `tenant: "4711"`' in problem.message


CONTROL = "daemon: {control: {http: '127.0.0.1:8481', tokens: [{env: T, tenant: '4711', profile: p}]}}\n"


def test_the_control_api_over_http_has_tokens(tmp_path: Path) -> None:
    config = load_tree(tmp_path, main=MAIN + CONTROL, **{"managed/a.yaml": HOOK})
    control = config.daemon.control
    assert control.http == ("127.0.0.1", 8481)
    (token,) = control.tokens
    assert (token.secret, token.tenant, token.profile) == (Reference(ReferenceKind.ENV, "T"), "4711", "p")


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("{http: '127.0.0.1:8481'}", "needs `tokens`"),
        ("{http: '127.0.0.1:8481', tokens: []}", "needs `tokens`"),
        ("{tokens: [{env: T, tenant: a, profile: p}]}", "need `http: HOST:PORT`"),
        ("{http: 'h:1', tokens: [{env: T, tenant: a}]}", "lacks `profile`"),
        ("{http: 'h:1', tokens: [{env: T, tenant: 'a/b', profile: p}]}", "a tenant of the control API is"),
        ("{http: 'h:1', tokens: [{env: T, tenant: '*', profile: p}]}", "a tenant of the control API is"),
        ("{http: 'h:1', tokens: [{env: T, tenant: a, profile: q}]}", "there is no profile `q`"),
        ("{http: 'h:99999', tokens: [{env: T, tenant: a, profile: p}]}", "must be HOST:PORT"),
    ],
)
def test_what_the_control_section_lacks_is_told(tmp_path: Path, control: str, said: str) -> None:
    problems = problems_of(tmp_path, main=f"{MAIN}daemon: {{control: {control}}}\n")
    assert any(said in problem.message for problem in problems), problems
