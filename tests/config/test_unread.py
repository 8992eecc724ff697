"""Files that lie beside those that `include` matches and end otherwise: told at the entry, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.checking.unread import find_unread
from hookd.config.load import load_again
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

SECTION = "webhooks:\n  %s: {url: 'https://x.example/', events: [a]}\n"


def told(top: Path, include: str, *files: str, main: str = "hookd.yaml") -> list[str]:
    """Write such files, each with a webhook of its own, and give what is told of them."""
    for number, name in enumerate(files):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(SECTION % f"w{number}")
    write_tree(top, main=f"version: 1\ninclude: [{include}]\n")
    loaded = load_again(top / main, None)
    assert loaded.snapshot is not None
    found = find_unread(loaded.snapshot)
    assert {(it.code, it.severity) for it in found} <= {("unread_file", "warning")}
    return [str(problem).removeprefix(f"{top}/") for problem in found]


@pytest.mark.parametrize(
    ("include", "files", "expected"),
    [
        (
            "webhooks.d/**/*.yaml",
            ["webhooks.d/sales/crm.yml"],
            ["hookd.yaml:2:11: webhooks.d/sales/crm.yml lies beside and is not read; name it *.yaml"],
        ),
        ("d/*.yaml", ["d/CRM.YAML"], ["hookd.yaml:2:11: d/CRM.YAML lies beside and is not read; name it *.yaml"]),
        ("./d//*.yml", ["d/a.yaml"], ["hookd.yaml:2:11: d/a.yaml lies beside and is not read; name it *.yml"]),
        ("d/c-*.yaml", ["d/c-a.yml"], ["hookd.yaml:2:11: d/c-a.yml lies beside and is not read; name it c-*.yaml"]),
        (
            "d/*.yaml",
            ["d/a.yml", "d/b.yml", "d/c.yml", "d/d.yaml"],
            ["hookd.yaml:2:11: d/a.yml and 2 more lie beside and are not read; name them *.yaml"],
        ),
        ("a/*.yaml, '*/*.yaml'", ["a/a.yml"], ["hookd.yaml:2:11: a/a.yml lies beside and is not read; name it *.yaml"]),
        ("d/crm-*.yaml", ["d/other.yml", "d/other.yaml"], []),
        ("d/*.yaml, d/*.yml", ["d/a.yml", "d/b.yaml"], []),
        ("'d/**'", ["d/a.yml"], []),
        ("d/*.yaml", ["d/.a.yml", "d/a.yaml.bak", "d/a.json", "d/a", "d/a.yaml~", "d/deeper/a.yml", "e/a.yml"], []),
        ("d/a.yaml", ["d/a.yaml", "d/b.yml"], []),
        ("'**/*.yaml'", [".git/a.yml"], []),
    ],
)  # fmt: skip
def test_what_ends_otherwise_is_told_once(tmp_path: Path, include: str, files: list[str], expected: list[str]) -> None:
    assert told(tmp_path, include, *files) == expected


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("services:\n  web: {}\n", False),
        ("", False),
        ("x: {webhooks: {}}\n", False),
        ("  webhooks: {}\n", False),
        ("# mine\nprofiles :\n  - broken\n", True),
        ("event_types: {a: {}}\n", True),
        ("moved: []\n", True),
    ],
)
def test_only_what_an_included_file_may_hold(tmp_path: Path, text: str, *, is_told: bool) -> None:
    (tmp_path / "compose.yml").write_text(text)
    assert bool(told(tmp_path, "'*.yaml'")) is is_told


def test_what_is_read_under_another_name_is_not_missed(tmp_path: Path) -> None:
    assert told(tmp_path, "d/*.yaml", "d/a.yaml") == []
    (tmp_path / "d" / "b.yml").symlink_to("a.yaml")
    (tmp_path / "d" / "c.yml").symlink_to("nowhere")
    assert told(tmp_path, "d/*.yaml") == []


def test_it_is_told_of_a_config_that_is_not_right_as_well(tmp_path: Path) -> None:
    (tmp_path / "crm.yml").write_text(SECTION % "crm")
    write_tree(tmp_path, main="version: 1\ninclude: ['*.yaml']\nmoved: [{from: old, to: crm}]\n")
    loaded = load_again(tmp_path / "hookd.yaml", None)
    assert loaded.snapshot is not None
    (found,) = find_unread(loaded.snapshot)
    assert found.message.startswith("crm.yml lies beside")


def test_one_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, _mode: str) -> None:
        raise PermissionError(path)

    assert len(told(tmp_path, "d/*.yaml", "d/a.yml")) == 1
    monkeypatch.setattr("hookd.config.checking.unread.open", refuse, raising=False)
    assert told(tmp_path, "d/*.yaml", "d/a.yml") == []
