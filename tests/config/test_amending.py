"""Definitions tried on a running config: what is wrong, where, and what others' mistakes have to do with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hookd.config.load import Loaded, load
from hookd.config.managing.amending import Draft, amend, try_drafts
from hookd.config.managing.managed import render_file
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
    version: 1
    managed_dir: managed
    event_types: {run.finish: {schema: schemas/run.json}, run.start: {}}
    profiles:
      payroll: {require_https: true, body: {schema: schemas/run.json}}
      needy: {body: {template: {token: $(secrets.token)}}}
      open: {allow_networks: [10.0.0.0/8, 127.0.0.0/8]}
    moved: [{from: gone, to: 4711/first}]
    """
FIRST = (
    "# Written by hookd for somebody at some time.\n"
    "webhooks: {4711/first: {tenant: '4711', url: https://example.com/, events: [run.finish]}}\n"
)
NOW = 1_795_276_800_000


@pytest.fixture
def base(tmp_path: Path) -> Loaded:
    files = {"schemas/run.json": '{"type": "object"}', "managed/4711+first.yaml": FIRST}
    return load(write_tree(tmp_path, main=MAIN, **files))


def root_of(base: Loaded) -> str:
    assert base.config.managed_dir is not None
    return base.config.managed_dir


def told(base: Loaded, **definition: object) -> list[tuple[str | None, str, str]]:
    drafts = [Draft(id="4711/new", definition={"profile": "payroll", "tenant": "4711", **definition})]
    complaints = try_drafts(base, root_of(base), drafts, now=NOW)
    return [(it.pointer, it.code, it.message) for it in complaints.get("4711/new", ())]


GOOD: dict[str, Any] = {"url": "https://example.com/", "events": ["run.finish"]}


def test_a_good_definition_has_nothing_against_it(base: Loaded) -> None:
    assert told(base, **GOOD) == []


@pytest.mark.parametrize(
    ("definition", "pointer", "code"),
    [
        ({**GOOD, "url": "http://example.com/"}, "/url", "bad_url"),
        ({**GOOD, "url": "https://10.1.2.3/"}, "/url", "bad_url"),
        ({**GOOD, "url": "https://[::1]/"}, "/url", "bad_url"),
        ({**GOOD, "url": "https://localhost/"}, "/url", "bad_url"),
        ({**GOOD, "url": "https://169.254.169.254/latest"}, "/url", "bad_url"),
        ({**GOOD, "url": 7}, "/url", "wrong_type"),
        ({**GOOD, "events": ["run.finish", "run.finsh"]}, "/events/1", "unknown_event_type"),
        ({**GOOD, "events": [{"event": "run.finish", "on": True}]}, "/events/0/on", "unknown_key"),
        ({**GOOD, "filter": {"data.a": {"any": 1}}}, "/filter/data.a/any", "bad_filter"),
        ({**GOOD, "filter": {"any": [{"x": 1}]}}, "/filter/any/0/x", "bad_filter"),
        ({**GOOD, "body": {"template": {"a": ["x $(data.a) $(foo)"]}}}, "/body/template/a/0", "bad_template"),
        (
            {**GOOD, "body": {"template": "\u2028 $(secrets.t)", "format": "json"}},
            "/body/template",
            "undeclared_secret",
        ),
        ({**GOOD, "test_event": {"type": "run.finish", "tennant": "a"}}, "/test_event/tennant", "unknown_key"),
        ({**GOOD, "a~b/c": 1}, "/a~0b~1c", "unknown_key"),
        ({"url": "https://example.com/"}, "", "missing_key"),
        ({**GOOD, "name": "\x00\u2028\ufeff💶", "nme": 1}, "/nme", "unknown_key"),
    ],
)
def test_each_fault_has_its_pointer(base: Loaded, definition: dict[str, Any], pointer: str, code: str) -> None:
    assert [(where, what) for where, what, _ in told(base, **definition)] == [(pointer, code)]


def test_whether_a_key_is_at_fault_or_its_value_is_told(base: Loaded) -> None:
    definition = {
        **GOOD,
        "profile": "payroll",
        "tenant": "4711",
        "filter": {"data.x": {"gtx": 1, "gt": True}, "x": 1},
        "events": ["nope"],
        "timeout": 1,
        "timout": 1,
    }
    complaints = try_drafts(base, root_of(base), [Draft(id="4711/new", definition=definition)], now=NOW)["4711/new"]
    assert {it.pointer: it.of_key for it in complaints} == {
        "/filter/data.x/gtx": True,
        "/filter/data.x/gt": False,
        "/filter/x": True,
        "/events/0": False,
        "/timeout": False,
        "/timout": True,
    }


def test_all_faults_are_told_at_once(base: Loaded) -> None:
    found = told(base, url="ftp://x", events=["nope"], filter={"x": 1}, timeout="soon")
    assert {where for where, _, _ in found} == {"/url", "/events/0", "/filter/x", "/timeout"}


def test_no_value_is_repeated(base: Loaded) -> None:
    found = told(base, url="https://canary@example.com/?canary", events=["run.finish"], rate="canary")
    assert found
    assert not [message for _, _, message in found if "canary" in message]


def test_what_the_profile_opens_is_open(base: Loaded) -> None:
    draft = Draft(id="4711/new", definition={**GOOD, "profile": "open", "tenant": "4711", "url": "http://10.1.2.3/"})
    assert try_drafts(base, root_of(base), [draft], now=NOW) == {}


def test_a_definition_that_its_profile_does_not_take_is_to_blame_alone(base: Loaded) -> None:
    drafts = [Draft(id=f"4711/w{number}", definition={**GOOD, "tenant": "4711"}) for number in range(5)]
    drafts[2] = Draft(id="4711/w2", definition={**GOOD, "tenant": "4711", "profile": "needy"})
    drafts[4] = Draft(id="4711/w4", definition={"tenant": "4711", "url": "x"})
    complaints = try_drafts(base, root_of(base), drafts, now=NOW)
    assert set(complaints) == {"4711/w2", "4711/w4"}
    assert [(it.pointer, it.code) for it in complaints["4711/w2"]] == [(None, "undeclared_secret")]


@pytest.mark.parametrize(
    ("profile", "secret"),
    [
        ({"auth": {"bearer": {"env": "A"}}}, "`auth`"),
        ({"auth": {"basic": {"username": "u", "password": "p"}}}, "`auth`"),
        ({"headers": {"X-Plain": "a", "X-Ref": {"env": "A"}}}, "`headers.X-Ref`"),
        ({"headers": {"X-Api-Key": "a"}}, "`headers.X-Api-Key`"),
        ({"secrets": {"t": {"env": "A"}}, "body": {"template": {"x": "$(secrets.t)"}}}, "`secrets.t`"),
        ({"headers": {"X-Plain": "a"}, "sign": {"secrets": [{"env": "A"}]}}, None),
    ],
)
def test_no_secret_of_the_operators_goes_where_a_tenant_says(
    tmp_path: Path, profile: dict[str, Any], secret: str | None
) -> None:
    base = load(write_tree(tmp_path, main=json.dumps({"version": 1, "managed_dir": "m", "profiles": {"p": profile}})))
    definition = {**GOOD, "profile": "p", "tenant": "a"}
    draft = Draft(id="a/b", definition=definition, foreign=True)
    complaints = try_drafts(base, root_of(base), [draft], now=NOW).get("a/b", ())
    assert [it.pointer for it in complaints] == ([] if secret is None else [None])
    assert all(it.message.startswith(str(secret)) for it in complaints)
    assert try_drafts(base, root_of(base), [replace(draft, foreign=False)], now=NOW) == {}


def test_tests_that_come_along_are_run(base: Loaded) -> None:
    event = {"type": "run.finish", "tenant": "4711", "data": {}}
    tests = [{"event": event, "expect": "delivered"}, {"event": event, "expect": "ignored"}]
    assert [(where, what) for where, what, _ in told(base, **GOOD, tests=tests)] == [("/tests/1", "test_failed")]


def test_what_the_operator_breaks_on_disk_has_no_part_in_it(base: Loaded, tmp_path: Path) -> None:
    (tmp_path / "hookd.yaml").write_text("broken: [")
    shutil.rmtree(tmp_path / "schemas")
    shutil.rmtree(tmp_path / "managed")
    assert told(base, **GOOD) == []
    content = render_file("4711/new", {**GOOD, "tenant": "4711"}, who="me", when="now")
    made, refused = amend(base, root_of(base), {"4711/new": content})
    assert not refused
    assert sorted(made.config.webhooks) == ["4711/first", "4711/new"]


def test_what_is_made_is_what_the_files_would_make(base: Loaded, tmp_path: Path) -> None:
    contents = {
        f"{tenant}/{name}": render_file(f"{tenant}/{name}", {**GOOD, "tenant": tenant}, who="me", when="now")
        for tenant in ("4711", "08", "Z")
        for name in ("a", "zz")
    }
    made, refused = amend(base, root_of(base), {**contents})
    assert not refused
    for name, content in contents.items():
        (tmp_path / "managed" / f"{name.replace('/', '+')}.yaml").write_bytes(content)
    loaded = load(tmp_path / "hookd.yaml")
    assert made.config.revision == loaded.config.revision
    assert dict(made.config.webhooks) == dict(loaded.config.webhooks)
    assert made.snapshot.included == loaded.snapshot.included
    assert not made.snapshot.settled() or made.snapshot.files == loaded.snapshot.files
    made.snapshot.take_stamps([str(tmp_path / "managed" / f"{name.replace('/', '+')}.yaml") for name in contents])
    assert made.snapshot.settled()


def test_a_change_that_the_rest_does_not_take_leaves_the_others(base: Loaded) -> None:
    content = render_file("4711/new", {**GOOD, "tenant": "4711"}, who="me", when="now")
    made, refused = amend(base, root_of(base), {"4711/first": None, "4711/new": content})
    assert [*refused] == ["4711/first"], "`moved` names it"
    assert sorted(made.config.webhooks) == ["4711/first", "4711/new"]
