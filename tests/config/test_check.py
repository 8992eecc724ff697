"""The check against the schema: every kind of mistake, its place, its code, and words that help."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.check import check_document, config_schema
from hookd.config.problems import CODES, Problem
from hookd.config.resources import resource
from hookd.config.text.strictyaml import parse_yaml

WHOLE = """\
version: 1
x-anything: {goes: here}
daemon:
  state_dir: /var/lib/hookd
  x-note: why
  inlets:
    - unix: /run/hookd/events.sock
      mode: "0660"
      allow: {users: [app], groups: [events]}
    - {unix: /run/hookd/other.sock, mode: 0600, allow: [{users: ["1000"], tenant: acme}, {groups: [x]}]}
    - http: 127.0.0.1:8480
      tokens: [{credential: inlet-token}, {file: token, tenant: acme}, literal]
    - {http: "[::1]:8481", tokens: none}
  control: {unix: /run/hookd/control.sock, mode: "0600"}
  limits: {event_bytes: 1MiB, batch_bytes: 16MiB, concurrency: 256, memory_window: 64, disk_free: 256MiB}
  retention: {events: 30d, attempts: 30d, held: 30d, bytes: 20GiB}
  drain_timeout: 25s
  log: {level: info}
include: [webhooks.d/**/*.yaml]
managed_dir: /var/lib/hookd/managed
managed_git: false
event_types:
  user.updated:
    description: A user changed
    schema: schemas/registration/user.json
    require: [tenant]
  user.deleted: {}
defaults:
  timeout: 15s
  retry: {schedule: [5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h], jitter: 0.2}
profiles:
  crm-style:
    require_https: true
    sign: {scheme: standard, secrets: [{credential: crm-new}, {credential: crm-old}]}
  other: {profile: crm-style}
webhooks:
  x-base: &base {anything: goes}
  crm:
    profile: crm-style
    name: CRM sync
    active: true
    paused: false
    tenant: acme
    url: https://crm.example.com/hooks
    events: ["user.*", {event: company.new, active: false}, "*"]
    filter:
      data.country: [NL, BE]
      data.amount: {gte: 100}
      any: [{data.vip: true}, {data.tags: {contains: gold}}]
      x-data: not the user's own here, and left to others
    secrets: {token: {file: /etc/hookd/secrets/crm-body-token}}
    body:
      format: json
      template: {action: $(type), x-key: kept, "...": $(data)}
      schema: schemas/crm-out.json
    headers: {X-Team: crm, X-Key: {env: CRM_KEY}, x-small: y, X-Gone: null}
    auth: {bearer: {file: /etc/hookd/secrets/crm}}
    method: POST
    timeout: 10s
    retry: {schedule: [1s, 10s, 0s], max_age: 72h, permanent: [400, 404]}
    rate: 50/s
    concurrency: 8
    ordered: true
    max_pending: 100000
    suspend_after: 5d
    allow_networks: [10.1.0.0/16]
    http2: true
    proxy: http://proxy:3128
    tls: {ca: ca.pem, certificate: me.pem, key: {credential: me-key}}
    test_event: {type: user.updated, tenant: acme, data: {id: 1, x-a: 2}}
    tests:
      - {event: {type: user.updated, tenant: acme, data: {country: NL, amount: 150}}, expect: delivered, body: {a: 1}}
      - {event: {specversion: "1.0", type: a.b, id: "1", source: /x, extension: 5}, expect: refused}
  minimal: {auth: {basic: {username: u, password: {env: P}}}, url: {file: url}, method: null, rate: null, retry: null}
moved: [{from: old-crm, to: crm}]
"""


def check(text: str, kind: Literal["main", "included"] = "main") -> list[Problem]:
    return check_document(parse_yaml(text.encode(), "hookd.yaml"), kind)


def test_the_whole_contract_passes() -> None:
    assert check(WHOLE) == []


def test_an_included_file_passes() -> None:
    text = "x-a: 1\nevent_types: {a.b: {}}\nprofiles: {p: {}}\nwebhooks: {w: {}}\nmoved: []\n"
    assert check(text, "included") == []
    assert check("", "included") == []


# --------------------------------------------------------------------------- mistakes

HEAD = "version: 1\n"
CRM = f"{HEAD}webhooks:\n  crm:\n    "  # what is appended stands on line 4 from column 5
INLETS = f"{HEAD}daemon:\n  inlets:\n    - "  # line 4, column 7

BROKEN: list[tuple[str, str, list[tuple[str, str, str]]]] = [
    # what is wrong, the text, and for each problem where, code, the message or a phrase of it
    ("nothing", "", [("1:1", "missing_key", "the file lacks `version`")]),
    ("no mapping", "[a]", [("1:1", "wrong_type", "the file must be a mapping")]),
    ("other version", "version: 2", [("1:10", "bad_value", "version must be 1")]),
    ("version as text", "version: '1'", [("1:10", "bad_value", "version must be 1")]),
    ("unknown section", f"{HEAD}webhook: {{}}", [("2:1", "unknown_key", "the file has no key `webhook`")]),
    ("section of another place", f"{HEAD}limits: {{}}", [("2:1", "unknown_key", "it belongs under `daemon`")]),
    ("key of a webhook at the top", f"{HEAD}timeout: 5s", [("2:1", "unknown_key", "it belongs in a webhook")]),
    ("empty section", f"{HEAD}webhooks:", [("2:10", "wrong_type", "nothing stands here; write {}")]),
    ("section as list", f"{HEAD}webhooks: []", [("2:11", "wrong_type", "webhooks must be a mapping")]),
    ("id in capitals", f"{HEAD}webhooks: {{CRM: {{}}}}", [("2:12", "bad_name", "`CRM` is not an id")]),
    ("long id", f"{HEAD}profiles: {{{'p' * 64}: {{}}}}", [("2:12", "bad_name", "is not an id")]),
    ("empty webhook", f"{HEAD}webhooks: {{crm: }}", [("2:17", "wrong_type", "webhook `crm` must be a mapping")]),
    ("misspelled key", f"{CRM}timout: 10s", [("4:5", "unknown_key", "webhook `crm` has no key `timout`")]),
    ("key of the daemon", f"{CRM}state_dir: /x", [("4:5", "unknown_key", "it belongs under `daemon`")]),
    ("key of a part", f"{CRM}schedule: [5s]", [("4:5", "unknown_key", "it belongs under `retry`")]),
    (
        "number as duration",
        f"{CRM}timeout: 10",
        [("4:14", "wrong_type", "timeout must be a duration like 10s, 5m or 72h")],
    ),
    ("words as duration", f"{CRM}timeout: 10 seconds", [("4:14", "bad_value", "timeout must be a duration like")]),
    (
        "duration in two units",
        f"{CRM}timeout: 5m30s",
        [("4:14", "bad_value", "above zero; it takes one whole number and one unit")],
    ),
    ("zero duration", f"{CRM}timeout: 0s", [("4:14", "bad_value", "above zero")]),
    (
        "duration with a line feed",
        f"{CRM}timeout: |\n      10s\n",
        [("4:14", "bad_value", "timeout must be a duration")],
    ),
    ("tenant as number", f"{CRM}tenant: 4711", [("4:13", "wrong_type", "tenant must be a text: quote it")]),
    ("tenant as boolean", f"{CRM}tenant: true", [("4:13", "wrong_type", "tenant must be a text: quote it")]),
    ("empty tenant", f"{CRM}tenant: ''", [("4:13", "bad_value", "tenant must be a text")]),
    (
        "yes",
        f"{CRM}active: yes",
        [("4:13", "wrong_type", "active must be true or false (yes, no, on and off are texts")],
    ),
    ("quoted boolean", f"{CRM}active: 'true'", [("4:13", "wrong_type", "true or false, without quotes")]),
    ("number as boolean", f"{CRM}ordered: 1", [("4:14", "wrong_type", "ordered must be true or false")]),
    ("unknown method", f"{CRM}method: GET", [("4:13", "bad_value", "method must be one of POST, PUT, PATCH")]),
    ("number as method", f"{CRM}method: 5", [("4:13", "wrong_type", "method must be one of POST, PUT, PATCH")]),
    ("rate without unit", f"{CRM}rate: 50", [("4:11", "wrong_type", "rate must be a rate like 50/s or 3000/m")]),
    ("rate of another unit", f"{CRM}rate: 50/d", [("4:11", "bad_value", "rate must be a rate like")]),
    ("zero", f"{CRM}concurrency: 0", [("4:18", "bad_value", "concurrency must be at least 1")]),
    ("far too much", f"{CRM}max_pending: 1e30", [("4:18", "bad_value", "max_pending must be at most")]),
    ("half a request", f"{CRM}concurrency: 2.5", [("4:18", "wrong_type", "must be a whole number")]),
    ("quoted number", f"{CRM}concurrency: '8'", [("4:18", "wrong_type", "a whole number, without quotes")]),
    ("text as list", f"{CRM}events: user.*", [("4:13", "wrong_type", "events must be a list: put it in [ ]")]),
    ("star in the middle", f"{CRM}events: [a.b, u*r]", [("4:19", "bad_value", "events[1] must be an event type")]),
    ("misspelled trigger", f"{CRM}events: [{{evnt: a}}]", [("4:15", "unknown_key", "events[0] has no key `evnt`")]),
    (
        "trigger without event",
        f"{CRM}events: [{{active: no}}]",
        [
            ("4:14", "missing_key", "events[0] lacks `event`"),
            ("4:23", "wrong_type", "events[0].active must be true or false"),
        ],
    ),
    ("filter as list", f"{CRM}filter: [a]", [("4:13", "wrong_type", "filter must be a mapping")]),
    ("one delay", f"{CRM}retry: {{schedule: 5s}}", [("4:23", "wrong_type", "retry.schedule must be a list")]),
    (
        "delays",
        f"{CRM}retry: {{schedule: [5s, 5, x]}}",
        [
            ("4:28", "wrong_type", "retry.schedule[1] must be a duration"),
            ("4:31", "bad_value", "retry.schedule[2] must be a duration"),
        ],
    ),
    ("jitter", f"{CRM}retry: {{jitter: 2}}", [("4:21", "bad_value", "retry.jitter must be at most 1")]),
    ("status", f"{CRM}retry: {{permanent: [404, 99]}}", [("4:30", "bad_value", "an HTTP status from 100 to 599")]),
    ("unknown key in a part", f"{CRM}retry: {{shedule: []}}", [("4:13", "unknown_key", "retry has no key `shedule`")]),
    ("unknown format", f"{CRM}body: {{format: xml}}", [("4:20", "bad_value", "body.format must be one of json, form")]),
    ("number as header", f"{CRM}headers: {{X-A: 5}}", [("4:20", "wrong_type", "or a reference: `{credential: NAME}`")]),
    (
        "list as header",
        f"{CRM}headers: {{X-A: [a]}}",
        [("4:20", "wrong_type", "headers.X-A must be a text or a reference")],
    ),
    ("header name", f"{CRM}headers: {{'X A': b}}", [("4:15", "bad_name", "`X A` is not a header name")]),
    ("secret name", f"{CRM}secrets: {{a b: c}}", [("4:15", "bad_name", "`a b` is not a name for a secret")]),
    (
        "misspelled reference",
        f"{CRM}auth: {{bearer: {{fil: x}}}}",
        [("4:21", "unknown_key", "auth.bearer has no key `fil`")],
    ),
    ("two references", f"{CRM}url: {{file: a, env: B}}", [("4:10", "exactly_one", "url must name exactly one of")]),
    (
        "no reference",
        f"{CRM}url: {{}}",
        [("4:10", "exactly_one", "url must name exactly one of `credential`, `file` and `env`")],
    ),
    ("credential as path", f"{CRM}url: {{credential: a/b}}", [("4:23", "bad_value", "without `/`")]),
    ("environment variable", f"{CRM}url: {{env: A-B}}", [("4:16", "bad_value", "name of an environment variable")]),
    ("unknown kind of auth", f"{CRM}auth: {{token: x}}", [("4:12", "unknown_key", "auth has no key `token`")]),
    (
        "one signing secret",
        f"{CRM}sign: {{secrets: whsec_abc}}",
        [("4:21", "wrong_type", "must be a list of secrets, at least one")],
    ),
    (
        "no signing secret",
        f"{CRM}sign: {{secrets: []}}",
        [("4:21", "bad_value", "sign.secrets must be a list of secrets")],
    ),
    ("other scheme", f"{CRM}sign: {{scheme: github}}", [("4:20", "bad_value", "sign.scheme must be standard")]),
    ("reference where a path goes", f"{CRM}tls: {{ca: {{env: X}}}}", [("4:15", "wrong_type", "tls.ca must be a path")]),
    ("one network", f"{CRM}allow_networks: 10.0.0.0/8", [("4:21", "wrong_type", "allow_networks must be a list")]),
    (
        "misspelled attribute",
        f"{CRM}test_event: {{type: a, tennant: b}}",
        [("4:27", "unknown_key", "has no key `tennant`")],
    ),
    (
        "test without type",
        f"{CRM}tests: [{{event: {{}}, expect: ignored}}]",
        [("4:21", "missing_key", "tests[0].event lacks `type`")],
    ),
    (
        "test without expect",
        f"{CRM}tests: [{{event: {{type: a}}}}]",
        [("4:13", "missing_key", "tests[0] lacks `expect`")],
    ),
    (
        "unknown expectation",
        f"{CRM}tests: [{{event: {{type: a}}, expect: sent}}]",
        [("4:40", "bad_value", "one of delivered, ignored, refused")],
    ),
    ("managed_git", f"{HEAD}managed_git: always", [("2:14", "wrong_type", "managed_git must be true or false")]),
    (
        "metrics",
        f"{HEAD}daemon: {{metrics: {{http: 9480}}}}",
        [("2:26", "wrong_type", "metrics.http must be HOST:PORT")],
    ),
    (
        "control over HTTP",
        f"{HEAD}daemon: {{control: {{http: 'a:1', tokens: [text, {{env: A, tenant: t}}]}}}}",
        [
            ("2:42", "wrong_type", "daemon.control.tokens[0] must be a mapping with `tenant`, `profile`"),
            ("2:48", "missing_key", "daemon.control.tokens[1] lacks `profile`"),
        ],
    ),
    (
        "profile in the defaults",
        f"{HEAD}defaults: {{profile: x}}",
        [("2:12", "unknown_key", "defaults has no key `profile`")],
    ),
    ("include as text", f"{HEAD}include: a.yaml", [("2:10", "wrong_type", "include must be a list: put it in [ ]")]),
    (
        "event type of hookd's",
        f"{HEAD}event_types: {{hookd.x: {{}}}}",
        [("2:15", "bad_name", "`hookd.x` is an event type of hookd's own")],
    ),
    (
        "event type with a star",
        f"{HEAD}event_types: {{'a.*': {{}}}}",
        [("2:15", "bad_name", "`a.*` is not an event type")],
    ),
    (
        "required attribute",
        f"{HEAD}event_types: {{a: {{require: [tennant]}}}}",
        [("2:29", "bad_value", "require[0] must be one of")],
    ),
    ("move without target", f"{HEAD}moved: [{{from: a}}]", [("2:9", "missing_key", "moved[0] lacks `to`")]),
    (
        "move of no id",
        f"{HEAD}moved: [{{from: A, to: b}}]",
        [("2:16", "bad_value", "moved[0].from must be the id of a webhook")],
    ),
    ("inlet of neither kind", f"{INLETS}{{}}", [("4:7", "missing_key", "must have `unix: PATH` or `http: HOST:PORT`")]),
    ("inlet as text", f"{INLETS}/run/x", [("4:7", "wrong_type", "daemon.inlets[0] must be a mapping")]),
    (
        "mode as number",
        f"{INLETS}{{unix: /x, mode: 660}}",
        [("4:24", "wrong_type", 'in quotes, like "0660": quote it')],
    ),
    ("mode with a nine", f"{INLETS}{{unix: /x, mode: 0690}}", [("4:24", "bad_value", "must be a file mode in octal")]),
    (
        "nobody allowed",
        f"{INLETS}{{unix: /x, allow: {{}}}}",
        [("4:25", "missing_key", "must have `users`, `groups` or both")],
    ),
    (
        "user as number",
        f"{INLETS}{{unix: /x, allow: [{{users: [1000]}}]}}",
        [("4:35", "wrong_type", "users[0] must be a text: quote it")],
    ),
    ("port alone", f"{INLETS}{{http: 8480, tokens: none}}", [("4:14", "wrong_type", "http must be HOST:PORT")]),
    (
        "no tokens",
        f"{INLETS}{{http: 'a:1'}}",
        [("4:7", "missing_key", "must have `tokens`: a list of tokens, or `none`")],
    ),
    (
        "other word for none",
        f"{INLETS}{{http: 'a:1', tokens: no}}",
        [("4:29", "bad_value", "must be a list of tokens, or `none`")],
    ),
    (
        "token for two",
        f"{INLETS}{{http: 'a:1', tokens: [{{env: A, file: b}}]}}",
        [("4:30", "exactly_one", "tokens[0] must name exactly one")],
    ),
    (
        "inlet key of the other kind",
        f"{INLETS}{{unix: /x, tokens: none}}",
        [("4:18", "unknown_key", "daemon.inlets[0] has no key `tokens`")],
    ),
    (
        "size in megabytes",
        f"{HEAD}daemon: {{limits: {{event_bytes: 1MB}}}}",
        [("2:32", "bad_value", "must be a size like 512B")],
    ),
    (
        "log level",
        f"{HEAD}daemon: {{log: {{level: warn}}}}",
        [("2:23", "bad_value", "one of debug, info, warning, error")],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_mistake_is_one_problem_at_its_place(text: str, expected: list[tuple[str, str, str]]) -> None:
    problems = check(text)
    assert [(f"{it.place.line}:{it.place.column}", it.code) for it in problems] == [it[:2] for it in expected]
    for problem, (_, code, phrase) in zip(problems, expected, strict=True):
        assert code in CODES
        assert phrase in problem.message
        assert not re.search(r"\^|\\[sZ]|\(\?|'type'|additionalProperties|None", problem.message), (
            "raw words of a schema"
        )


@pytest.mark.parametrize("case", BROKEN, ids=[case[0] for case in BROKEN])
def test_a_plain_validator_agrees(case: tuple[str, str, list[tuple[str, str, str]]]) -> None:
    """The published schema says the same to whoever uses it; except what a schema does not say."""
    _, text, _ = case
    if "line feed" in case[0]:
        return
    assert not jsonschema.Draft7Validator(config_schema()).is_valid(parse_yaml(text.encode(), "f").value)


@pytest.mark.parametrize("section", ["version: 1", "daemon: {}", "defaults: {}", "include: []", "managed_dir: x"])
def test_an_included_file_holds_nothing_of_the_main_one(section: str) -> None:
    (problem,) = check(section, "included")
    assert problem.code == "unknown_key"
    assert "at the top of the main file" in problem.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (f"{CRM}timout: 10s", "timeout"),
        (f"{CRM}max-pending: 5", "max_pending"),
        (f"{CRM}auth: {{basic: {{user: u}}}}", "username"),
        (f"{CRM}method: post", "POST"),
        (f"{HEAD}webhoks: {{}}", "webhooks"),
        (f"{CRM}timeouts: 10s\n    timeout: 10s", None),
        (f"{CRM}zzz: 1", None),
    ],
)
def test_what_was_probably_meant(text: str, hint: str | None) -> None:
    (problem,) = check(text)
    assert problem.hint == hint


def test_all_problems_are_told_in_the_order_of_the_file() -> None:
    text = f"{CRM}timeout: 5\n    rate: x\n  OTHER: {{}}\n  third: {{http2: 1, urls: x}}\nzzz: 1\n"
    assert [(it.place.line, it.code) for it in check(text)] == [
        (4, "wrong_type"),
        (5, "bad_value"),
        (6, "bad_name"),
        (7, "wrong_type"),
        (7, "unknown_key"),
        (8, "unknown_key"),
    ]


def test_a_problem_in_an_anchor_is_told_where_it_is_written() -> None:
    text = f"{HEAD}x-base: &base {{timeout: 5}}\nwebhooks:\n  a: {{<<: *base}}\n  b: {{<<: *base}}\n"
    (problem,) = check(text)
    assert str(problem.place) == "hookd.yaml:2:25"


SECRETS = st.sampled_from(
    [
        f"{CRM}url: [hunter2]",
        f"{CRM}auth: hunter2",
        f"{CRM}secrets: hunter2",
        f"{CRM}headers: {{A: {{hunter: hunter2}}}}",
    ]
)


@given(SECRETS)
def test_no_message_repeats_a_value(text: str) -> None:
    for problem in check(text):
        assert "hunter2" not in repr(problem)


# --------------------------------------------------------------------------- the schema itself


def test_the_schema_is_draft_7_and_every_part_of_it_is_described() -> None:
    schema = config_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    for name, definition in schema["definitions"].items():
        assert definition["title"], name
        assert definition["description"], name
        if "properties" in definition and name not in {
            "unixInlet",
            "httpInlet",
            "tokenReference",
            "controlTokenReference",
        }:
            # An attribute of a CloudEvent may have any name, and a line of a filter begins with a path.
            is_open = name in {"cloudEvent", "filterLines"}
            assert definition.get("additionalProperties") is False or is_open, name


def test_every_example_of_the_schema_passes_its_own_part() -> None:
    schema = config_schema()
    definitions = schema["definitions"]
    for name, definition in definitions.items():
        part = {"$schema": schema["$schema"], "allOf": [{"$ref": f"#/definitions/{name}"}], "definitions": definitions}
        for example in definition.get("examples", ()):
            assert jsonschema.Draft7Validator(part).is_valid(example), (name, example)


def test_no_reference_has_neighbours_and_each_is_found() -> None:
    schema = config_schema()
    found: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                assert list(part) == ["$ref"]  # draft-07 ignores what stands beside it
                found.add(part["$ref"].removeprefix("#/definitions/"))
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(schema)
    assert found | {"included"} == set(schema["definitions"])


def test_the_published_file_is_what_is_used() -> None:
    published = Path(__file__).parents[2] / "schemas/config.schema.json"
    assert published.read_bytes() == resource("schemas/config.schema.json")
    assert json.loads(published.read_bytes()) == config_schema("main")


def test_a_resource_that_is_missing_is_told() -> None:
    with pytest.raises(FileNotFoundError, match="the installation is not whole"):
        resource("schemas/nothing.json")


# --------------------------------------------------------------------------- anything

KEYS = st.sampled_from(
    sorted({key for part in config_schema()["definitions"].values() for key in part.get("properties", {})})
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "10s", "x", "none", "a.*", "*", "POST", "1MiB"])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["version", "daemon", "defaults", "event_types", "include", "moved"]), TREES))
def test_any_shape_passes_or_is_told(value: dict[str, object]) -> None:
    problems = check(yaml.safe_dump(value))
    valid = jsonschema.Draft7Validator(config_schema()).is_valid(value)
    assert valid == (not problems)
    assert len({(problem.place, problem.message) for problem in problems}) == len(problems)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_any_webhook_passes_or_is_told(value: object) -> None:
    whole = {"version": 1, "webhooks": {"w": value}}
    problems = check(yaml.safe_dump(whole))
    valid = jsonschema.Draft7Validator(config_schema()).is_valid(whole)
    assert valid == (not problems)
