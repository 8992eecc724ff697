"""The log: one JSON object per line on standard output, and its vocabulary.

Rules of this module:

1. A line is `time` (RFC 3339, UTC, milliseconds), `level`, `msg`, then its fields. `msg` is `noun.participle`;
   which messages exist and which fields they carry stands once, in `schemas/log.schema.json`.
2. Writing never waits for the reader: lines go to a bounded buffer that one thread empties. What does not fit is
   dropped, counted, and told in a `log.dropped` line as soon as there is room. Losing a log line is better than
   losing time for deliveries; losing it silently is not.
3. Payloads, secrets, URL passwords and query strings never come here. Callers give masked values; an exception
   is told by its type and place, not by its text, which may quote a value.
4. Under systemd each line has its `<N>` priority (sd-daemon(3)), only when `$JOURNAL_STREAM` names our stdout; no
   line exceeds 32 KiB, since journald splits longer ones (LineMax=48K) and half a JSON object is no JSON.
5. The one hot line, `delivery.attempted`, is encoded and written by the batch: a line through structlog
   costs 18 µs, a fifth of a delivery.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from hookd.core.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

LINE_BYTES: Final = 32 * 1024
#: About ten seconds of a busy daemon; beyond it the reader is not slow but gone.
BUFFER_BYTES: Final = 8 * 1024 * 1024
#: How long the end of the process waits for a slow reader.
CLOSE_S: Final = 2.0

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITY: Final = {"debug": b"<7>", "info": b"<6>", "warning": b"<4>", "error": b"<3>", "critical": b"<2>"}
_encode_strictly: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines


def encode_json(value: object) -> bytes:
    """Encode as JSON. What is no text (half a surrogate pair: the name of a file that is no UTF-8) is shown escaped."""
    try:
        return _encode_strictly(value)
    except UnicodeEncodeError:
        return _encode_strictly(_show_escaped(value))


def _show_escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_show_escaped(key): _show_escaped(inner) for key, inner in value.items()}
    return [_show_escaped(inner) for inner in value] if isinstance(value, list | tuple) else value


class AttemptLine(msgspec.Struct, gc=False):
    """A `delivery.attempted` line, its fields in their order; what is UNSET is left out, the time is set at last."""

    time: str
    level: str
    msg: str
    webhook: str
    tenant: str | None
    event_id: str
    event_type: str
    delivery_id: str
    attempt: int
    outcome: str
    cause: str | None
    status: int | None
    duration_ms: float
    next_attempt_at: str | None
    revision: str
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    detail: str | UnsetType | None = UNSET
    url: str | UnsetType = UNSET


def _now() -> str:
    return format_instant(time.time_ns() // 1_000_000)


class LineWriter:
    """A bounded buffer of ready lines and the thread that writes them to a file descriptor.

    Each side has a counter of its own and the queue is C's, so neither ever waits for a lock that the other holds
    while it wants the interpreter. `write` is called by one thread.
    """

    def __init__(self, descriptor: int, *, limit: int = BUFFER_BYTES) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._taken = 0  # bytes, by `write`
        self._gone = 0  # bytes, by the thread
        self.dropped = 0
        self._untold = 0
        self._thread = threading.Thread(target=self._run, name="hookd-log", daemon=True)
        self._thread.start()

    def write(self, lines: bytes, count: int = 1) -> None:
        """Take ready lines, each ended by a newline; drop them if the reader is too far behind."""
        if self._taken - self._gone + len(lines) > self._limit:
            self.dropped += count
            self._untold += count
            return
        if self._untold:
            lines = _line({"msg": "log.dropped", "level": "warning", "lines": self._untold}) + lines
            self._untold = 0
        self._taken += len(lines)
        self._lines.put(lines)

    def close(self) -> None:
        """Write what is left, for at most `CLOSE_S` seconds."""
        last = _line({"msg": "log.dropped", "level": "warning", "lines": self._untold}) if self._untold else b""
        self._lines.put(last)
        self._lines.put(b"")
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while chunk := self._lines.get():
            if not self._put(chunk):
                return
            self._gone += len(chunk)

    def _put(self, chunk: bytes) -> bool:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                time.sleep(0.01)  # somebody else made this pipe non-blocking; this thread may wait
            except OSError:
                return False  # nobody reads any more; the work goes on without a log
        return True


def _line(fields: Mapping[str, object]) -> bytes:
    """Encode one line; one that is too long loses its longest texts, and says so."""
    ordered = {"time": _now(), "level": fields["level"], "msg": fields["msg"], **fields}
    line = encode_json(ordered)
    while len(line) > LINE_BYTES - 8:
        key = max((k for k in ordered if k not in {"time", "level", "msg"}), key=lambda k: len(encode_json(ordered[k])))
        value = ordered[key]
        if isinstance(value, str) and len(value) > 1024:  # noqa: PLR2004  a text this short is not what is too long
            ordered[key] = value[:1024]
        elif isinstance(value, list | tuple) and len(value) > 1:
            ordered[key] = value[: len(value) // 2]
        else:
            del ordered[key]
        ordered["truncated"] = True
        line = encode_json(ordered)
    return line + b"\n"


def stdout_is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Tell whether `$JOURNAL_STREAM` (device:inode) names this descriptor: systemd.exec(5)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Output:
    """What structlog calls at the end of its chain."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def msg(self, line: bytes) -> None:
        self._log.writer.write(line)

    debug = info = warning = error = critical = exception = msg


class Log:
    """The open log of a process. Modules use `structlog.get_logger()`; the dispatcher uses `attempted`."""

    def __init__(self, writer: LineWriter, *, journal: bool, readable: bool, colors: bool, level: str) -> None:
        self.writer = writer
        self._journal = journal
        self._level = LEVELS[level]
        self._console = (
            structlog.dev.ConsoleRenderer(
                colors=colors, event_key="msg", timestamp_key="time", pad_event_to=24, sort_keys=False
            )
            if readable
            else None
        )

    def attempted(self, batch: Sequence[AttemptLine]) -> None:
        """Write the lines of a batch of attempts, in one write."""
        if self._level > logging.INFO:
            batch = [line for line in batch if LEVELS[line.level] >= self._level]
        if not batch:
            return
        moment = _now()
        for line in batch:
            line.time = moment
        self.writer.write(self._render_all(batch), len(batch))

    def _render_all(self, lines: Sequence[AttemptLine]) -> bytes:
        if self._console is None and not self._journal:
            text = _encode_lines(lines)
            # Only a batch that is longer than a line may be holds a line that is too long.
            if len(text) < LINE_BYTES or max(map(len, text.split(b"\n"))) <= LINE_BYTES - 8:
                return text
        return b"".join([self.render(msgspec.to_builtins(line)) for line in lines])

    def render(self, fields: MutableMapping[str, Any]) -> bytes:
        """Give one finished line of fields that have `time`, `level` and `msg`."""
        if self._console is not None:
            shown = {k: v for k, v in fields.items() if v is not None}
            shown["time"] = str(shown["time"])[11:23]
            return str(self._console(None, "", shown)).encode(errors="backslashreplace") + b"\n"
        line = encode_json(fields)
        line = _line(fields) if len(line) > LINE_BYTES - 8 else line + b"\n"
        return _PRIORITY[str(fields["level"])] + line if self._journal else line

    def _finish(self, _logger: object, _name: str, fields: MutableMapping[str, Any]) -> bytes:
        level = "error" if fields["level"] in {"critical", "exception"} else fields["level"]
        head = {"time": _now(), "level": level, "msg": fields.pop("event")}
        del fields["level"]
        return self.render({**head, **fields})


def _tell_exception(_logger: object, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tell an exception by its type and where it was raised. Its text may quote a payload or a secret."""
    problem = fields.pop("exc_info", None)
    if problem is True:
        problem = sys.exc_info()[1]
    elif isinstance(problem, tuple):
        problem = problem[1]
    if isinstance(problem, BaseException):
        fields["exception"] = type(problem).__name__
        frames = traceback.extract_tb(problem.__traceback__)[-8:]
        fields["where"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return fields


def silence_log() -> None:
    """Make every logger silent: a verb that is no daemon has no log, and standard output is for what it prints."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@contextmanager
def open_log(
    stream: TextIO, level: str, *, environ: Mapping[str, str] = os.environ, readable: bool | None = None
) -> Iterator[Log]:
    """Send the process's log to a stream: readable on a terminal, else JSON.

    When it closes, what is left is written, and loggers are what they were before.
    """
    before = structlog.get_config() if structlog.is_configured() else None
    descriptor = stream.fileno()
    terminal = stream.isatty() if readable is None else readable
    log = Log(
        LineWriter(descriptor),
        journal=stdout_is_journal(descriptor, environ),
        readable=terminal,
        colors=terminal and not environ.get("NO_COLOR"),
        level=level,
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, _tell_exception, log._finish],  # noqa: SLF001  its own method
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_args: _Output(log),
        cache_logger_on_first_use=False,
    )
    try:
        yield log
    finally:
        log.writer.close()
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
