"""The benchmark can be run: it measures, and its table holds figures that can be true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.table import Row, percentiles, render_table

ROOT = Path(__file__).parents[2]


def test_a_bar_is_reached_by_the_figure_or_by_the_ratio() -> None:
    assert Row(what="a", ours=3, unit="/s", least=3).reached is True
    assert Row(what="a", ours=3, unit="/s", least=4).reached is False
    assert Row(what="a", ours=3, unit="ms", most=2).reached is False
    assert Row(what="a", ours=3, unit="ms").reached is None
    assert Row(what="a", ours=3, unit="/s", beside=6, judged="ratio", least=0.5).reached is True
    assert Row(what="a", ours=3, unit="/s", beside=6, judged="ratio", most=0.4).reached is False
    assert Row(what="a", ours=3, unit="/s", judged="ratio", least=0.5).reached is None


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(100, 0, -1)]) == (51, 96, 100)
    assert percentiles([7.0]) == (7, 7, 7)


def test_the_table_has_a_line_for_each_row_and_its_notes_below() -> None:
    table = render_table(
        [
            Row(what="fast", ours=12345.6, unit="/s", beside=24691.2, beside_what="bare", judged="ratio", least=0.5),
            Row(
                what="slow", ours=1.25, unit="ms", most=1, p=(1, 2, 123), cpu_us=165.2, resident_mib=71.6, note="noisy"
            ),
        ]
    )
    _, _, fast, slow, _, note = table.splitlines()
    assert fast.split() == ["fast", "12,346", "/s", "24,691", "(bare)", "0.50", "x", "≥", "0.50", "x", "yes"]
    assert slow.split("  ")[0] == "slow"
    assert slow.split()[1:6] == ["1.25", "ms", "≤", "1.00", "ms"]
    assert "NO" in slow
    assert "1.00 / 2.00 / 123" in slow
    assert slow.endswith("165 µs    72 MiB")
    assert note == "  slow: noisy"


@pytest.mark.slow
def test_a_quick_run_measures_and_prints_its_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--only", "socket", "latency", "--json", "found.json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads((tmp_path / "found.json").read_text())
    rows = {row["what"]: row for row in found["rows"]}
    accept, received = rows["accept: Unix socket"], rows["sent → received at 200/s, p50"]
    assert 500 < accept["ours"] < 1_000_000
    assert 1 < accept["cpu_us"] < 5_000
    assert 0 < accept["ratio"] < 10
    assert 20 < accept["resident_mib"] < 500
    assert 0.05 < received["ours"] < 1_000
    assert received["p"] == sorted(received["p"])
    assert all(what in done.stdout.decode() for what in rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json"]
