"""Receivers to send to: a plain one that behaves, and a way to script those that do not."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from hookd.core.addresses import parse_target
from hookd.delivery.sender import Head, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from hookd.core.config import Network, Tls
    from hookd.core.model import Secret
    from hookd.core.proxies import Proxy

    Script: TypeAlias = "Callable[[Caller], Awaitable[None]]"

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#: The limit of what ends by itself, and how long a test waits for what must come: no machine is as slow as that.
PATIENCE_S: Final = 30.0


class Caller:
    """One connection to a receiver, as its script sees it. `number` counts from 1."""

    def __init__(self, receiver: Receiver, stream: trio.abc.Stream, raw: trio.SocketStream, number: int) -> None:
        self.receiver = receiver
        self.number = number
        self.stream = stream
        self._raw = raw
        self._left = b""

    async def read_head(self) -> bytes | None:
        """Give the head of the next request; None at the end of the stream."""
        while b"\r\n\r\n" not in self._left:
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._left += data
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        return head

    async def read(self) -> bytes | None:
        """Give the next request, head and body, and note it; None at the end of the stream."""
        head = await self.read_head()
        if head is None:
            return None
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(self._left) < length:
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._left += data
        request = head + b"\r\n\r\n" + self._left[:length]
        self._left = self._left[length:]
        self.receiver.requests.append(request)
        return request

    async def write(self, data: bytes) -> None:
        """Send bytes and count them."""
        await self.stream.send_all(data)
        self.receiver.written += len(data)

    def cork(self, *, on: bool) -> None:
        """Hold back what is written, and send it as one at the end."""
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    async def asked(self) -> None:
        """Wait until something has come, and do not read it."""
        await trio.lowlevel.wait_readable(self._raw.socket)

    async def picked_up(self) -> None:
        """Wait until the other side has read all that was written, which nobody but the kernel knows."""
        while any(_queued(self._raw)):  # noqa: ASYNC110  it tells nobody
            await trio.sleep(0.005)

    async def reset(self) -> None:
        """Close with a RST, which takes with it what the other side has not picked up yet."""
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self._raw.aclose()


def _queued(stream: trio.SocketStream) -> tuple[int, int]:
    """Give how many bytes of a loopback connection are on their way, and how many wait to be read at its other end."""
    try:
        names = stream.socket.getsockname(), stream.socket.getpeername()
    except OSError:  # it is over
        return 0, 0
    here, there = (_as_the_kernel_writes_it(*name) for name in names)
    found = {}
    with Path("/proc/net/tcp").open() as table:
        for line in table:
            _, local, remote, _, queues, *_ = line.split()
            found[local, remote] = queues.split(":")
    nothing = ["0", "0"]
    return int(found.get((here, there), nothing)[0], 16), int(found.get((there, here), nothing)[1], 16)


def _as_the_kernel_writes_it(address: str, port: int) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{port:04X}"


class Receiver:
    """What was received, and where to send to."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.scheme = scheme
        self.connections = 0
        self.requests: list[bytes] = []
        self.written = 0
        self.gone = trio.Event()  # a connection ended

    def url(self, path: str = "/hooks", host: str = "127.0.0.1") -> str:
        """Give a URL of this receiver."""
        return f"{self.scheme}://{host}:{self.port}{path}"


async def behave(caller: Caller) -> None:
    """Answer every request with 200."""
    while await caller.read() is not None:
        await caller.write(OK)


def answering(*parts: bytes, close: bool = True) -> Script:
    """Make a script that reads a request and writes the parts, once, and then closes or waits for the other side to."""

    async def script(caller: Caller) -> None:
        await caller.read()
        for part in parts:
            await caller.write(part)
        while not close and await caller.stream.receive_some(65536):
            pass

    return script


@asynccontextmanager
async def open_receiver(script: Script = behave, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Receiver]:
    """Serve a script on a loopback port, a task for each connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    receiver = Receiver(listener.socket.getsockname()[1], "http" if tls is None else "https")

    async def serve(raw: trio.SocketStream) -> None:
        receiver.connections += 1
        stream: trio.abc.Stream = raw
        if tls is not None:
            stream = trio.SSLStream(raw, tls, server_side=True, https_compatible=True)
        try:
            await script(Caller(receiver, stream, raw, receiver.connections))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(raw)
            receiver.gone.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        try:
            yield receiver
        finally:
            nursery.cancel_scope.cancel()


def request_to(
    url: str,
    *,
    body: bytes = b'{"n":1}',
    headers: tuple[tuple[str, str], ...] = (("webhook-id", "dlv_1"),),
    networks: tuple[Network, ...] = LOOPBACK,
    tls: Tls | None = None,
    tls_key: Secret | None = None,
    proxy: Proxy | None = None,
    http2: bool = False,
) -> Request:
    """Make a request, by default one that may go to loopback."""
    head = Head(method="POST", target=parse_target(url), headers=(("content-type", "application/json"),))
    return Request(
        head=head,
        headers=headers,
        body=body,
        networks=networks,
        tls=tls,
        tls_key=tls_key,
        proxy=proxy,
        http2=http2,
    )
