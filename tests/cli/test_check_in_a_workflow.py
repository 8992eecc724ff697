"""`hookd check` in a workflow's step that runs below the top of the checkout: its findings lead to their files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.house import hookd

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """\
version: 1
webhooks:
  crm: {url: 'https://x.example/', events: [a], tests: [{event: {type: b}}]}
  erp: {url: 'http://127.0.0.1/', events: [a]}
"""


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """Give the directory of a step: `conf` in the checkout `top`."""
    directory = tmp_path / "top" / "conf"
    directory.mkdir(parents=True)
    (directory / "hookd.yaml").write_text(MAIN)
    return directory


def files_told(step: Path) -> set[str]:
    """Give the names of files that the reports hold, all forms together."""
    out = hookd("check", "--output", "github", "--junit", "tests.xml", cwd=step)[1]
    told = {line.partition("file=")[2].partition(",")[0] for line in out.splitlines()}
    told |= {it.attrib["file"] for it in ET.parse(step / "tests.xml").iter("testcase") if "file" in it.attrib}
    log = json.loads(hookd("check", "--output", "sarif", cwd=step)[1])
    for result in log["runs"][0]["results"]:
        told |= {it["physicalLocation"]["artifactLocation"]["uri"] for it in result["locations"]}
    return told


def test_files_are_named_from_the_top_of_the_checkout(step: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(step.parent))
    assert files_told(step) == {"conf/hookd.yaml"}


def test_the_checkout_may_be_named_through_a_link(step: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = step.parent.parent / "link"
    link.symlink_to(step.parent)
    monkeypatch.setenv("GITHUB_WORKSPACE", f"{link}/")
    assert files_told(step) == {"conf/hookd.yaml"}


@pytest.mark.parametrize("top", ["", "top", "/nowhere/else"])
def test_outside_of_one_from_where_the_command_runs(step: Path, monkeypatch: pytest.MonkeyPatch, top: str) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", top)
    assert files_told(step) == {"hookd.yaml"}


def test_people_read_names_from_where_they_stand(step: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(step.parent))
    assert hookd("check", cwd=step)[2].startswith("hookd.yaml:3:")
