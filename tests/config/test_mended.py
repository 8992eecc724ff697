"""A good tree with one mistake in it, at every place that there is: only the mistake is told, and nothing of the rest.

Whatever else is told would be untrue: with the mistake mended there is nothing wrong. So each key is written twice, of
which the first is less than it should be; given a tag; or put where no text stands; and each file is cut off.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.config.trees import problems_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Steps = tuple[str | int, ...]

# Everything that one file says and another one needs; each layer brings something that is needed below.
FILES: dict[str, dict[str, Any]] = {
    "hookd.yaml": {
        "version": 1,
        "include": ["hooks/a.yaml", "hooks/b.yaml", "hooks/t.yaml"],
        "managed_dir": "managed",
        "daemon": {
            "state_dir": "state",
            "control": {
                "http": "127.0.0.1:8481",
                "tokens": [{"file": "x", "tenant": "acme", "profile": "safe"}],
            },
        },
        "defaults": {
            "timeout": "5s",
            "events": ["user.updated"],
            "secrets": {"d": {"file": "d"}},
            "auth": {"basic": {"username": "u", "password": {"file": "x"}}},
        },
        "profiles": {
            "base": {"url": "https://b.example/", "secrets": {"t": {"file": "t"}}, "headers": {"X-A": "a"}},
            "safe": {"auth": None, "events": ["user.gone"]},
        },
        "webhooks": {
            "m": {
                "profile": "mid",
                "body": {"template": {"a": "$(secrets.t)", "b": "$(secrets.d)", "c": "$(data.id)"}},
                "filter": {"data.id": 1},
            }
        },
        "moved": [{"from": "old", "to": "one"}],
    },
    "hooks/a.yaml": {
        "profiles": {"mid": {"profile": "base", "test_event": {"type": "user.updated", "data": {"id": 1}}}},
        "webhooks": {
            "one": {
                "url": "https://o.example/",
                "events": ["user.*"],
                "filter": {"data.id": 1, "any": [{"data.name": "x"}, {"data.id": 5}]},
                "tests": [{"event": {"type": "user.updated", "data": {"id": 1}}, "expect": "delivered"}],
            },
            "two": {
                "profile": "mid",
                "events": ["user.updated"],
                "sign": {"secrets": [{"file": "s"}]},
                "filter": {"data.name": "x"},
            },
        },
    },
    "hooks/b.yaml": {
        "webhooks": {
            "three": {
                "profile": "mid",
                "auth": {"basic": {"password": {"file": "p"}}},
                "tls": {"certificate": "c.pem", "key": {"file": "k"}},
            },
            "four": {
                "url": "https://f.example/",
                "events": ["order.paid", "user.gone"],
                "secrets": {"q": {"env": "Q"}},
                "body": {"template": "$(secrets.q)"},
                "filter": {"data.total": {"gt": 1}},
            },
        }
    },
    "hooks/t.yaml": {
        "event_types": {
            "user.updated": {"schema": "../u.json"},
            "user.gone": {"schema": "../g.json", "require": ["subject"]},
            "order.paid": {"schema": "../o.json"},
        }
    },
    "managed/acme.yaml": {"webhooks": {"acme/x": {"tenant": "acme", "profile": "safe", "url": "https://x.example/"}}},
}
SCHEMAS = {
    name: json.dumps({"type": "object", "properties": dict.fromkeys(keys, True), "additionalProperties": False})
    for name, keys in (("u.json", ["id", "name"]), ("g.json", ["id"]), ("o.json", ["total"]))
}
MISTAKES = {"duplicate_key", "tag", "key_not_text", "yaml_syntax"}


def write_out(value: Any, at: Steps, mend: Callable[[str, Any, str], str], path: Steps = ()) -> str:
    """Give a value as YAML, with what `mend` makes of the key at one path, its value and that as YAML."""
    if isinstance(value, dict):
        inner = {key: write_out(it, at, mend, (*path, key)) for key, it in value.items()}
        pairs = (
            mend(key, value[key], text) if (*path, key) == at else f"{json.dumps(key)}: {text}"
            for key, text in inner.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write_out(it, at, mend, (*path, index)) for index, it in enumerate(value)) + "]"
    return json.dumps(value)


def every_key(value: Any, path: Steps = ()) -> Iterator[Steps]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, key)
        yield from every_key(inner, (*path, key))


def twice(key: str, first: Any, text: str) -> str:
    return f"{json.dumps(key)}: {json.dumps(first)}, {json.dumps(key)}: {text}"


WAYS: dict[str, Callable[[str, Any, str], str]] = {
    "twice": twice,
    "twice, first without anything": lambda key, value, text: twice(
        key, {} if isinstance(value, dict) else value, text
    ),
    "twice, first without its head": lambda key, value, text: twice(
        key, dict(list(value.items())[1:]) if isinstance(value, dict) else value, text
    ),
    "twice, first without its end": lambda key, value, text: twice(
        key, dict(list(value.items())[:-1]) if isinstance(value, dict) else value, text
    ),
    "something else, by a tag": lambda key, _value, _text: f"{json.dumps(key)}: !include 'x.yaml'",
    "a tag": lambda key, _value, text: f"{json.dumps(key)}: !x {text}",
    "a key that is no text": lambda key, _value, text: f"? [{json.dumps(key)}]\n : {text}",
}


def told(top: Path, file: str, text: str) -> set[str]:
    """Give the codes of what is told of the good tree when one file of it is as given."""
    files = {name: text if name == file else json.dumps(value) for name, value in FILES.items()}
    return {problem.code for problem in problems_of(top, **files, **SCHEMAS)}


def test_the_tree_is_good(tmp_path: Path) -> None:
    assert told(tmp_path, "", "") == set()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", FILES)
def test_of_a_mistake_in_a_good_tree_nothing_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, way: str
) -> None:
    monkeypatch.setattr("hookd.config.snapshot._PAUSE", 0.0)
    for number, at in enumerate(every_key(FILES[file])):
        found = told(tmp_path / str(number), file, write_out(FILES[file], at, WAYS[way]))
        assert found, at
        assert found <= MISTAKES, at


@pytest.mark.parametrize("end", ["\n{", "\n- a", ": b: c"])
@pytest.mark.parametrize("file", FILES)
def test_nor_of_a_file_that_is_no_yaml(tmp_path: Path, file: str, end: str) -> None:
    assert told(tmp_path, file, json.dumps(FILES[file]) + end) == {"yaml_syntax"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("hooks/")])
def test_nor_of_a_file_that_is_missing(tmp_path: Path, file: str) -> None:
    told(tmp_path, "", "")
    (tmp_path / file).unlink()
    assert {problem.code for problem in problems_of(tmp_path)} == {"missing_file"}
