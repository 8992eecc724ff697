"""Who names the config as an argument is told of the option; what is no config is not taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hookd.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

ADVICE = "the config is named by its main file: --config"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("check conf/hookd.yaml", f"{ADVICE} conf/hookd.yaml"),
        ("check here", f"{ADVICE} here"),  # a directory, whose advice follows when it is named
        ("check a.yaml b.yml", f"{ADVICE} FILE"),  # pre-commit names every file
        ("status crm hookd.yml", f"{ADVICE} hookd.yml"),
        ("reload hookd.yaml", f"{ADVICE} hookd.yaml"),
        ("check crm", None),
        ("status crm shop", None),
        ("secret x.yaml", None),  # it takes no config
        ("check --bogus x.yaml", None),
    ],
)
def test_what_looks_like_a_config_is_told_how_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str | None
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, line.split())
    assert result.exit_code == 2
    if told is None:
        assert "--config" not in result.output
    else:
        assert result.output.rstrip().endswith(f"; {told}")
