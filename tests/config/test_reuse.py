"""A load that goes on from an earlier one comes to what a load comes to that begins with nothing."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.load import Loaded, load, load_again, load_amended
from hookd.config.schema.schemas import CompiledSchema
from hookd.core.filters import Filter
from hookd.core.template import Template
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from hookd.config.load import Rejected
    from hookd.core.config import Config

MAIN: Final = "version: 1\ninclude: [d/*.yaml, e/**/*.yaml]\n"
CATALOGUE: Final = "event_types:\n  a: {schema: s.json}\n  b: {require: [tenant], schema: schemas/u.yaml}\n  c.d: {}\n"
HOOK: Final = "webhooks:\n  %s:\n    url: https://example.com/%s\n    events: [%s]\n"
PROFILED: Final = HOOK + "    profile: %s\n"

#: Of each file some contents, good and bad ones; None: it is not there.
CONTENTS: Final[dict[str, tuple[str | None, ...]]] = {
    "hookd.yaml": (
        MAIN,
        MAIN.replace("d/*.yaml, e/**/*.yaml", "e/**/*.yaml, d/*.yaml"),
        MAIN + CATALOGUE,
        "# a line more\n" + MAIN + CATALOGUE,
        MAIN + CATALOGUE.replace("  c.d: {}\n", "  a.x: {}\n"),
        MAIN + "defaults: {timeout: 3s, headers: {X-A: one}}\n",
        MAIN + "defaults: {headers: {X-A: one}, timeout: 3s}\n",
        MAIN + "defaults: {timeout: soon}\n",
        MAIN + "profiles: {p: {timeout: 4s, body: {schema: s.json}}, q: {profile: p, sign: {secrets: [{file: k}]}}}\n",
        "# x\n" + MAIN + "profiles: {q: {}, p: {tests: [{event: {type: a}}], body: {template: {x: $(type), y: 1}}}}\n",
        MAIN + "profiles: {p: {body: {template: {y: 1, x: $(type)}}}, q: {profile: gone}}\n",
        MAIN + "profiles: {p: {profile: q}, q: {profile: p}}\n",
        MAIN + "profiles: {p: {filter: {data.x: {gtee: 5}}}, idle: {body: {schema: s.json}, events: [c.*]}}\n",
        MAIN + CATALOGUE + "profiles: {p: {events: [c.*]}, idle: {body: {schema: s.json}, events: [zzz]}}\n",
        MAIN + "webhooks: {one: {url: https://example.com/, events: [a]}}\n",
        MAIN + "moved: [{from: old, to: one}, {from: two, to: one}]\n",
        "version: 1\ninclude: [d/*.yaml]\nmanaged_dir: e\n",
        "version: 1\ninclude: [d/*.yaml\n",
    ),
    "d/one.yaml": (
        None,
        HOOK % ("one", "1", "a"),
        HOOK % ("one", "changed", "a"),
        "# lower\n" + HOOK % ("one", "1", "a"),
        PROFILED % ("one", "1", "a", "p"),
        PROFILED % ("one", "1", "a, b", "q"),
        HOOK % ("one", "1", "c.*") + "    filter: {data.n: {gt: 1}}\n    tenant: t\n",
        HOOK % ("one", "1", "a") + "    body: {schema: ../s.json}\n    tests: [{event: {type: a}}]\n",
        HOOK % ("one", "1", "a") + "    tmeout: 3s\n",
        HOOK % ("one", "1", "a") + "    timeout: soon\n    headers: {X Y: 1, X-A: $(type)}\n",
        "webhooks:\n  one: [\n",
        "webhooks: {one: {urll: https://example.com/, events: [a]}}\n",
        "webhooks: [one]\n",
        "x-mine: 1\n",
    ),
    "d/two.yaml": (
        None,
        HOOK % ("two", "2", "a, '*'") + HOOK.removeprefix("webhooks:\n") % ("three", "3", "a") + "    tenant: t\n",
        HOOK % ("three", "3", "a") + HOOK.removeprefix("webhooks:\n") % ("two", "2", "a, b") + "    active: false\n",
        PROFILED % ("two", "2", "a", "q") + "moved: [{from: old, to: two}]\n",
        PROFILED % ("one", "2", "a", "p"),
        "profiles: {r: {timeout: 9s, secrets: {k: {file: k}}}}\n" + PROFILED % ("two", "2", "a", "r"),
        "event_types: {z: {schema: ../s.json}}\n" + HOOK % ("two", "2", "z"),
    ),
    "e/f/three.yaml": (
        None,
        PROFILED % ("four", "4", "b", "r"),
        PROFILED % ("two", "2", "b", "p") + "    body: {schema: ../../schemas/u.yaml}\n",
        HOOK % ("x-four", "4", "b") + HOOK.removeprefix("webhooks:\n") % ("four", "4", "z") + "    paused: true\n",
    ),
    "s.json": (
        "{}",
        None,
        '{"properties": {"n": {"type": "number"}}, "additionalProperties": false}',
        '{"$ref": "schemas/t.json"}',
        '{"$id": "https://example.com/s", "$ref": "https://example.com/t"}',
        '{"type": "nothing"}',
        "{",
    ),
    "schemas/t.json": ("true", None, '{"$id": "https://example.com/t", "type": "object"}', '{"$ref": "u.yaml"}'),
    "schemas/u.yaml": ("type: object\n", None, "type: [object\n", "$ref: ../s.json\n", "pattern: (?=x)\n"),
}
START: Final = dict.fromkeys(CONTENTS, 0)
CHANGES = st.lists(
    st.lists(
        st.sampled_from([(name, number) for name, contents in CONTENTS.items() for number in range(len(contents))]),
        min_size=1,
        max_size=3,
    ),
    min_size=2,
    max_size=6,
)


def put(top: Path, name: str, number: int) -> None:
    content = CONTENTS[name][number]
    if content is None:
        (top / name).unlink(missing_ok=True)
    else:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)


def described(result: Loaded | Rejected) -> object:
    """Give everything of a load that can be compared."""
    snapshot = result.snapshot
    files = None if snapshot is None else (dict(snapshot.files), snapshot.included, snapshot.hash)
    if not isinstance(result, Loaded):
        return result.error.problems, dict(result.error.sources), result.missing, files
    return describe_config(result.config), files


def describe_config(config: Config) -> object:
    return {
        **{field.name: plain(getattr(config, field.name)) for field in fields(config) if field.name != "index"},
        "routes": [
            (kind, tenant, [(route.webhook.id, route.trigger) for route in routes])
            for kind in ("a", "b", "c.d", "z", "a.x", "hookd.delivery.dead")
            for tenant, routes in ((tenant, config.index.routes_for(kind, tenant)) for tenant in (None, "t", "u"))
        ],
        "same": all(route.webhook is config.webhooks[route.webhook.id] for route in config.index.routes_for("a", None)),
    }


def plain(value: object) -> object:
    if isinstance(value, Filter | Template):
        return repr(value.spec if isinstance(value, Filter) else value.written)
    if isinstance(value, CompiledSchema):
        return value.digest
    if hasattr(value, "items"):
        return [(key, plain(inner)) for key, inner in value.items()]
    if isinstance(value, tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "__dataclass_fields__"):
        return [(field.name, plain(getattr(value, field.name))) for field in fields(value)]  # type: ignore[arg-type]
    return value


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_it_comes_to_the_same(changes: list[list[tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for name, number in START.items():
            put(top, name, number)
        before = load_again(top / "hookd.yaml", None)
        for step in changes:
            for name, number in step:
                put(top, name, number)
            after = load_again(top / "hookd.yaml", before)
            fresh = load_again(top / "hookd.yaml", None)
            assert described(before if after is None else after) == described(fresh)
            before = after or before


def test_what_did_not_change_is_the_same_object(tmp_path: Path) -> None:
    main = MAIN + CATALOGUE + "profiles: {p: {timeout: 4s}}\n"
    files = {"s.json": "{}", "schemas/u.yaml": "type: object\n"}
    other = PROFILED % ("two", "2", "b", "p") + "    body: {schema: ../s.json}\n"
    write_tree(tmp_path, main=main, d__one=HOOK % ("one", "1", "a"), d__two=other, **files)
    first = load(tmp_path / "hookd.yaml")
    write_tree(tmp_path, d__one=HOOK % ("one", "changed", "a"))
    second = load_again(tmp_path / "hookd.yaml", first)
    assert isinstance(second, Loaded)
    assert second.config.webhooks["one"] is not first.config.webhooks["one"]
    assert second.config.webhooks["two"] is first.config.webhooks["two"]
    assert second.config.event_types["a"].validator is first.config.event_types["a"].validator
    # A profile that says the same at another line is the same ground; one that says something else is not.
    write_tree(tmp_path, main="# a line more\n" + main)
    third = load_again(tmp_path / "hookd.yaml", second)
    assert isinstance(third, Loaded)
    assert third.config.webhooks["two"] is first.config.webhooks["two"]
    write_tree(tmp_path, main=main.replace("4s", "5s"))
    fourth = load_again(tmp_path / "hookd.yaml", third)
    assert isinstance(fourth, Loaded)
    assert fourth.config.webhooks["two"].timeout == 5
    assert fourth.config.webhooks["one"] is second.config.webhooks["one"]


@pytest.mark.parametrize("broken", ["webhooks: [\n", "webhooks: {two: {url: 1}}\n"])
def test_a_broken_file_does_not_cost_the_others(tmp_path: Path, broken: str) -> None:
    write_tree(tmp_path, main=MAIN, d__one=HOOK % ("one", "1", "a"), d__two=HOOK % ("two", "2", "a"))
    first = load(tmp_path / "hookd.yaml")
    write_tree(tmp_path, d__two=broken)
    bad = load_again(tmp_path / "hookd.yaml", first)
    assert bad is not None
    assert not isinstance(bad, Loaded)
    write_tree(tmp_path, d__two=HOOK % ("two", "mended", "a"))
    mended = load_again(tmp_path / "hookd.yaml", bad)
    assert isinstance(mended, Loaded)
    assert mended.config.webhooks["one"] is first.config.webhooks["one"]
    assert mended.config.webhooks["two"].url == "https://example.com/mended"


def test_of_a_changed_file_the_other_webhooks_stay(tmp_path: Path) -> None:
    text = "webhooks:\n  one: {url: 'https://example.com/%d', events: [a], filter: {data.n: 1}}\n"
    text += "  two: {url: 'https://example.com/', events: [a], filter: {data.n: 1}, body: {template: {x: $(type)}}}\n"
    first = load(write_tree(tmp_path, main=MAIN, d__one=text % 1))
    write_tree(tmp_path, d__one=text % 2)
    second = load_again(tmp_path / "hookd.yaml", first)
    assert isinstance(second, Loaded)
    assert second.config.webhooks["one"].url == "https://example.com/2"
    assert second.config.webhooks["two"] is first.config.webhooks["two"]


def test_equal_parts_are_made_once(tmp_path: Path) -> None:
    part = "    filter: {data.n: 1}\n    body: {template: {x: $(type)}}\n    retry: {schedule: [1s]}\n"
    one, two = HOOK % ("one", "1", "a") + part, HOOK % ("two", "2", "a") + part
    three = HOOK % ("three", "3", "a") + part.replace("data.n: 1", "data.n: 1.0").replace("[1s]", "[2s]")
    webhooks = load(write_tree(tmp_path, main=MAIN, d__one=one, d__two=two, d__three=three)).config.webhooks
    assert webhooks["one"].filter is webhooks["two"].filter
    assert webhooks["one"].body is webhooks["two"].body
    assert webhooks["one"].retry is webhooks["two"].retry
    assert webhooks["one"].filter is not webhooks["three"].filter
    assert webhooks["one"].retry != webhooks["three"].retry


def test_amending_shares_what_stays(tmp_path: Path) -> None:
    main = MAIN + "managed_dir: m\n"
    base = load(write_tree(tmp_path, main=main, d__one=HOOK % ("one", "1", "a"), m__two=HOOK % ("two", "2", "a")))
    root = str(tmp_path / "m")
    amended = load_amended(base, base.snapshot.amended(root, {f"{root}/two.yaml": (HOOK % ("two", "3", "a")).encode()}))
    assert amended.config.webhooks["one"] is base.config.webhooks["one"]
    assert amended.config.webhooks["two"].url == "https://example.com/3"
    (tmp_path / "m/two.yaml").write_text(HOOK % ("two", "3", "a"))
    assert describe_config(load(tmp_path / "hookd.yaml").config) == describe_config(amended.config)
