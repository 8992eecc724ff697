"""What is wrong in the defaults or in a profile is told whether or not a webhook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.building.webhookset import WebhookSet
from hookd.config.load import Loaded, load, load_again
from hookd.config.problems import ConfigInvalid
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Webhook

#: A webhook that sets everything that a profile of these tests gets wrong.
OWN = """\
webhooks:
  crm:
    profile: shown
    url: https://crm.example.com/
    events: [a]
    headers: {X-A: own}
    filter: {data.x: 1}
    allow_networks: [10.0.0.0/8]
    body: {template: {own: 1}, schema: null}
"""
HEAD = "version: 1\nevent_types: {a: {}}\n"

WRONG = [
    ("filter: {data.x: {gtee: 5}}", "bad_filter", "data.x"),
    ("body: {template: {x: $(dta.x)}}", "bad_template", "template"),
    ('headers: {X-A: "a\\nb"}', "bad_header", "headers"),
    ("url: ftp://x", "bad_url", "url"),
    ("allow_networks: [nonsense]", "bad_network", "allow_networks"),
    ("events: [zzz]", "unknown_event_type", "events"),
    ("body: {schema: gone.json}", "missing_file", "schema"),
    ("body: {schema: bad.json}", "bad_schema", "bad.json"),
]


def problems_of(tmp_path: Path, text: str) -> list[tuple[str, str, int]]:
    """Give the code, the file and the line of each problem."""
    main = write_tree(tmp_path, main=text, **{"bad.json": '{"type": 5}', "s.json": "{}"})
    try:
        load(main)
    except ConfigInvalid as invalid:
        return [(it.code, it.place.file.removeprefix(f"{tmp_path}/"), it.place.line) for it in invalid.problems]
    return []


@pytest.mark.parametrize(("wrong", "code", "what"), WRONG, ids=[code for _, code, _ in WRONG])
@pytest.mark.parametrize("where", ["profiles: {shown: {%s}}", "profiles: {shown: {}, idle: {%s}}", "defaults: {%s}"])
def test_a_slip_is_told_wherever_it_stands(tmp_path: Path, where: str, wrong: str, code: str, what: str) -> None:
    given = where % wrong
    shown = "" if "shown" in given else "profiles: {shown: {}}\n"
    expected = ("bad.json", 1) if what == "bad.json" else ("hookd.yaml", 3)
    assert problems_of(tmp_path, f"{HEAD}{given}\n{shown}{OWN}") == [(code, *expected)]


def test_a_slip_that_many_build_on_is_told_once(tmp_path: Path) -> None:
    text = f"{HEAD}profiles: {{low: {{filter: {{dta: 1}}}}, shown: {{profile: low}}, idle: {{profile: low}}}}\n{OWN}"
    assert problems_of(tmp_path, text) == [("bad_filter", "hookd.yaml", 3)]


def test_a_slip_without_any_webhook_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path, f"{HEAD}defaults: {{filter: {{dta: 1}}}}\n") == [("bad_filter", "hookd.yaml", 3)]


def test_a_profile_of_a_token_names_a_schema_that_is_there(tmp_path: Path) -> None:
    daemon = "daemon: {control: {http: '127.0.0.1:0', tokens: [{env: T, tenant: t, profile: p}]}}\nmanaged_dir: m\n"
    text = f"{HEAD}{daemon}profiles: {{p: {{body: {{schema: gone.json}}}}}}\n"
    assert problems_of(tmp_path, text) == [("missing_file", "hookd.yaml", 5)]


@pytest.mark.parametrize(
    "profile",
    [
        "sign: {scheme: standard}",
        "sign: {secrets: [{file: k}]}",
        "auth: {basic: {username: u}}",
        "tls: {key: {file: k}}",
        "body: {template: {token: $(secrets.token)}}",
        "body: {format: form}",
        "require_https: true",
        "events: [a]",
        "url: https://crm.example.com/",
        "filter: {data.nowhere: 1}",
        "retry: {jitter: 0.5}",
        "{}",
    ],
)
def test_what_a_webhook_may_complete_is_no_slip(tmp_path: Path, profile: str) -> None:
    inner = profile if profile == "{}" else f"{{{profile}}}"
    text = f"version: 1\nevent_types: {{a: {{schema: closed.json}}}}\nprofiles: {{idle: {inner}}}\n"
    main = write_tree(tmp_path, main=text, **{"closed.json": '{"properties": {}, "additionalProperties": false}'})
    assert load(main).config.webhooks == {}


def test_what_says_what_it_said_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str | None] = []
    try_one = WebhookSet._try

    def counting(self: WebhookSet, profile: str | None) -> tuple[Webhook | None, bool]:
        tried.append(profile)
        return try_one(self, profile)

    monkeypatch.setattr(WebhookSet, "_try", counting)
    profiles = (
        "defaults: {method: PUT}\nprofiles:\n  idle: {timeout: 3s}\n  other: {timeout: 4s}\n"
        "  checked: {body: {schema: s.json}}\n"
    )
    main = write_tree(tmp_path, main=f"{HEAD}{profiles}", **{"s.json": "{}"})
    first = load(main)
    tried.clear()
    main.write_text(f"{HEAD}{profiles.replace('4s', '5s')}")
    assert isinstance(load_again(main, first), Loaded)
    assert tried == ["other", "checked"]  # a schema is a file of its own, and may have changed
