"""What `check` says about the profiles that tokens of the control API are bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.load import load
from hookd.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """version: 1
managed_dir: managed
daemon:
  control:
    unix: control.sock
    http: 127.0.0.1:8481
    tokens:
      - {credential: a, tenant: "1", profile: theirs}
      - {credential: b, tenant: "2", profile: theirs}
"""


def problems_of(folder: Path, rest: str, head: str = HEAD) -> list[str]:
    path = folder / "hookd.yaml"
    path.write_text(head + rest)
    try:
        load(path)
    except ConfigInvalid as invalid:
        return [f"{it.place.line} {it.code} {it.message}" for it in invalid.problems]
    return []


@pytest.mark.parametrize(
    ("profile", "secret"),
    [
        ("{auth: {bearer: {env: X}}}", "`auth`"),
        ("{headers: {X-A: {env: X}}}", "`headers.X-A`"),
        ("{headers: {Authorization: plain}}", "`headers.Authorization`"),
        ('{body: {template: {t: "$(secrets.token)"}}}', "`secrets.token`"),
        ('{secrets: {token: {env: X}}, body: {template: {t: "$(secrets.token)"}}}', "`secrets.token`"),
        ("{profile: base}", "`auth`"),
    ],
)
def test_a_secret_that_a_tenant_could_send_anywhere_is_told_at_each_token(
    tmp_path: Path, profile: str, secret: str
) -> None:
    told = problems_of(tmp_path, f"profiles:\n  base: {{auth: {{bearer: {{env: X}}}}}}\n  theirs: {profile}\n")
    assert [line.split(" ")[:3] for line in told] == [[n, "secret_for_tenants", secret] for n in ("8", "9")]


def test_a_secret_of_the_defaults_counts_too(tmp_path: Path) -> None:
    told = problems_of(tmp_path, "defaults: {headers: {X-Api-Key: {env: X}}}\nprofiles:\n  theirs: {timeout: 5s}\n")
    assert [line[:20] for line in told] == ["8 secret_for_tenants", "9 secret_for_tenants"]


def test_a_signature_and_plain_headers_are_no_secrets(tmp_path: Path) -> None:
    theirs = "{sign: {secrets: [{env: X}]}, headers: {X-Team: blue}, secrets: {unused: {env: X}}}"
    assert problems_of(tmp_path, f"profiles:\n  theirs: {theirs}\n") == []


def test_what_is_wrong_with_a_profile_that_only_a_token_names_is_told_once(tmp_path: Path) -> None:
    told = problems_of(tmp_path, 'profiles:\n  theirs: {body: {template: {a: "$(nope)"}}}\n')
    assert len(told) == 1, told
    assert told[0].startswith("11 bad_template ")
    webhook = '  c: {profile: theirs, url: "https://c.example/", events: ["*"]}\n'
    again = problems_of(tmp_path, 'profiles:\n  theirs: {body: {template: {a: "$(nope)"}}}\nwebhooks:\n' + webhook)
    assert again == told


def test_a_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert [line[:17] for line in problems_of(tmp_path, "profiles: {}\n")] == ["8 unknown_profile", "9 unknown_profile"]


def test_tokens_without_a_place_for_what_they_write_are_told(tmp_path: Path) -> None:
    [told] = problems_of(tmp_path, "profiles: {theirs: {timeout: 5s}}\n", HEAD.replace("managed_dir: managed\n", ""))
    assert told.startswith("7 missing_key ")
    assert "`managed_dir`" in told
