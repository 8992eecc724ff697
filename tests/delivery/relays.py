"""A forward proxy and an HTTP/2 receiver to send through and to."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import trustme

    Behaviour: TypeAlias = "Callable[[Exchange], Awaitable[None]]"

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class ForwardProxy:
    """What came to a proxy: the heads of its requests, and the places it connected to for them."""

    def __init__(self, port: int, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.authority = f"127.0.0.1:{port}"
        self.port = port
        self.heads: list[bytes] = []
        self.connections = 0

    async def serve(self, stream: trio.abc.Stream, where: str, refusal: bytes | None) -> None:
        """Read the head of a request, refuse it or pass it on."""
        data = b""
        while b"\r\n\r\n" not in data:
            received = await stream.receive_some(65536)
            if not received:
                return
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        if refusal is not None:
            await stream.send_all(refusal)
            return
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        authority = target if method == b"CONNECT" else target.removeprefix(b"http://").partition(b"/")[0]
        with suppress(OSError):
            async with await trio.open_tcp_stream(where, int(authority.rpartition(b":")[2])) as other:
                if method == b"CONNECT":
                    await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    data = rest
                if data:
                    await other.send_all(data)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_copy, stream, other, nursery.cancel_scope)
                    nursery.start_soon(_copy, other, stream, nursery.cancel_scope)


async def _copy(source: trio.abc.Stream, sink: trio.abc.Stream, both: trio.CancelScope) -> None:
    with suppress(*GONE):
        while data := await source.receive_some(65536):
            await sink.send_all(data)
    both.cancel()


@asynccontextmanager
async def open_proxy(
    *, refusal: bytes | None = None, tls: ssl.SSLContext | None = None, where: str = "127.0.0.1"
) -> AsyncGenerator[ForwardProxy]:
    """Serve a forward proxy. It connects to `where`, whatever the name; `refusal` is what it says instead."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = ForwardProxy(listener.socket.getsockname()[1], "http" if tls is None else "https")

    async def serve(raw: trio.SocketStream) -> None:
        proxy.connections += 1
        stream: trio.abc.Stream = raw
        if tls is not None:
            stream = trio.SSLStream(raw, tls, server_side=True, https_compatible=True)
        try:
            with suppress(*GONE):
                await proxy.serve(stream, where, refusal)
        finally:
            await trio.aclose_forcefully(raw)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()


class Exchange:
    """One stream of an HTTP/2 connection, as its behaviour sees it. `number` counts the streams of its connection."""

    def __init__(self, connection: H2Connection, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.headers = dict(headers)
        self.lines = headers
        self.body = b""
        self.number = (stream_id + 1) // 2
        self.window = trio.Event()
        self.whole = trio.Event()

    async def respond(self, status: int, body: bytes = b"", *, end: bool = True, **headers: str) -> None:
        """Answer with a head, and a body if there is one."""
        lines = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.connection.h2.send_headers(self.stream_id, lines, end_stream=end and not body)
        await self.connection.flush()
        if body:
            await self.write(body, end=end)

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Write body bytes as the window allows."""
        state = self.connection.h2
        while data:
            room = min(state.local_flow_control_window(self.stream_id), state.max_outbound_frame_size)
            if not room:
                self.window = trio.Event()
                await self.window.wait()
                continue
            state.send_data(self.stream_id, data[:room], end_stream=end and room >= len(data))
            data = data[room:]
            await self.connection.flush()
            self.connection.receiver.written += room


class H2Connection:
    """One HTTP/2 connection to a receiver. `number` counts from 1."""

    def __init__(self, receiver: H2Receiver, stream: trio.abc.Stream, number: int) -> None:
        self.receiver = receiver
        self.number = number
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.exchanges: dict[int, Exchange] = {}
        self.reading = True
        self._lock = trio.Lock()

    async def flush(self) -> None:
        """Write what the state machine has to say."""
        async with self._lock:
            if data := self.h2.data_to_send():
                await self.stream.send_all(data)

    async def serve(self, behaviour: Behaviour) -> None:
        """Read frames; a behaviour runs as soon as its request's head is there."""
        self.h2.initiate_connection()
        await self.flush()
        async with trio.open_nursery() as nursery:
            with suppress(*GONE, h2.exceptions.ProtocolError):
                while data := await self.stream.receive_some(65536):
                    self._take(data, behaviour, nursery)
                    await self.flush()
                    if not self.reading:
                        await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    def _take(self, data: bytes | bytearray, behaviour: Behaviour, nursery: trio.Nursery) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                exchange = Exchange(self, event.stream_id, list(event.headers))
                self.exchanges[event.stream_id] = exchange
                self.receiver.exchanges.append(exchange)
                nursery.start_soon(self._behave, behaviour, exchange)
            elif isinstance(event, h2.events.DataReceived):
                self.exchanges[event.stream_id].body += event.data or b""
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.exchanges[event.stream_id].whole.set()
            elif isinstance(event, h2.events.WindowUpdated):
                for exchange in self.exchanges.values():
                    exchange.window.set()

    async def _behave(self, behaviour: Behaviour, exchange: Exchange) -> None:
        with suppress(*GONE, h2.exceptions.ProtocolError):
            await behaviour(exchange)


class H2Receiver:
    """What was received over HTTP/2, and where to send to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        self.exchanges: list[Exchange] = []
        self.written = 0
        self.gone = trio.Event()  # a connection ended

    def url(self, path: str = "/hooks", host: str = "crm.example") -> str:
        """Give a URL of this receiver."""
        return f"https://{host}:{self.port}{path}"


async def behave_h2(exchange: Exchange) -> None:
    """Answer with 200 when the request is whole."""
    await exchange.whole.wait()
    await exchange.respond(200, b"ok")


def context_of(certificate: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    """Make a server's TLS context that knows some application protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@asynccontextmanager
async def open_h2_receiver(tls: ssl.SSLContext, behaviour: Behaviour = behave_h2) -> AsyncGenerator[H2Receiver]:
    """Serve HTTP/2 on a loopback port."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    receiver = H2Receiver(listener.socket.getsockname()[1])

    async def serve(raw: trio.SocketStream) -> None:
        receiver.connections += 1
        stream = trio.SSLStream(raw, tls, server_side=True, https_compatible=True)
        try:
            with suppress(*GONE, h2.exceptions.ProtocolError):
                await stream.do_handshake()
                assert stream.selected_alpn_protocol() == "h2"
                await H2Connection(receiver, stream, receiver.connections).serve(behaviour)
        finally:
            await trio.aclose_forcefully(raw)
            receiver.gone.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        try:
            yield receiver
        finally:
            nursery.cancel_scope.cancel()
