"""What is installed is whole: a wheel is built, unpacked elsewhere, and finds its schemas and its example."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with hookd installed from a wheel, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_it_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import hookd; print(hookd.__file__)")
    assert where.startswith(str(installed))


@pytest.mark.parametrize("which", ["config", "log"])
def test_it_finds_its_schemas(installed: Path, tmp_path: Path, which: str) -> None:
    schema = json.loads(run(installed, tmp_path, "-m", "hookd", "schema", which))
    assert schema == json.loads((ROOT / f"schemas/{which}.schema.json").read_text())


def test_the_example_config_is_there_with_its_schemas(installed: Path, tmp_path: Path) -> None:
    example = installed / "hookd/config.example.yaml"
    assert "ok" in run(installed, tmp_path, "-m", "hookd", "check", "--config", str(example))


def test_the_demo_runs_from_any_directory(installed: Path, tmp_path: Path) -> None:
    assert "all is well" in run(installed, tmp_path, "-m", "hookd", "demo")
