"""A receiver that costs little: one process, one thread, bytes in, 200 out. It prints its port, then counts.

A line on its standard input asks: `count` gives how many requests came; `times` gives, as JSON, the arrival of each
event id in nanoseconds (monotonic clock, which all processes of a machine share) and forgets them.
With `--hang` it takes requests and never answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Receiving(asyncio.Protocol):
    """One connection. The head is read only for its content-length: this is no judge of HTTP."""

    count = 0
    hang = False
    keep_times = False
    times: dict[str, int] = {}  # noqa: RUF012  shared by all connections on purpose

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        answers = 0
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            at = self._buffer.find(b"ontent-length: ", 0, end)
            if at < 0:
                at = self._buffer.find(b"ontent-Length: ", 0, end)
            length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                break
            if Receiving.keep_times:
                body = json.loads(self._buffer[end + 4 : end + 4 + length])
                Receiving.times[body["data"]["id"]] = time.monotonic_ns()
            self._buffer = self._buffer[end + 4 + length :]
            answers += 1
        if answers:
            Receiving.count += answers
            if not Receiving.hang:
                self._transport.write(RESPONSE * answers)


def tell(answer: object) -> None:
    """Answer with a line."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until standard input ends."""
    Receiving.hang = "--hang" in sys.argv
    Receiving.keep_times = "--times" in sys.argv
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiving, "127.0.0.1", 0, backlog=1024)
    tell(server.sockets[0].getsockname()[1])
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while command := (await reader.readline()).decode().strip():
        if command == "count":
            tell(Receiving.count)
        elif command == "times":
            tell(json.dumps(Receiving.times))
            Receiving.times.clear()


if __name__ == "__main__":
    asyncio.run(main())
