"""The log: its form, its priorities, its bounds, and that a stalled reader stalls nobody."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from hookd.logs import LINE_BYTES, AttemptLine, LineWriter, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO


@pytest.fixture
def output(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("w+") as stream:
        yield stream


def lines_of(stream: TextIO) -> list[str]:
    stream.seek(0)
    return stream.read().splitlines()


def make_line(**fields: Any) -> AttemptLine:
    """Give the line of an attempt."""
    known: dict[str, Any] = {
        "time": "",
        "level": "info",
        "msg": "delivery.attempted",
        "webhook": "crm",
        "tenant": None,
        "event_id": "evt-1",
        "event_type": "user.new",
        "delivery_id": "dlv_1",
        "attempt": 1,
        "outcome": "delivered",
        "cause": None,
        "status": 200,
        "duration_ms": 1.5,
        "next_attempt_at": None,
        "revision": "0123456789ab",
    }
    return AttemptLine(**(known | fields))


def parsed(stream: TextIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(stream)]


def test_a_line_is_time_level_msg_and_its_fields(output: TextIO) -> None:
    with open_log(output, "info", environ={}):
        structlog.get_logger().info("daemon.ready", webhooks=3, revision="é")
    (line,) = parsed(output)
    assert list(line) == ["time", "level", "msg", "webhooks", "revision"]
    assert (line["level"], line["msg"], line["webhooks"], line["revision"]) == ("info", "daemon.ready", 3, "é")
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-11-21T17:54:34.393Z")


def test_a_level_that_is_off_writes_nothing(output: TextIO) -> None:
    with open_log(output, "warning", environ={}) as log:
        structlog.get_logger().info("daemon.ready")
        log.attempted([make_line(), make_line(level="warning", outcome="rejected")])
    assert [(line["msg"], line["level"]) for line in parsed(output)] == [("delivery.attempted", "warning")]


def test_an_exception_is_told_without_its_text(output: TextIO) -> None:
    with open_log(output, "info", environ={}):
        try:
            int("canary-payload")
        except ValueError:
            structlog.get_logger().exception("http.failed")
    (line,) = parsed(output)
    assert line["exception"] == "ValueError"
    assert line["where"]
    assert "canary" not in json.dumps(line)


@pytest.mark.parametrize("field", ["x" * 100_000, ["y" * 100] * 2_000, {"z": "w" * 100_000}])
def test_no_line_is_longer_than_journald_takes(output: TextIO, field: object) -> None:
    with open_log(output, "info", environ={}):
        structlog.get_logger().info("config.rejected", problems=field, file="a.yaml")
    (text,) = lines_of(output)
    assert len(text) <= LINE_BYTES
    line = json.loads(text)
    assert line["truncated"] is True
    assert (line["msg"], line["file"]) == ("config.rejected", "a.yaml")


def test_a_batch_is_as_many_lines_each_within_the_bound(output: TextIO) -> None:
    batch = [make_line(event_id=str(n), detail="x" * 200) for n in range(300)]
    batch[150].detail = "x" * 100_000
    with open_log(output, "info", environ={}) as log:
        log.attempted(batch)
    lines = parsed(output)
    assert [line["event_id"] for line in lines] == [str(n) for n in range(300)]
    assert [n for n, line in enumerate(lines) if "truncated" in line] == [150]
    assert max(map(len, lines_of(output))) <= LINE_BYTES
    names = [name for name in AttemptLine.__struct_fields__ if name not in {"trace_id", "span_id", "url"}]
    assert [list(line) for line in (lines[0], lines[-1])] == [names, names]
    assert len({line["time"] for line in lines}) == 1


def test_priorities_stand_only_before_lines_for_the_journal(output: TextIO) -> None:
    status = os.fstat(output.fileno())
    with open_log(output, "info", environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}) as log:
        structlog.get_logger().warning("delivery.dead")
        structlog.get_logger().error("store.failed")
        log.attempted([make_line()])
    texts = lines_of(output)
    assert [text[:3] for text in texts] == ["<4>", "<3>", "<6>"]
    assert [json.loads(text[3:])["msg"] for text in texts] == ["delivery.dead", "store.failed", "delivery.attempted"]


def test_a_reader_that_stalls_stalls_nobody_and_is_told_what_it_missed() -> None:
    read, write = os.pipe()
    writer = LineWriter(write, limit=200_000)
    line = b'{"msg":"x"}' + b" " * 989 + b"\n"
    for _ in range(2_000):  # 2 MB into a pipe of 64 KiB that nobody reads
        writer.write(line)
    assert writer.dropped > 1_000
    received = bytearray()

    def drain() -> None:
        while chunk := os.read(read, 65536):
            received.extend(chunk)

    reader = threading.Thread(target=drain)
    reader.start()
    writer.close()
    os.close(write)
    reader.join()
    os.close(read)
    texts = bytes(received).splitlines()
    told = [json.loads(text) for text in texts if b"log.dropped" in text]
    assert sum(each["lines"] for each in told) == writer.dropped
    assert len(texts) - len(told) == 2_000 - writer.dropped
