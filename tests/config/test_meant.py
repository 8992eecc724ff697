"""What was probably meant by a key or a value that is not right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.building.values import parse_duration, parse_rate, parse_size
from hookd.config.check import config_schema
from hookd.config.meant import _SYNONYMS, meant_file, meant_id, meant_key, meant_quantity, tell_odd, tell_parts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("expected", "value", "meant"),
    [
        ("a duration like", 10, "10s"),
        ("a duration like", "10", "10s"),
        ("a duration like", "1sec", "1s"),
        ("a duration like", "5 minutes", "5m"),
        ("a duration like", "2 Hours", "2h"),
        ("a duration like", "250 ms", "250ms"),
        ("a duration like", "2w", "14d"),
        ("a duration like", 0, None),
        ("a duration like", -5, None),
        ("a duration like", 1.5, None),
        ("a duration like", True, None),
        ("a duration like", "1.5h", "90m"),
        ("a duration like", "0.5s", "500ms"),
        ("a duration like", "0.5ms", None),
        ("a duration like", "5m30s", "330s"),
        ("a duration like", "1 hour 30 minutes", "90m"),
        ("a duration like", "1d12h", "36h"),
        ("a duration like", "10m3", None),
        ("a duration like", "5m-30s", None),
        ("a duration like", "5m30x", None),
        ("a duration like", "forever", None),
        ("a duration like", "9" * 5000, None),
        ("a size like", 16, "16B"),
        ("a size like", "1MB", "1MiB"),
        ("a size like", "20G", "20GiB"),
        ("a size like", "4 kb", "4KiB"),
        ("a size like", "lots", None),
        ("a rate like", 50, "50/s"),
        ("a rate like", "50 per minute", "50/m"),
        ("a rate like", "0/s", None),
        ("a rate like", "50/day", None),
        ("a text", "10", None),
        ("a duration like", None, None),
        ("a duration like", [5], None),
    ],
)
def test_a_quantity_that_was_meant_is_one(expected: str, value: object, meant: str | None) -> None:
    assert meant_quantity(expected, value) == meant
    parse = {"a duration like": parse_duration, "a size like": parse_size, "a rate like": parse_rate}
    if meant is not None:
        assert parse[expected](meant) > 0


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("endpoint", ["url", "events"], "url"),
        ("endpoint", ["events"], None),
        ("token", ["bearer", "basic"], "bearer"),
        ("timout", ["timeout"], "timeout"),
        ("max-retries", ["retry"], "retry"),
        ("x_mine", ["url"], "x-mine"),
        ("X-Note", ["url"], "x-Note"),
        ("colour", ["url"], None),
    ],
)
def test_a_key_that_others_call_otherwise_is_known(word: str, known: list[str], meant: str | None) -> None:
    assert meant_key(word, known) == meant


def test_every_such_word_stands_for_a_key_and_is_none_itself_where_that_one_is() -> None:
    definitions = config_schema()["definitions"]
    places = [set(definition.get("properties", ())) for definition in definitions.values()]
    for word, keys in _SYNONYMS.items():
        for key in keys:
            homes = [place for place in places if key in place]
            assert homes, key
            assert all(word not in home for home in homes), word


@pytest.mark.parametrize(
    ("name", "meant"), [("CRM sync", "crm-sync"), ("-x", "x"), ("crm", None), ("--", None), ("a" * 64, None)]
)
def test_an_id_that_was_meant(name: str, meant: str | None) -> None:
    assert meant_id(name) == meant


def test_a_file_that_was_meant_stands_beside(tmp_path: Path) -> None:
    (tmp_path / "user.json").write_text("{}")
    assert meant_file(f"{tmp_path}/usr.json") == "user.json"
    assert meant_file(f"{tmp_path}/company.json") is None
    assert meant_file(f"{tmp_path}/none/user.json") is None
    assert meant_file("") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\u201cx\u201d", "; \u201c (U+201C) is no quotation mark to YAML"),
        ("${X:-5s}", "; there is no ${…} here, a value stands in the file as it is"),
        ("5s\u00a0", "; a no-break space (U+00A0) stands in it"),
        ("plain", ""),
        ("", ""),
    ],
)
def test_what_cannot_well_be_seen_is_named(text: str, told: str) -> None:
    assert tell_odd(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [("5m30s", "; it takes one whole number and one unit"), ("1.5h", "; it takes one whole number and one unit")]
    + [(text, "") for text in ("5 min", "10", "")],
)
def test_a_quantity_is_written_in_one_unit(text: str, told: str) -> None:
    assert tell_parts(text) == told
