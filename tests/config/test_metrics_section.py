"""`daemon.metrics`: where it is served, and what is no such place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.load import load_config
from hookd.config.problems import ConfigInvalid
from hookd.core.daemonconfig import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.daemonconfig import DaemonConfig


def load(folder: Path, daemon: str) -> DaemonConfig:
    path = folder / "hookd.yaml"
    path.write_text(f"version: 1\ndaemon: {daemon}\n")
    return load_config(path).daemon


def test_it_is_served_nowhere_unless_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, "{}").metrics is None


@pytest.mark.parametrize(
    ("written", "metrics"),
    [
        ("127.0.0.1:9480", Metrics(host="127.0.0.1", port=9480)),
        ("[::1]:9480", Metrics(host="::1", port=9480)),
        ("0.0.0.0:80", Metrics(host="0.0.0.0", port=80)),
    ],
)
def test_where_it_is_served(tmp_path: Path, written: str, metrics: Metrics) -> None:
    assert load(tmp_path, f"{{metrics: {{http: '{written}'}}}}").metrics == metrics


@pytest.mark.parametrize(
    ("daemon", "code", "says"),
    [
        ("{metrics: {http: nowhere}}", "bad_value", "must be HOST:PORT"),
        ("{metrics: {http: '127.0.0.1:99999'}}", "bad_value", "must be HOST:PORT"),
        ("{metrics: {}}", "missing_key", "lacks `http`"),
        ("{metrics: {http: '127.0.0.1:9480', tokens: none}}", "unknown_key", "has no key `tokens`"),
        (
            "{inlets: [{http: '127.0.0.1:9480', tokens: none}], metrics: {http: '127.0.0.1:9480'}}",
            "duplicate_id",
            "`daemon.inlets[0].http` has the same address",
        ),
    ],
)
def test_what_is_no_such_place(tmp_path: Path, daemon: str, code: str, says: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        load(tmp_path, daemon)
    [problem] = invalid.value.problems
    assert problem.code == code
    assert says in problem.message
    assert problem.place.line == 2
