"""Values as YAML: read back as they were, by us and by others, and shown as a person would write them."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.yamltext import render_yaml

# JSON numbers as Python reads them; texts without what JSON cannot hold.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "~", "null", "no", "on", "y", "1", "0x1", "1e3", "-", "- a", "a: b", "a #b", "#", "&a", "*a", "!t", "<<", "=",
     "1-2-3", "12:30", "'", '"', "\\", "\t", " a", "a ", "a\nb", "\x7f", "\x85", "\u2028", "\ufeff", "💶", "%", "@"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    text = render_yaml(value)
    assert parse_yaml(text.encode(), "f").value == value


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXTS, SCALARS | st.lists(TEXTS, max_size=3), max_size=4))
def test_a_reader_of_yaml_1_1_reads_the_same(value: dict[str, object]) -> None:
    # It reads 1e+20 as a text; everything else is the same.
    plain = {key: it for key, it in value.items() if not isinstance(it, float)}
    assert (yaml.safe_load(render_yaml(plain)) or {}) == plain


def test_it_is_what_a_person_would_write() -> None:
    value = {
        "webhooks": {
            "4711/orders": {
                "name": "Orders of today",
                "url": "https://example.com/hooks?a=1",
                "events": ["run.finish", {"event": "run.*", "active": False}],
                "filter": {"data.amount": {"gte": 100}, "data.tags": []},
                "sign": {"secrets": [{"file": "/a b"}, {"env": "KEY"}]},
            }
        }
    }
    assert render_yaml(value) == (
        "webhooks:\n"
        '  "4711/orders":\n'
        "    name: Orders of today\n"
        '    url: "https://example.com/hooks?a=1"\n'
        "    events:\n"
        "      - run.finish\n"
        '      - event: "run.*"\n'
        "        active: false\n"
        "    filter:\n"
        "      data.amount:\n"
        "        gte: 100\n"
        "      data.tags: []\n"
        "    sign:\n"
        "      secrets:\n"
        '        - {file: "/a b"}\n'
        "        - {env: KEY}\n"
    )
