"""The network as httpcore sees it: connections of ours, with our address check, and a judge of what is read.

Rules of this module:

1. httpcore never looks up a name and never connects. What it asks for is ignored: a `Backend` belongs to one place
   (the receiver, or its proxy), taken apart by `parse_target`, and connects there and nowhere else.
2. What happens on behalf of an attempt is noted in its `Track`. httpcore works in the task of its caller, so the
   attempt is found in a context variable.
3. HTTP/1.1 is judged by the `ResponseReader` that the fast sender uses too, on the same bytes. httpcore alone waits
   for endless interim responses, and takes surplus bytes after a response for the answer to the next request: a
   receiver that answers twice would have a delivery confirmed that it never saw (seen with httpcore 1.0.9).
4. A write that did not end leaves the connection useless to everyone (half a frame, and header tables that differ),
   so it is closed at once and those who share it learn of it.
5. Closing is synchronous and does not depend on httpcore, which forgets connections when it is cancelled.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpcore
import trio

from hookd.core.model import Cause
from hookd.delivery.connect import explain_tls
from hookd.delivery.frames import FrameJudge
from hookd.delivery.response import ResponseReader
from hookd.delivery.sender import ConnectFailed, Progress

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Iterable

    from hookd.core.addresses import Target
    from hookd.core.config import Network

    #: Gives a connected socket or raises `ConnectFailed`: `TcpConnector.reach`.
    Reach: TypeAlias = Callable[[Target, tuple[Network, ...], Progress], Awaitable[socket.socket]]


class Track(Progress):
    """How far an attempt has come.

    `dialled`: it opened a connection itself, so it is not at one that may have died idle. `tunnelling`: what goes
    over the wire is the CONNECT request, not ours. `sent`, `whole`: a byte of the request, all of it, may have left.
    `began`: bytes of an answer came. `refused`: the library would not write the request. `lost`: the connection
    ended. Times are trio's.
    """

    __slots__ = (
        "began",
        "dialled",
        "lost",
        "refused",
        "sent",
        "stream",
        "tunnelling",
        "waited_from",
        "waited_to",
        "whole",
    )

    def __init__(self) -> None:
        super().__init__()
        self.dialled = self.tunnelling = self.sent = self.whole = self.began = self.refused = self.lost = False
        self.stream: Stream | None = None  # the one that carries the request
        self.waited_from = self.waited_to = 0.0

    async def note(self, event: str, info: dict[str, Any]) -> None:
        """Take an event of httpcore's `trace` extension."""
        _, _, event = event.partition(".")
        if event == "send_request_headers.started":
            self.tunnelling = info["request"].method == b"CONNECT"
            if self.tunnelling:
                self.cause, self.doing = Cause.CONNECT_TIMEOUT, "the tunnel through the proxy"
            else:
                self.sent = True
        elif event == "send_request_headers.failed":
            self.refused = isinstance(info["exception"], httpcore.LocalProtocolError)
        elif event == "send_request_body.complete" and not self.tunnelling:
            self.whole = True
            self.waited_from = trio.current_time()
        elif event == "receive_response_headers.complete" and not self.tunnelling:
            self.waited_to = trio.current_time()


#: The attempt that the current task makes.
TRACK: Final[ContextVar[Track]] = ContextVar("track")


class Backend(httpcore.AsyncNetworkBackend):
    """Connects to one place. `open` holds the connections that are not closed."""

    def __init__(self, reach: Reach, target: Target, networks: tuple[Network, ...], *, proxy: bool) -> None:
        self._reach = reach
        self._target = target
        self._networks = networks
        self._proxy = proxy
        self._open: set[trio.SocketStream] = set()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  httpcore's; rule 1
        port: int,  # noqa: ARG002  the same
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  the attempt has one deadline
        local_address: str | None = None,  # noqa: ARG002  the same
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  the same
    ) -> Stream:
        """Connect to the place that this belongs to; raise `ConnectFailed`."""
        track = TRACK.get()
        track.dialled = True
        try:
            connected = await self._reach(self._target, self._networks, track)
        except ConnectFailed as failure:
            raise self._told(failure) from None
        self._open = {each for each in self._open if each.socket.fileno() >= 0}
        raw = trio.SocketStream(trio.socket.from_stdlib_socket(connected))
        self._open.add(raw)
        return Stream(raw, raw, self, where="proxy" if self._proxy else "")

    async def connect_unix_socket(self, *_: object, **__: object) -> Stream:
        """Refuse: nothing of ours asks for it."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await trio.sleep(seconds)

    def _told(self, failure: ConnectFailed) -> ConnectFailed:
        return ConnectFailed(failure.cause, f"the proxy: {failure.detail}") if self._proxy else failure

    def close(self) -> None:
        """Close all connections at once; who uses one gets an error."""
        for raw in self._open:
            raw.socket.close()
        self._open.clear()


class Stream(httpcore.AsyncNetworkStream):
    """A connection, with as many layers of TLS as it takes. `where` is "proxy" for as long as it talks to that."""

    def __init__(
        self, stream: trio.abc.Stream, raw: trio.SocketStream, backend: Backend, *, where: str, http2: bool = False
    ) -> None:
        self._stream = stream
        self._raw = raw
        self._backend = backend
        self._where = where
        self._writing = False
        self.http2 = http2
        self.reader = ResponseReader()
        self._frames = FrameJudge()
        self.ended = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  one deadline
        """Give bytes, b"" at the end; raise httpcore's ReadError, or RemoteProtocolError if it is no response."""
        track = TRACK.get()
        self._writing = False
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError("the connection is gone") from (error.__cause__ or error)
        self.ended = not data
        if not self.http2:
            track.began = track.began or (bool(data) and not track.tunnelling)
            self.reader.feed(data)
            if self.reader.fault is not None:
                raise httpcore.RemoteProtocolError(self.reader.fault)
        elif not self._frames.feed(data):
            raise httpcore.RemoteProtocolError("an HTTP/2 frame is longer than it may be, or this is no HTTP/2")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  one deadline
        """Write all of it; raise httpcore's WriteError."""
        track = TRACK.get()
        if not track.tunnelling:
            track.stream = self
        if not buffer:
            return
        if not self._writing and not self.http2:
            self.reader.begin()
        self._writing = True
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            # Not closed: an answer may be there that came before (413).
            raise httpcore.WriteError("the connection is gone") from (error.__cause__ or error)
        except BaseException:
            self._raw.socket.close()
            raise

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  the attempt has one deadline
    ) -> Stream:
        """Give the connection with TLS on it; raise `ConnectFailed`."""
        track = TRACK.get()
        server_hostname = None if server_hostname is None else server_hostname.strip("[]")
        at_proxy = self._where == "proxy" and not track.tunnelling
        peer = f"the proxy {server_hostname}" if at_proxy else str(server_hostname)
        track.cause, track.doing = Cause.CONNECT_TIMEOUT, f"the TLS handshake with {peer}"
        began = trio.current_time()
        secured = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            self._raw.socket.close()
            why = explain_tls(error.__cause__ if isinstance(error.__cause__, Exception) else ConnectionResetError())
            raise ConnectFailed(Cause.TLS, f"the proxy: {why}" if at_proxy else why) from None
        except BaseException:
            self._raw.socket.close()
            raise
        track.tls_ms = (trio.current_time() - began) * 1000
        http2 = secured.selected_alpn_protocol() == "h2"
        return Stream(secured, self._raw, self._backend, where="proxy" if at_proxy else "", http2=http2)

    def get_extra_info(self, info: str) -> Any:
        """Give what httpcore asks for: the TLS object, and whether an idle connection has become useless."""
        if info == "ssl_object":
            return self._stream if isinstance(self._stream, trio.SSLStream) else None
        return not self._fit if info == "is_readable" else None

    @property
    def _fit(self) -> bool:
        """Whether another HTTP/1.1 request may be sent: the last response ended exactly where it should."""
        if self._raw.socket.fileno() < 0 or not self.reader.reusable or self._raw.socket.is_readable():
            return False
        # Bytes that TLS took from the socket and did not yet give to anyone.
        stream = self._stream
        return not isinstance(stream, trio.SSLStream) or not (
            stream.pending() or stream._incoming.pending  # noqa: SLF001  no other way to see whole records that wait
        )

    async def aclose(self) -> None:
        """Close at once, without a goodbye (`ResponseReader` knows how long a message is)."""
        self._raw.socket.close()
        await trio.lowlevel.checkpoint_if_cancelled()
