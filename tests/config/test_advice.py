"""Warnings: what works and is probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.checking.advice import find_advice, find_denied, find_idle, find_untestable
from hookd.config.load import Rejected, load_again
from tests.config.trees import SIGNING, write_tree

if TYPE_CHECKING:
    from pathlib import Path

WEBHOOK = "version: 1\nwebhooks:\n  crm:\n    url: https://crm.example.com/\n    events: ['*']\n    "


def advice_of(top: Path, main: str, **files: str) -> list[str]:
    loaded = load_again(write_tree(top, main=main, **files), None)
    assert loaded.snapshot is not None
    found = find_advice(loaded.snapshot)
    assert {problem.severity for problem in found} <= {"warning"}
    return [f"{problem.place}".replace(f"{top}/", "") + f" {problem.code}" for problem in found]


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        (f"sign: {{secrets: [{{file: a}}, {SIGNING}]}}", "6:33"),
        ("auth: {bearer: hunter2}", "6:20"),
        ("auth: {basic: {username: u, password: hunter2}}", "6:43"),
        ("secrets: {token: hunter2}", "6:22"),
        ("headers: {X-Api-Key: hunter2}", "6:26"),
        ("proxy: http://u:hunter2@proxy.example:3128", "6:12"),
        ('tls: {certificate: a.pem, key: "-----BEGIN PRIVATE KEY-----"}', "6:36"),
    ],
)
def test_a_secret_in_the_file_is_told(tmp_path: Path, keys: str, at: str) -> None:
    assert advice_of(tmp_path, WEBHOOK + keys) == [f"hookd.yaml:{at} inline_secret"]


@pytest.mark.parametrize(
    "keys",
    [
        "sign: {secrets: [{file: a}, {credential: b}, {env: C}]}",
        "auth: {basic: {username: u, password: {file: a}}}",
        "headers: {X-Team: crm, X-Key: {env: K}}",
        "proxy: http://proxy.example:3128",
        "tls: {certificate: a.pem, key: a.key}",
        "secrets: {}",
    ],
)
def test_what_stands_elsewhere_is_not(tmp_path: Path, keys: str) -> None:
    assert advice_of(tmp_path, WEBHOOK + keys) == []


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        ("body: {template: {id: '${data.id}'}}", "6:27"),
        ("body: {template: [a, {id: 'x {{ data.id }}'}]}", "6:31"),
        ("body: {template: {id: '{{type}}'}}", "6:27"),
        ("headers: {X-Team: 'a ${TEAM}'}", "6:23"),
    ],
)
def test_a_template_of_another_program_is_told(tmp_path: Path, keys: str, at: str) -> None:
    assert advice_of(tmp_path, WEBHOOK + keys) == [f"hookd.yaml:{at} foreign_template"]


@pytest.mark.parametrize("text", ["$${data.id}", "$(data.id)", "{{ name }}", "costs $5 {a}"])
def test_what_is_meant_to_stand_in_a_body_is_not(tmp_path: Path, text: str) -> None:
    assert advice_of(tmp_path, f"{WEBHOOK}body: {{template: {{id: '{text}'}}}}") == []


@pytest.mark.parametrize(
    ("url", "keys", "told"),
    [
        ("http://10.0.0.1/", "", True),
        ("http://[::1]:80/", "", True),
        ("http://10.0.0.1/", "allow_networks: [10.0.0.0/8]", False),
        ("http://10.0.0.1/", "proxy: http://proxy.example:3128", False),
        ("http://10.0.0.1/", "active: false", False),
        ("http://9.9.9.9/", "", False),
        ("http://localhost:9000/", "", True),
        ("http://crm.localhost/", "", True),
        ("http://localhost/", "allow_networks: [127.0.0.0/8]", False),
        ("http://private.example/", "", False),
    ],
)
def test_an_address_that_nobody_has_opened_is_told(tmp_path: Path, url: str, keys: str, *, told: bool) -> None:
    loaded = load_again(write_tree(tmp_path, main=WEBHOOK.replace("https://crm.example.com/", f"'{url}'") + keys), None)
    assert not isinstance(loaded, Rejected)
    found = find_denied(loaded.config, loaded.snapshot)
    assert [problem.code for problem in found] == ["denied_address"] * told
    assert {problem.severity for problem in found} <= {"warning"}


@pytest.mark.parametrize(
    ("keys", "at", "hint"),
    [
        ("filter: {data.x: '> 5'}", "6:22", "{gt: 5}"),
        ("filter: {data.x: '>=2026-01-01'}", "6:22", "{gte: …}"),
        ("filter: {data.x: [a, '<= -1.5']}", "6:26", "{lte: -1.5}"),
        ("filter: {any: [{data.x: a}, {not: {data.x: '!= NL'}}]}", "6:48", "{ne: …}"),
        ("filter: {data.x: '== 5'}", "6:22", "{eq: 5}"),
        ("filter: {data.name: 'crm-*'}", "6:25", "{prefix: …}"),
    ],
)
def test_a_comparison_in_a_text_is_told(tmp_path: Path, keys: str, at: str, hint: str) -> None:
    assert advice_of(tmp_path, WEBHOOK + keys) == [f"hookd.yaml:{at} foreign_operator"]
    loaded = load_again(tmp_path / "hookd.yaml", None)
    assert loaded.snapshot is not None
    assert [problem.hint for problem in find_advice(loaded.snapshot)] == [hint]


@pytest.mark.parametrize(
    "said", ["{eq: '> 5'}", "{in: ['> 5']}", "'<none>'", "'a > 5'", "'>'", "'*'", "'a*b'", "5", "'-> 5'", "x"]
)
def test_a_text_that_is_none_is_not(tmp_path: Path, said: str) -> None:
    assert advice_of(tmp_path, f"{WEBHOOK}filter: {{data.x: {said}}}") == []


@pytest.mark.parametrize(
    ("events", "keys", "told"),
    [
        ("[]", "", "hookd.yaml:5:13: webhook `crm` is given nothing: `events` is empty"),
        ("[{event: a, active: false}]", "", "hookd.yaml:5:13: webhook `crm` is given nothing: no entry of"),
        ("[]", "active: false", ""),
        ("[{event: a, active: false}, b]", "", ""),
        ("", "profile: none", "hookd.yaml:3:3: webhook `crm` is given nothing: `events` is empty"),
    ],
)
def test_a_webhook_that_is_given_nothing_is_told(tmp_path: Path, events: str, keys: str, told: str) -> None:
    main = WEBHOOK.replace("    events: ['*']\n", f"    events: {events}\n" if events else "")
    loaded = load_again(write_tree(tmp_path, main=f"{main}{keys}\nprofiles: {{none: {{events: []}}}}\n"), None)
    assert not isinstance(loaded, Rejected)
    found = find_idle(loaded.config, loaded.snapshot)
    assert [problem.code for problem in found] == ["no_events"] * bool(told)
    assert all(str(problem).removeprefix(f"{tmp_path}/").startswith(told) for problem in found)
    assert {problem.severity for problem in found} <= {"warning"}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("tenant: acme, test_event: {type: a, tenant: zeta}", "3:99"),
        ("test_event: {type: a, tenant: zeta}", "3:85"),
        ("tenant: zeta, profile: tested", "3:3"),
        ("tenant: acme, profile: tested", ""),
        ("tenant: '*', test_event: {type: a, tenant: zeta}", ""),
        ("tenant: acme, test_event: {type: a}", ""),
    ],
)
def test_a_test_event_of_another_tenant_is_told(tmp_path: Path, keys: str, told: str) -> None:
    webhook = f"webhooks:\n  crm: {{url: 'https://crm.example.com/', events: [a], {keys}}}\n"
    profiles = "profiles: {tested: {test_event: {type: a, tenant: acme}}}\n"
    loaded = load_again(write_tree(tmp_path, main=f"version: 1\n{webhook}{profiles}"), None)
    assert not isinstance(loaded, Rejected)
    found = find_untestable(loaded.config, loaded.snapshot)
    assert [f"{problem.place.line}:{problem.place.column}" for problem in found] == ([told] if told else [])
    assert {(problem.severity, problem.code) for problem in found} <= {("warning", "foreign_tenant")}


def test_secrets_are_found_in_every_section_and_file(tmp_path: Path) -> None:
    main = """
    version: 1
    include: [other.yaml]
    daemon: {inlets: [{http: "127.0.0.1:8480", tokens: [{file: a}, hunter2]}]}
    defaults: {auth: {bearer: hunter2}}
    profiles: {p: {secrets: {t: hunter2, x-own: hunter2}}}
    """
    other = "webhooks: {crm: {url: 'https://a.example/', events: ['*'], auth: {bearer: hunter2}}}\n"
    assert advice_of(tmp_path, main, other=other) == [
        "hookd.yaml:6:29 inline_secret",
        "hookd.yaml:5:27 inline_secret",
        "hookd.yaml:4:64 inline_secret",
        "other.yaml:1:75 inline_secret",
    ]


def test_a_pattern_that_matches_no_file_is_told_and_a_broken_file_is_no_reason_not_to(tmp_path: Path) -> None:
    main = "version: 1\ninclude: ['none.d/*.yaml', '*.d/*.yaml', one.yaml]\n"
    files = {"a.d__a.yaml": "webhooks: {}", "one": "webhooks: [\n"}
    assert advice_of(tmp_path, main, **files) == ["hookd.yaml:2:11 empty_include"]
    assert isinstance(load_again(tmp_path / "hookd.yaml", None), Rejected)


def test_a_file_that_was_read_in_spite_of_a_mistake_has_warnings_too(tmp_path: Path) -> None:
    main = WEBHOOK + "auth: {bearer: hunter2}\n    timeout: 5s\n    timeout: 6s\n"
    assert advice_of(tmp_path, main) == ["hookd.yaml:6:20 inline_secret"]


def test_values_of_another_shape_are_passed_over(tmp_path: Path) -> None:
    main = (
        "version: 1\ninclude: {}\nwebhooks: [1]\nprofiles: {p: 1, q: {auth: [], sign: {secrets: x}, url: {file: 5}}}\n"
    )
    assert advice_of(tmp_path, main) == []
