"""Origins: each value's layer and line, from real files, of which only some are parsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hookd.config.comparing.origins import BUILT_IN, Origins, walk_origins
from hookd.config.load import load
from hookd.control.explain import add_origins, describe_definition
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from hookd.config.load import Loaded

MAIN = """\
version: 1
include: [webhooks.d/*.yaml]
defaults:
  timeout: 20s
  retry: {schedule: [1s], max_age: 1h}
profiles:
  base:
    headers: {X-Team: platform, X-Old: "1"}
    auth: {bearer: {env: TOKEN}}
"""
PROFILES = """\
profiles:
  crm-style:
    profile: base
    timeout: 10s
    auth: {basic: {username: u, password: {env: P}}}
"""
CRM = """\
webhooks:
  crm:
    profile: crm-style
    url: https://crm.example.com/
    events:
      - user.*
      - {event: a.b, active: false}
    retry: {max_age: null}
    headers: {x-team: crm}
    filter:
      data.amount: {gte: 1}
"""
OTHER = """\
webhooks:
  other:
    url: https://other.example.com/
    events: ["*"]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(
        tmp_path,
        main=MAIN,
        webhooks__d="",
        **{"webhooks.d/a.yaml": PROFILES, "webhooks.d/b.yaml": CRM, "webhooks.d/c.yaml": OTHER},
    )


def origins_of(loaded: Loaded, webhook: str) -> Origins:
    """Give the origins of the file that a webhook stands in."""
    (found,) = walk_origins(loaded.snapshot, [loaded.config.webhooks[webhook].place.file])
    return found


def test_every_value_has_the_layer_and_the_line_that_set_it(tree: Path) -> None:
    loaded = load(tree)
    origins = origins_of(loaded, "crm")
    top = tree.parent
    a, b, main = (str(top / name) for name in ("webhooks.d/a.yaml", "webhooks.d/b.yaml", "hookd.yaml"))
    expected = {
        ("profile",): ("webhook", f"{b}:3"),
        ("url",): ("webhook", f"{b}:4"),
        ("events",): ("webhook", f"{b}:5"),
        ("timeout",): ("profile crm-style", f"{a}:4"),
        ("auth", "basic", "password"): ("profile crm-style", f"{a}:5"),
        ("headers", "x-team"): ("webhook", f"{b}:9"),
        ("headers", "X-Old"): ("profile base", f"{main}:8"),
        ("retry", "schedule"): ("defaults", f"{main}:5"),
        ("retry", "max_age"): (BUILT_IN, None),  # unset by the webhook
        ("retry", "jitter"): (BUILT_IN, None),
        ("filter", "data.amount", "gte"): ("webhook", f"{b}:11"),
        ("method",): (BUILT_IN, None),
    }
    for path, (layer, place) in expected.items():
        origin = origins.origin("crm", path)
        found = None if origin.place is None else f"{origin.place.file}:{origin.place.line}"
        assert (path, origin.layer, found) == (path, layer, place)


def test_a_place_is_that_of_the_key_or_of_what_is_around_it(tree: Path) -> None:
    origins = origins_of(load(tree), "crm")
    lines = {
        path: origins.place("crm", path).line
        for path in [("events", 1), ("filter", "data.amount", "gte"), ("tenant",), ()]
    }
    assert lines == {("events", 1): 7, ("filter", "data.amount", "gte"): 11, ("tenant",): 2, (): 2}


def test_a_webhook_of_the_main_file_needs_no_other_file_but_those_with_profiles(tmp_path: Path) -> None:
    main = MAIN + "webhooks:\n  here: {profile: crm-style, url: https://x.example, events: [a]}\n"
    tree = write_tree(tmp_path, main=main, **{"webhooks.d/a.yaml": PROFILES, "webhooks.d/c.yaml": OTHER})
    origins = origins_of(load(tree), "here")
    assert origins.origin("here", ("timeout",)).layer == "profile crm-style"
    assert origins.webhooks == ("here",)


def test_each_file_tells_of_its_own_webhooks(tree: Path) -> None:
    files = [str(tree.parent / f"webhooks.d/{name}.yaml") for name in "abc"]
    snapshot = load(tree).snapshot
    assert [origins.webhooks for origins in walk_origins(snapshot, files)] == [(), ("crm",), ("other",)]


def test_a_file_may_be_named_by_its_absolute_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    snapshot = load(Path("hookd.yaml")).snapshot
    (origins,) = walk_origins(snapshot, [str(tree.parent / "webhooks.d/b.yaml")])
    assert str(origins.place("crm", ("url",))) == "webhooks.d/b.yaml:4:5"


def test_a_definition_names_the_schema_of_its_body_as_it_is_written(tmp_path: Path) -> None:
    main = "version: 1\nwebhooks:\n  w:\n    url: https://x.example\n    events: [a]\n    body: {schema: s.json}\n"
    loaded = load(write_tree(tmp_path, main=main, **{"s.json": '{"type": "object"}'}))
    described = describe_definition(loaded.config.webhooks["w"])
    add_origins(loaded.snapshot, loaded.config, {"w": described})
    definition, origins = described["definition"], described["origins"]
    assert definition["body"]["schema"] == "s.json"
    (found,) = [each for each in origins if each["path"] == ["body", "schema"]]
    assert found == {"path": ["body", "schema"], "layer": "webhook", "place": f"{tmp_path}/hookd.yaml:6:12"}


def test_a_null_that_is_kept_came_from_the_layer_that_says_it(tmp_path: Path) -> None:
    profiles = "profiles: {forever: {suspend_after: null}}\n"
    webhooks = (
        "webhooks:\n  own: {url: https://a.example/, events: [a], suspend_after: null}\n"
        "  built: {url: https://a.example/, events: [a], profile: forever}\n"
    )
    main = write_tree(tmp_path, main=f"version: 1\ndefaults: {{suspend_after: 2d}}\n{profiles}{webhooks}")
    loaded = load(main)
    for webhook, layer, line in (("own", "webhook", 5), ("built", "profile forever", 3)):
        assert loaded.config.webhooks[webhook].suspend_after is None
        origin = origins_of(loaded, webhook).origin(webhook, ("suspend_after",))
        assert origin.place is not None
        assert (origin.layer, origin.place.line) == (layer, line)
