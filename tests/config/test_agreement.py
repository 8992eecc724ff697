"""The published schema and the loader agree: what an editor accepts, hookd accepts, and the other way round.

Documents are made from the schema itself, of its examples and its rules, and then broken at random. A foreign validator
(jsonschema, as it is) judges them by the schema, and hookd loads them. Where they differ it must be for a reason that a
schema cannot tell: what the parts of a config say about each other, and what a text means (a URL, a path).
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from hookd.config.check import config_schema
from hookd.config.load import load_snapshot
from hookd.config.problems import ConfigInvalid
from hookd.config.snapshot import Snapshot
from hookd.core.conditions import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.problems import Problem

CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
SCHEMA = config_schema()
MAIN = "/nowhere/hookd.yaml"

#: What only the loader can know. Every other code is the schema's to find too.
SEMANTIC = frozenset(
    {
        "bad_header",
        "bad_move",
        "bad_network",
        "bad_schema",
        "bad_secret",
        "bad_template",
        "bad_url",
        "duplicate_id",
        "duplicate_key",
        "duplicate_pattern",
        "impossible_path",
        "missing_file",
        "profile_cycle",
        "undeclared_secret",
        "unknown_event_type",
        "unknown_profile",
    }
)
#: The same for codes that both use: what the loader alone says of a value that is of the right shape.
SEMANTIC_MESSAGES = (
    "needs `url`",  # it may come from a profile, or from the defaults
    "needs `events`",
    "needs `secrets`",  # the same
    "takes either `bearer` or `basic`",  # the same
    "`basic` needs a",  # the same
    "needs the `certificate` that it belongs to",
    "`tokens: none` is for loopback addresses only",
    "must be HOST:PORT",  # a port above 65535
    "a 2xx status is a success",
    "a user name cannot hold a `:`",
    "more than 0; `paused: true`",
    "type is required",  # of a `test_event`: the same
    "types that begin with `hookd.` are hookd's own",
    "the path of a socket has at most",
    "a path holds no NUL",
    "over HTTP the control API needs",
    "they need `http: HOST:PORT` beside them",
    "a token is a reference with a `tenant`",
    "a tenant of the control API is",
    "stands in files of `managed_dir` only",
    "as its id says",
    "this inlet needs `tokens`",
    "there is no `managed_dir`",
    "need a `managed_dir`",
    "no operator here",  # of a filter: a profile may say the rest
    "an empty filter says nothing",  # the same
    "RE2 ",
)


# --------------------------------------------------------------------------- documents from the schema


@cache
def documents(reference: str) -> st.SearchStrategy[Any]:
    """Give values that a definition of the schema mostly accepts."""
    definition = SCHEMA["definitions"][reference.rpartition("/")[2]]
    return st.deferred(lambda: values(definition))


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return documents(schema["$ref"])
    choices: list[st.SearchStrategy[Any]] = []
    if schema.get("examples"):
        choices.append(st.sampled_from(schema["examples"]))
    if "enum" in schema:
        choices.append(st.sampled_from(schema["enum"]))
    types = schema.get("type", [])
    choices += [MAKERS[kind](schema) for kind in ([types] if isinstance(types, str) else types)]
    choices += [values(part) for part in schema.get("allOf", ())]
    choices += [values(schema[key]) for key in ("then", "else") if key in schema]
    return st.one_of(choices) if choices else st.just("a text")


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    known = {key: values(inner) for key, inner in schema.get("properties", {}).items()}
    required = {key: known[key] for key in schema.get("required", ()) if key in known}
    optional = {key: inner for key, inner in known.items() if key not in required}
    more = schema.get("additionalProperties")
    if known and isinstance(more, dict):  # a filter: beside its own words, whatever paths
        optional |= {path: values(more) for path in ("data.country", "data.items[0].sku", 'data["a b"]', "type")}
    if known or not isinstance(more, dict):
        return st.fixed_dictionaries(required, optional=optional)
    names = st.sampled_from(["crm", "shop-2", "user.updated", "X-Team", "x-mine"])
    return st.dictionaries(names, values(more), max_size=3)


def texts(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    pattern = schema.get("pattern")
    return st.from_regex(pattern.removesuffix("$") + r"\Z") if pattern else st.sampled_from(["a", "user.updated", "*"])


MAKERS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": objects,
    "array": lambda schema: st.lists(values(schema.get("items", {"type": "string"})), max_size=3),
    "string": texts,
    "integer": lambda schema: st.integers(schema.get("minimum", -5), schema.get("maximum", 10_000)),
    "number": lambda _schema: st.floats(0, 1),
    "boolean": lambda _schema: st.booleans(),
    "null": lambda _schema: st.none(),
}

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "10",
    [],
    ["x"],
    [[]],
    {},
    {"a": 1},
    {"file": "f"},
    {"file": "f", "env": "E"},
    {"gte": 1, "lt": "x"},
    {"gt": True},
    {"in": []},
    {"exists": 1},
    {"data.x": {"gtee": 1}},
    {"data.x": {"regex": "("}},
    {"any": [{"country": "NL"}]},
    {"not": []},
]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Give a main file made from the schema, whole or with up to three things in it changed."""
    value: dict[str, Any] = json.loads(json.dumps({"version": 1, **draw(documents("#/definitions/main"))}))
    for _ in range(draw(st.integers(0, 3))):
        break_at(draw, value)
    return value


def break_at(draw: st.DrawFn, value: Any) -> None:
    """Change something at a random place: another value, another key, one less, one more."""
    while True:
        inner = [
            each for each in (value.values() if isinstance(value, dict) else value) if isinstance(each, dict | list)
        ]
        inner = [each for each in inner if each]
        if not inner or draw(st.integers(0, 3)) == 0:
            break
        value = draw(st.sampled_from(inner))
    change = draw(st.sampled_from(["replace", "rename", "remove", "add"]))
    strange = copy.deepcopy(draw(st.sampled_from(STRANGE)))  # it may be changed in its turn
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if change == "add" or not keys:
        if isinstance(value, dict):
            value[draw(st.sampled_from(["x-own", "zzz", "url", "events", "tenant", ""]))] = strange
        else:
            value.append(strange)
        return
    key = draw(st.sampled_from(keys))
    if change == "replace":
        value[key] = strange
    elif change == "rename" and isinstance(value, dict):
        value[f"{key}s"] = value.pop(key)
    else:
        del value[key]


# --------------------------------------------------------------------------- both judges


def schema_accepts(value: object) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(value))


def problems_of(value: object) -> list[Problem]:
    """Give what hookd has against a config."""
    # What JSON writes as it is and YAML wants to be escaped.
    text = CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    try:
        load_snapshot(Snapshot(MAIN, {MAIN: text.encode()}))
    except ConfigInvalid as invalid:
        return list(invalid.problems)
    return []


def is_semantic(problem: Problem) -> bool:
    return problem.code in SEMANTIC or any(part in problem.message for part in SEMANTIC_MESSAGES)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configs())
@example({"version": 1})
@example({"version": 1, "webhooks": {"crm": {"timout": "5s"}}})
@example({"version": 1, "profiles": {"idle": {"filter": {"data.x": {"gtee": 5}}}}})
@example({"version": 1, "defaults": {"filter": {"any": []}}})
def test_schema_and_loader_agree(value: dict[str, Any]) -> None:
    accepted = schema_accepts(value)
    event(f"the schema accepts: {accepted}")
    problems = problems_of(value)
    if accepted:
        assert [problem for problem in problems if not is_semantic(problem)] == []
    else:
        assert problems


FILTERS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(
        ["data.x", "data", "type", "data[0].y", "extensions.z", "any", "all", "not", "country", "secrets.x"]
    ),
    st.recursive(
        st.sampled_from([None, True, 5, 1.5, "x", [], {}, ["x", 5], [[]]]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from([*OPERATORS, "any", "not", "data.y", "gtee"]), inner, max_size=2)
        ),
        max_leaves=6,
    ),
    max_size=2,
)


@settings(max_examples=400, deadline=None)
@given(FILTERS)
def test_schema_and_loader_agree_about_filters(written: dict[str, Any]) -> None:
    webhook = {"url": "https://crm.example.com/", "events": ["*"], "filter": written}
    value = {"version": 1, "webhooks": {"crm": webhook}}
    accepted = schema_accepts(value)
    event(f"the schema accepts: {accepted}")
    problems = problems_of(value)
    assert [problem for problem in problems if not is_semantic(problem)] == [] if accepted else problems


def test_the_corpus_holds_both_kinds_and_reaches_every_section() -> None:
    seen: dict[bool, set[str]] = {True: set(), False: set()}

    @settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(configs())
    def gather(value: dict[str, Any]) -> None:
        seen[schema_accepts(value)].update(value)

    gather()
    sections = set(SCHEMA["definitions"]["main"]["properties"])
    assert sections <= seen[True]
    assert sections <= seen[False]
