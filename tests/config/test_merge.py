"""Layers of a definition: mappings merge, the rest is replaced, and every value keeps its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.building.merge import Merged, Profiles, Section, merge_webhook, overlay
from hookd.config.text.strictyaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.problems import Problem


def layer(under: Merged | None, text: str, file: str = "f.yaml") -> Merged:
    document = parse_yaml(text.encode(), file)
    return overlay(under, document.value, Section(document, ()))


def merged(*texts: str) -> Mapping[str, object]:
    result: Merged | None = None
    for number, text in enumerate(texts):
        result = layer(result, text, f"{number}.yaml")
    assert result is not None
    return result.value


@pytest.mark.parametrize(
    ("under", "over", "result"),
    [
        ("a: 1", "b: 2", {"a": 1, "b": 2}),
        ("a: 1", "a: 2", {"a": 2}),
        ("retry: {jitter: 0.1, max_age: 1h}", "retry: {max_age: 2h}", {"retry": {"jitter": 0.1, "max_age": "2h"}}),
        ("retry: {schedule: [1s, 2s]}", "retry: {schedule: [3s]}", {"retry": {"schedule": ["3s"]}}),
        ("events: [a, b]", "events: [c]", {"events": ["c"]}),
        ("a: 1\nb: 2", "a: null", {"b": 2}),
        ("retry: {jitter: 0.1, max_age: 1h}", "retry: {max_age: null}", {"retry": {"jitter": 0.1}}),
        ("a: {b: 1}", "a: null", {}),
        ("", "retry: {max_age: null}", {"retry": {}}),
        ("suspend_after: 1d", "suspend_after: null", {"suspend_after": None}),
        # a reference is one value
        ("url: {env: U}", "url: {file: u}", {"url": {"file": "u"}}),
        ("headers: {A: {env: U}, B: b}", "headers: {A: {file: u}}", {"headers": {"B": "b", "A": {"file": "u"}}}),
        ("secrets: {file: {env: U}}", "secrets: {env: x}", {"secrets": {"file": {"env": "U"}, "env": "x"}}),
        ("auth: {basic: {username: u, password: {env: P}}}", "auth: {basic: {password: {file: p}}}",
         {"auth": {"basic": {"username": "u", "password": {"file": "p"}}}}),
        # a choice is one value
        ("auth: {bearer: b}", "auth: {basic: {username: u}}", {"auth": {"basic": {"username": "u"}}}),
        ("auth: {basic: {username: u}}", "auth: {bearer: {env: B}}", {"auth": {"bearer": {"env": "B"}}}),
        # header names have no case
        ("headers: {X-Key: a, B: b}", "headers: {x-key: c}", {"headers": {"B": "b", "x-key": "c"}}),
        ("headers: {X-Key: a}", "headers: {x-KEY: null}", {"headers": {}}),
        # data keeps its nulls
        ("body: {template: {a: 1, b: {c: 2}}}", "body: {template: {b: {c: null}, d: null}}",
         {"body": {"template": {"a": 1, "b": {"c": None}, "d": None}}}),
        ("filter: {data.x: 1}", "filter: {data.x: null}", {"filter": {"data.x": None}}),
        ("body: {template: {file: a}}", "body: {template: {env: b}}",
         {"body": {"template": {"file": "a", "env": "b"}}}),
        ("body: {template: {a: 1}, format: form}", "body: {template: null}", {"body": {"format": "form"}}),
        ("body: {template: {a: 1}}", "body: {template: $(data)}", {"body": {"template": "$(data)"}}),
        ("filter: {data.x: 1}", "filter: null", {}),
    ],
)  # fmt: skip
def test_what_lies_over_what(under: str, over: str, result: object) -> None:
    assert merged(under, over) == result


def test_layers_below_are_not_changed() -> None:
    base = layer(None, "retry: {jitter: 0.1}\nheaders: {A: a}\nbody: {template: {a: {b: 1}}}")
    before = repr(base.value)
    layer(base, "retry: {jitter: 0.2}\nheaders: {a: b}\nbody: {template: {a: {b: 2}}}")
    assert repr(base.value) == before


def test_every_value_keeps_the_place_it_came_from() -> None:
    base = layer(None, "timeout: 1s\nretry:\n  jitter: 0.1\n  schedule: [1s, 2s]\nheaders: {A: a}", "/a/base.yaml")
    top = layer(base, "url: u\nretry:\n  max_age: 1h\n  jitter: 0.2\nheaders: {a: b}", "/b/top.yaml")
    places = {
        ("timeout",): "/a/base.yaml:1:10",
        ("retry", "schedule", 1): "/a/base.yaml:4:18",
        ("retry", "jitter"): "/b/top.yaml:4:11",
        ("retry", "max_age"): "/b/top.yaml:3:12",
        ("headers", "a"): "/b/top.yaml:5:14",
        ("url",): "/b/top.yaml:1:6",
        ("absent",): "/b/top.yaml:1:1",
    }
    assert {path: str(top.place(path)) for path in places} == places
    assert str(top.key_place(("retry", "max_age"))) == "/b/top.yaml:3:3"
    assert top.directory(("timeout",)) == "/a"
    assert top.directory(("headers", "a")) == "/b"


def resolve(text: str) -> tuple[dict[str, Mapping[str, object]], list[Problem]]:
    document = parse_yaml(text.encode(), "f.yaml")
    problems: list[Problem] = []
    value = document.value
    defaults = overlay(None, value["defaults"], Section(document, ("defaults",))) if "defaults" in value else None
    entries = {name: (profile, Section(document, ("profiles", name))) for name, profile in value["profiles"].items()}
    profiles = Profiles(defaults, entries, problems.append)
    webhooks = {
        name: merge_webhook(profiles, webhook, Section(document, ("webhooks", name)))
        for name, webhook in value["webhooks"].items()
    }
    return {name: webhook.value for name, webhook in webhooks.items() if webhook.complete}, problems


def test_a_chain_of_profiles_lies_over_the_defaults() -> None:
    webhooks, problems = resolve("""
defaults: {timeout: 1s, method: PUT, rate: 1/s, name: d}
profiles:
  top: {profile: middle, timeout: 4s}
  middle: {profile: base, timeout: 3s, method: POST}
  base: {timeout: 2s, rate: 2/s}
webhooks:
  w: {profile: top, name: w}
  plain: {timeout: 9s}
  unset: {profile: null, name: null}
""")
    assert problems == []
    assert webhooks["w"] == {"timeout": "4s", "method": "POST", "rate": "2/s", "name": "w", "profile": "top"}
    assert webhooks["plain"] == {"timeout": "9s", "method": "PUT", "rate": "1/s", "name": "d"}
    assert webhooks["unset"] == {"timeout": "1s", "method": "PUT", "rate": "1/s"}


def test_an_unknown_profile_and_a_circle_are_told_once() -> None:
    webhooks, problems = resolve("""
profiles:
  a: {profile: b}
  b: {profile: a}
  c: {profile: crm-stile}
  self: {profile: self}
  crm-style: {}
webhooks:
  one: {profile: a}
  two: {profile: crm-stule}
  three: {profile: c}
  four: {profile: crm-style}
""")
    assert list(webhooks) == ["four"]
    told = [(problem.place.line, problem.code, problem.hint) for problem in problems]
    assert told == [
        (3, "profile_cycle", None),
        (5, "unknown_profile", "crm-style"),
        (6, "profile_cycle", None),
        (10, "unknown_profile", "crm-style"),
    ]
    assert "a -> b -> a" in problems[0].message


VALUES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def by_the_rule(under: object, over: object) -> object:
    if not isinstance(over, dict):
        return over
    base = dict(under) if isinstance(under, dict) else {}
    for key, value in over.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = by_the_rule(base.get(key), value)
    return base


@settings(max_examples=150, deadline=None)
@given(layers=st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=4))
def test_any_layers_merge_by_the_rule(layers: list[dict[str, object]]) -> None:
    document = parse_yaml(b"a: 1", "f.yaml")
    result: Merged | None = None
    expected: object = {}
    for value in layers:
        result = overlay(result, value, Section(document, ()))
        expected = by_the_rule(expected, value)
    assert result is not None
    assert result.value == expected
