"""An event socket that answers as a test wants it, line by line and connection by connection."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import trio

from hookd.web.sockets import open_unix_listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Talks over one connection; it is closed when this returns.
Talk: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]


class Lines:
    """Reads lines from a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> bytes | None:
        """Give the next line, or None at the end."""
        while b"\n" not in self._rest:
            chunk = await self._stream.receive_some()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def accept_line(line: bytes) -> bytes:
    """Give the reply of a daemon that takes it."""
    return json.dumps({"status": "accepted", "id": json.loads(line)["id"], "deliveries": 2}).encode() + b"\n"


def accept_all(seen: list[bytes]) -> Talk:
    """Take every line, and note it."""

    async def talk(stream: trio.SocketStream) -> None:
        lines = Lines(stream)
        while (line := await lines.next()) is not None:
            seen.append(line)
            await stream.send_all(accept_line(line))

    return talk


@asynccontextmanager
async def open_double(path: Path, *talks: Talk) -> AsyncIterator[None]:
    """Serve one connection after another: the first with the first talk, and so on; the last one serves the rest."""

    async def serve(listener: trio.SocketListener) -> None:
        number = 0
        while True:
            stream = await listener.accept()
            async with stream:
                await talks[min(number, len(talks) - 1)](stream)
            number += 1

    listener = open_unix_listener(str(path), 0o600)
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve, listener)
        yield
        nursery.cancel_scope.cancel()
