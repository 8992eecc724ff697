"""Annotated YAML: it reads back as what it was, whatever stands in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.cli.annotated import write_annotated, write_flow
from hookd.config.text.strictyaml import parse_yaml

TEXTS = st.one_of(
    st.sampled_from(
        ["", "on", "no", "1e3", "0o7", "12:30", "null", "~", "a: b", "a #b", "- a", "*", "&a", "!x", "\n", "…", "$(a)"]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6), TEXTS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(value=st.dictionaries(TEXTS, VALUES, max_size=5), noted=st.booleans())
def test_it_reads_back(value: dict[str, Any], noted: bool) -> None:  # noqa: FBT001  drawn
    lines = write_annotated({"top": value}, lambda path: f"note {len(path)}: x" if noted else None)
    assert parse_yaml("\n".join(lines).encode(), "x.yaml").value == {"top": value}


def test_notes_stand_under_each_other() -> None:
    value = {
        "a": 1,
        "retry": {"schedule": ["1s", "5m"]},
        "key": {"file": "k"},
        "e": [{"event": "a.b", "active": False}],
    }
    notes = {("a",): "x:1", ("retry", "schedule"): "x:2", ("key",): "x:3"}
    assert write_annotated(value, notes.get) == [
        "a: 1                      # x:1",
        "retry:",
        '  schedule: ["1s", "5m"]  # x:2',
        "key: {file: k}            # x:3",
        "e: [{event: a.b, active: false}]",
    ]


def test_a_long_list_is_broken_into_lines() -> None:
    value = {"events": [f"a.long.event.type.number.{number}" for number in range(9)]}
    lines = write_annotated(value, lambda _path: "x:1")
    assert lines[0] == "events:  # x:1"
    assert lines[1] == f"  - {write_flow(value['events'][0])}"
    assert parse_yaml("\n".join(lines).encode(), "x.yaml").value == value
