"""Where `hookd send` takes its events from: lines of a file or a stream, each made safe to be sent again.

Rules of this module:

1. Input is one event per line. A line is passed on as its bytes are; blank lines are none.
2. One event that was written over several lines is one event, since that is how people write and how tools print it:
   if it is all there is in a small file, or if the first line of whatever input is a lone bracket, which begins no
   event of one line.
3. A stream is read as it comes (`tail -f x | hookd send -`), is opened once, and is never looked at twice: a pipe
   cannot be rewound.
4. A line without an `id` gets one before it is first sent. What the daemon's own reader would refuse is left as it is,
   for the daemon to say why; so is a CloudEvent, which must bring its own.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio
import trio.lowlevel

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.given import as_one_line
from hookd.core.attributes import ID_BYTES, build_id
from hookd.core.lines import LineFramer, TooLong
from hookd.core.strictjson import JsonFault, parse_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: A file up to this size is looked at as a whole; an event over several lines is at most as large.
WHOLE_BYTES: Final = 4 * 1024 * 1024
#: No daemon takes a line of this length (its limit is 1 MiB unless it was raised), and memory must stay flat.
LINE_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_BRACKETS: Final = frozenset({b"{", b"["})


def make_id() -> str:
    """Give an id for an event without one, as the daemon does."""
    return build_id(time.time_ns() // 1_000_000, os.urandom(ID_BYTES))


def with_id(line: bytes) -> bytes:
    """Give a line its id if it has none; what is not an event in strict JSON is left for the daemon to refuse."""
    event = parse_json(line)
    if not isinstance(event, dict) or not event or "id" in event or "specversion" in event:
        return line
    start = line.index(b"{") + 1
    return b'%s"id":"%s",%s' % (line[:start], make_id().encode(), line[start:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is read already, and the descriptor that the rest comes from; None: there is no more."""

    name: str
    head: bytes = b""
    descriptor: int | None = None

    async def lines(self) -> AsyncIterator[bytes]:
        """Give each line without its end; blank ones are left out."""
        framer = LineFramer(LINE_BYTES)
        chunk = self.head or await self._read()
        begun = b""  # until the first line is known
        first = self.descriptor is not None
        ended = False
        while not ended:
            ended = not chunk
            begun = begun + chunk if first else b""
            for line in framer.finish() if ended else framer.feed(chunk):
                if isinstance(line, TooLong):
                    raise CliError(f"{self.name} has a line of more than {LINE_BYTES >> 20} MiB", ExitCode.NOT_SO)
                if not line.strip():
                    continue
                if first and line.strip() in _BRACKETS:
                    yield join_event(self.name, begun + await self._read_rest(begun))
                    return
                first = False
                yield line
            chunk = await self._read()

    async def _read(self) -> bytes:
        if self.descriptor is None:
            return b""
        while True:
            try:
                return await trio.to_thread.run_sync(os.read, self.descriptor, _CHUNK, abandon_on_cancel=True)
            except BlockingIOError:  # whoever gave us this descriptor made it so
                await trio.lowlevel.wait_readable(self.descriptor)
            except OSError as error:
                raise CliError(f"cannot read {self.name}: {error.strerror}", ExitCode.USAGE) from None

    async def _read_rest(self, begun: bytes) -> bytes:
        parts: list[bytes] = []
        size = len(begun)
        while chunk := await self._read():
            parts.append(chunk)
            size += len(chunk)
            if size > WHOLE_BYTES:
                message = f"{self.name} begins like one event over several lines, and is too large for that"
                raise CliError(message, ExitCode.NOT_SO)
        return b"".join(parts)


def open_source(name: str) -> Source:
    """Open a file, or standard input (`-`). Raises `CliError`."""
    shown = "standard input" if name == "-" else name
    try:
        descriptor = sys.stdin.fileno() if name == "-" else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise CliError(f"{shown} is a directory", ExitCode.USAGE)
        if not stat.S_ISREG(mode):
            return Source(name=shown, descriptor=descriptor)
        parts: list[bytes] = []
        size = 0
        while size <= WHOLE_BYTES and (part := os.read(descriptor, _CHUNK)):
            parts.append(part)
            size += len(part)
    except (OSError, ValueError) as error:
        message = f"cannot read {shown}: {getattr(error, 'strerror', None) or 'there is no such file'}"
        if name.lstrip().startswith(("{", "[")):  # it may be a payload, and is not repeated
            message = "this is an event and no file: pipe it into `-`, or use --type and --data"
        raise CliError(message, ExitCode.USAGE) from None
    if size > WHOLE_BYTES:
        return Source(name=shown, head=b"".join(parts), descriptor=descriptor)
    return Source(name=shown, head=_look_at(shown, b"".join(parts)))


def _look_at(name: str, text: bytes) -> bytes:
    """Give the lines of a small file: as they are, or one if it holds one event over several lines."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) < 2 or _is_json(lines[0]):  # noqa: PLR2004  several lines
        return text
    if not _is_json(text) and any(map(_is_json, lines[1:])):
        return text  # lines, of which the first is bad: the daemon says what is wrong with it
    return join_event(name, text)


def join_event(name: str, text: bytes) -> bytes:
    """Give one event over several lines as one line. Raises `CliError` with the place if it is not JSON."""
    if _is_json(text):
        return as_one_line(text)
    fault = parse_json(text)
    message = fault.message if isinstance(fault, JsonFault) else "not JSON"
    raise CliError(f"{name} is neither one event nor one event per line: {message}", ExitCode.NOT_SO)


def _is_json(text: bytes) -> bool:
    """Tell whether any JSON reader would take it; what only a strict one refuses is for the daemon to refuse."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
