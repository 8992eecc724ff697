"""Instants as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookd.core.instants import format_instant


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_795_276_800_123, "2026-11-21T16:00:00.123Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_rfc_3339_in_utc(instant: int, text: str) -> None:
    assert format_instant(instant) == text


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_reads_back_to_the_millisecond(instant: int) -> None:
    read = datetime.fromisoformat(format_instant(instant))
    assert (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == instant
