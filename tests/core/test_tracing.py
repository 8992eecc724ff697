"""W3C Trace Context: what is a traceparent, and which ids are in it."""

from __future__ import annotations

import pytest

from hookd.core.tracing import is_traceparent, read_traceparent, trace_ids

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("text", [TRACE, TRACE.replace("00-4", "01-4"), TRACE[:-2] + "00"])
def test_a_traceparent(text: str) -> None:
    assert is_traceparent(text)
    assert read_traceparent(f" {text} ".encode()) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        TRACE.upper(),
        TRACE + "-x",
        TRACE + "\n",
        "ff" + TRACE[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_what_is_none(text: str) -> None:
    assert not is_traceparent(text)


def test_a_header_that_cannot_be_read_is_none() -> None:
    assert read_traceparent(None) is None
    assert read_traceparent(b"\xff" + TRACE.encode()) is None


def test_the_ids_are_fields_of_a_log_line() -> None:
    assert trace_ids(TRACE) == {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
    assert trace_ids(None) == {}
    assert set(trace_ids("nonsense")) == {"trace_id", "span_id"}
