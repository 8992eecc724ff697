"""Written quantities mean one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.building.values import ValueInvalid, parse_duration, parse_mode, parse_rate, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration, "250ms", 0.25),
        (parse_duration, "10s", 10.0),
        (parse_duration, "5m", 300.0),
        (parse_duration, "72h", 259200.0),
        (parse_duration, "5d", 432000.0),
        (parse_duration, "0s", 0.0),
        (parse_size, "512B", 512),
        (parse_size, "16KiB", 16384),
        (parse_size, "1MiB", 1048576),
        (parse_size, "20GiB", 20 * 2**30),
        (parse_rate, "50/s", 50.0),
        (parse_rate, "3000/m", 50.0),
        (parse_rate, "3600/h", 1.0),
        (parse_mode, "0660", 0o660),
        (parse_mode, "600", 0o600),
    ],
)
def test_a_quantity_is_read(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "10", "10 s", "1.5s", "-1s", "10S", "1h30m", "\u0661s", "10s\n", "9" * 30 + "s"])
def test_a_duration_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueInvalid, match="duration like"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1KB", "1kb", "1024", "1.5MiB", "1 MiB", "-1B", "1M"])
def test_a_size_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueInvalid, match="size like"):
        parse_size(text)


@pytest.mark.parametrize("text", ["50", "50/d", "50/1s", "1.5/s", "/s", "0/s"])
def test_a_rate_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueInvalid):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0o660", "888", "66", "00660", "rw-rw----"])
def test_a_mode_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueInvalid, match="octal"):
        parse_mode(text)
