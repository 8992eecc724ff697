"""Senders that cost little: bytes made beforehand, one process (the benchmark's own), no parsing beyond counting.

`flood` writes lines as fast as the daemon reads them; `pace` writes one at a time at fixed moments, whatever the
daemon does (so a stall is seen by every event that it delays); `post_all` keeps one HTTP request under way on each of
some connections.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PATIENCE_S: Final = 120.0
CHUNK: Final = 1 << 20


def flood(path: str, lines: Sequence[bytes], after: Callable[[], object] = lambda: None) -> float:
    """Write lines to a Unix socket, pipelined; give the seconds from the first byte to the last reply.

    `after` is waited for, once the last reply is there, and its time counts. Raises AssertionError when one was not
    accepted.
    """
    blob = b"".join(lines)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(path)
        writer = threading.Thread(target=client.sendall, args=(blob,), daemon=True)
        started = time.perf_counter()
        writer.start()
        chunks: list[bytes] = []
        missing = len(lines)
        while missing > 0:
            chunk = client.recv(CHUNK)
            assert chunk, "the daemon closed the connection"
            chunks.append(chunk)
            missing -= chunk.count(b"\n")
        after()
        seconds = time.perf_counter() - started
        writer.join()
    accepted = b"".join(chunks).count(b'"status":"accepted"')
    assert accepted == len(lines), f"{accepted} of {len(lines)} were accepted: {chunks[0][:300]!r}"
    return seconds


@dataclass(slots=True)
class Paced:
    """When lines were sent and their replies came, in nanoseconds of the monotonic clock, in order."""

    sent: list[int] = field(default_factory=list)
    replied: list[int] = field(default_factory=list)

    @property
    def waits_ms(self) -> list[float]:
        """How long each reply took."""
        return [(reply - sent) / 1e6 for sent, reply in zip(self.sent, self.replied, strict=True)]

    @property
    def longest_gap_ms(self) -> float:
        """The longest time between two replies."""
        return max((b - a) / 1e6 for a, b in zip(self.replied, self.replied[1:], strict=False))


def pace(path: str, lines: Iterable[bytes], every: float, until: Callable[[], bool] = lambda: False) -> Paced:
    """Write a line every so many seconds, until they are used up or `until` says so; wait for all replies."""
    paced = Paced()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(path)

        def read(seconds: float) -> None:
            if select.select([client], [], [], seconds)[0]:
                count = client.recv(CHUNK).count(b"\n")
                paced.replied += [time.monotonic_ns()] * count

        started = time.monotonic()
        for number, line in enumerate(lines):
            due = started + number * every
            while (left := due - time.monotonic()) > 0:
                read(left)
            if until():
                break
            paced.sent.append(time.monotonic_ns())
            client.sendall(line)
        end = time.monotonic() + PATIENCE_S
        while len(paced.replied) < len(paced.sent):
            assert time.monotonic() < end, f"{len(paced.sent) - len(paced.replied)} replies did not come"
            read(1.0)
    return paced


def build_post(port: int, media_type: str, body: bytes) -> bytes:
    """Give a request for the HTTP inlet."""
    return (
        f"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: {media_type}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


class _Posting(asyncio.Protocol):
    """One connection: the next request goes out when the response to the last one is complete."""

    def __init__(self, requests: deque[bytes], over: asyncio.Future[None]) -> None:
        self._requests = requests
        self._over = over
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        if self._requests:
            self._transport.write(self._requests.popleft())
        elif not self._over.done():
            self._over.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if not self._buffer.startswith(b"HTTP/1.1 202 "):
            self._fail(f"not accepted: {self._buffer[:300]!r}")
            return
        at = self._buffer.index(b"content-length: ", 0, end) + 16
        if len(self._buffer) >= end + 4 + int(self._buffer[at : self._buffer.index(b"\r\n", at)]):
            self._buffer = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc!r}")

    def _fail(self, why: str) -> None:
        if not self._over.done():
            self._over.set_exception(AssertionError(why))


def post_all(port: int, requests: Sequence[bytes], connections: int) -> float:
    """Send requests over so many connections, one at a time on each; give the seconds until the last response.

    Raises AssertionError when a response is not 202, or a connection breaks.
    """

    async def run() -> float:
        loop = asyncio.get_running_loop()
        left = deque(requests)
        overs = [loop.create_future() for _ in range(connections)]
        started = time.perf_counter()
        made = [await loop.create_connection(partial(_Posting, left, over), "127.0.0.1", port) for over in overs]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*overs)
        seconds = time.perf_counter() - started
        for transport, _ in made:
            transport.abort()
        await asyncio.sleep(0)
        return seconds

    return asyncio.run(run())
