"""Whatever answers, served on a real socket, and a client that says exactly the bytes it is given."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
import trio

from hookd.web.server import serve_http
from hookd.web.sockets import open_tcp_listeners, open_unix_listener

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.web.limits import HttpLimits
    from hookd.web.messages import Admit, Answerer


@dataclass
class Reply:
    """One response as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Served:
    """A running server."""

    port: int
    path: Path | None
    stopping: trio.Event
    ended: trio.Event

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def talk(self, raw: bytes) -> list[Reply]:
        """Send these bytes, say that there are no more, and give what was answered until the server closed."""
        async with await self.connect() as stream:
            with trio.fail_after(10):
                try:
                    await stream.send_all(raw)
                    await stream.send_eof()
                except trio.BrokenResourceError:
                    pass  # answered and closed before it was all said
                return split_replies(await read_all(stream))


class Serve(Protocol):
    async def __call__(
        self,
        answer: Answerer,
        limits: HttpLimits | None = None,
        *,
        admit: Admit | None = None,
        unix: Path | None = None,
    ) -> Served: ...


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([part async for part in stream])


async def read_reply(stream: trio.SocketStream) -> Reply:
    """Read until one whole response is there, and no byte more."""
    got = b""
    while not (replies := split_replies(got, partial=True)):
        part = await stream.receive_some()
        assert part, f"closed after {got!r}"
        got += part
    assert len(replies) == 1
    return replies[0]


def split_replies(raw: bytes, *, partial: bool = False) -> list[Reply]:
    """Take responses apart by their content-length; anything left over fails the test."""
    replies: list[Reply] = []
    while raw:
        head, found, rest = raw.partition(b"\r\n\r\n")
        if partial and not found:
            return replies
        assert found, raw
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        if partial and len(rest) < length:
            return replies
        assert len(rest) >= length, raw
        replies.append(Reply(int(status), headers, rest[:length]))
        raw = rest[length:]
    return replies


@pytest.fixture
async def serve(nursery: trio.Nursery) -> Serve:
    """Start servers that end with the test."""

    async def start(
        answer: Answerer,
        limits: HttpLimits | None = None,
        *,
        admit: Admit | None = None,
        unix: Path | None = None,
    ) -> Served:
        if unix is None:
            listeners = await open_tcp_listeners("127.0.0.1", 0)
            port = listeners[0].socket.getsockname()[1]
        else:
            listeners = [open_unix_listener(str(unix), 0o600)]
            port = 0
        served = Served(port, unix, trio.Event(), trio.Event())

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_http(answer, listeners, limits, stopping=served.stopping, admit=admit, task_status=task_status)
            served.ended.set()

        await nursery.start(run)
        return served

    return start


def reset(stream: trio.SocketStream) -> None:
    """Break a connection as a crashing client does."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.socket.close()
