"""What editors are given: a schema that explains every key, and files that lead to it by their first line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from hookd.cli.files import init_command, schema_command
from hookd.config.check import config_schema

ROOT = Path(__file__).resolve().parents[2]
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")
DEFINITIONS: dict[str, dict[str, Any]] = config_schema()["definitions"]
KEYS = [
    (name, key, inner)
    for name, definition in DEFINITIONS.items()
    for key, inner in definition.get("properties", {}).items()
]


def check_by_its_modeline(file: Path) -> None:
    """Do what the language server does: find the schema by the first line, relative to the file, and judge."""
    found = MODELINE.match(file.read_text())
    assert found is not None
    schema = json.loads((file.parent / found[1]).read_text())
    jsonschema.validate(yaml.safe_load(file.read_text()), schema, jsonschema.Draft7Validator)


def test_the_example_leads_to_its_schema_and_passes() -> None:
    check_by_its_modeline(ROOT / "config.example.yaml")


@pytest.mark.parametrize("name", ["hookd.yaml", "etc/other.yaml"])
def test_what_init_writes_leads_to_its_schema_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(init_command, [name]).exit_code == 0
    check_by_its_modeline(tmp_path / name)


@pytest.mark.parametrize(("name", "key", "inner"), KEYS, ids=[f"{name}.{key}" for name, key, _ in KEYS])
def test_every_key_has_a_title_a_description_and_an_example(name: str, key: str, inner: dict[str, Any]) -> None:
    shown = DEFINITIONS[inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
    assert shown["title"], (name, key)
    assert shown["description"].endswith(".")
    assert shown["examples"]


def test_every_definition_has_an_example() -> None:
    assert [name for name, definition in DEFINITIONS.items() if not definition.get("examples")] == []


def test_an_included_file_has_a_schema_of_its_own() -> None:
    written = CliRunner().invoke(schema_command, ["included"])
    schema = json.loads(written.output)
    judge = jsonschema.Draft7Validator(schema)
    jsonschema.Draft7Validator.check_schema(schema)
    assert judge.is_valid({"webhooks": {"crm": {"url": "https://crm.example.com/", "events": ["*"]}}})
    assert not judge.is_valid({"version": 1})
    assert not judge.is_valid({"webhooks": {"crm": {"timout": "5s"}}})
