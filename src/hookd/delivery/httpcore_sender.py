"""The sender for what the fast one does not speak: forward proxies and HTTP/2.

Rules of this module:

1. httpcore (the engine of httpx) does the protocols. httpx's own client is left out: it keeps the cookies of
   receivers for ever, reads URLs its own way, and has no place for an address check.
2. One `Client` for each place and way of going there: httpcore's pool is quadratic in its connections. A request never
   waits inside it, where one that is cancelled leaks its slot (encode/httpcore#1093).
3. A client in which an attempt did not end cleanly gets no further requests: with HTTP/2 half a message may hang in
   the shared connection, and httpcore forgets what is cancelled. It is closed when its last attempt has ended. One
   that is 60 s old is given up too, so that a moved name or a renewed certificate is seen under constant load.
4. The rest as the fast sender has it: one deadline; the head decides, and the body of a 2xx gets 2 s; at most 64 KiB
   of it; a reused connection that dies before an answer costs one more request on a fresh one, at once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

import httpcore
import trio
from h2.exceptions import H2Error

from hookd.core.addresses import DEFAULT_PORTS
from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Phases, Response
from hookd.core.retry import SUCCESS
from hookd.delivery.attempt import BODY_GRACE
from hookd.delivery.connect import TcpConnector
from hookd.delivery.failures import explain
from hookd.delivery.pool import IDLE_SECONDS, LIFE_SECONDS
from hookd.delivery.response import BODY_LIMIT
from hookd.delivery.sender import ConnectFailed, Sent, encode_headers
from hookd.delivery.streams import TRACK, Backend, Track
from hookd.delivery.trust import Contexts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable

    from hookd.core.addresses import Target
    from hookd.core.model import Outcome
    from hookd.delivery.sender import Flight, Request

#: As many clients without an attempt are kept.
KEPT: Final = 128
#: A body goes out in pieces of this size: httpcore copies what is left of a piece for each HTTP/2 frame.
PIECE: Final = 64 * 1024
#: What answers a request (RFC 9110 section 15).
STATUSES: Final = range(200, 600)

#: What the network can make httpcore raise. ValueError: a status that is no number, which it does not check.
_FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    ConnectFailed,
    H2Error,
    ValueError,
)


class Client:
    """A pool of connections that are interchangeable. `used` counts the attempts in it; times are `perf_counter`'s."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, backend: Backend, now: float) -> None:
        self.pool = pool
        self.backend = backend
        self.born = self.idle_since = now
        self.used = 0
        self.retired = False

    def release(self, now: float, *, clean: bool) -> None:
        """End an attempt in it."""
        self.used -= 1
        self.idle_since = now
        self.retired = self.retired or not clean
        if self.retired and not self.used:
            self.backend.close()


class HttpcoreSender:
    """Sends requests through proxies and over HTTP/2; made by `open_httpcore_sender`, which also tends and closes it.

    Without a proxy, addresses are checked as by the fast sender. With one, only the proxy's own address is.
    """

    def __init__(self, connector: TcpConnector) -> None:
        self._connector = connector
        # Its own: httpcore writes the protocols that it offers (ALPN) into a context.
        self._contexts = Contexts()
        self._clients: dict[Hashable, Client] = {}

    def start(self, request: Request, timeout: float, landed: Callable[[Flight], None]) -> None:
        """Begin nothing: each of its requests is a task."""

    async def send(self, request: Request, timeout: float) -> Sent:  # noqa: ASYNC109  part of the attempt's outcome
        """Make one request, as `Sender` says."""
        started = perf_counter()
        deadline = trio.current_time() + timeout
        track = Track()
        if encode_headers(request.headers) is None:
            await trio.lowlevel.checkpoint()
            detail = "a header holds a line break or an odd character"
            outcome: Outcome = NoResponse(cause=Cause.REQUEST_INVALID, detail=detail, sent=False)
        else:
            outcome = await self._attempt(request, track, deadline, timeout)
            if _died_idle(track, outcome):
                sent, track = track.sent, Track()
                outcome = await self._attempt(request, track, deadline, timeout, fresh=True)
                if sent and isinstance(outcome, NoResponse) and not outcome.sent:
                    outcome = NoResponse(cause=outcome.cause, detail=outcome.detail, sent=True)
        return Sent(outcome=outcome, duration_ms=(perf_counter() - started) * 1000, phases=_phases(track))

    async def _attempt(
        self, request: Request, track: Track, deadline: float, limit: float, *, fresh: bool = False
    ) -> Outcome:
        outcome: Outcome | None = None
        token = TRACK.set(track)
        try:
            with trio.CancelScope(deadline=deadline) as scope:
                try:
                    client = await self._client(request, fresh=fresh)
                except ConnectFailed as failure:
                    return NoResponse(cause=failure.cause, detail=failure.detail, sent=False)
                clean = False
                client.used += 1
                try:
                    response = await client.pool.handle_async_request(_encode(request, track))
                    scope.deadline = float("inf")  # decided: from here the deadline cuts the body, not the attempt
                    outcome = await _read(response, track, deadline)
                    clean = isinstance(outcome, Response) and not outcome.truncated
                except _FAILURES as error:
                    outcome = explain(error, track)
                finally:
                    client.release(perf_counter(), clean=clean and not fresh)
        finally:
            TRACK.reset(token)
        return _timed_out(track, limit) if outcome is None else outcome

    # ------------------------------------------------------------------ clients

    async def _client(self, request: Request, *, fresh: bool) -> Client:
        """Give the client for a request; a fresh one is for this request alone."""
        target = request.head.target
        key = (target.origin, request.networks, request.tls, request.tls_key, request.proxy, request.http2)
        now = perf_counter()
        client = None if fresh else self._clients.pop(key, None)
        if client is not None and (client.retired or now - client.born > LIFE_SECONDS):
            self._retire(client)
            client = None
        if client is None:
            client = await self._open(request)
            rival = None if fresh else self._clients.pop(key, None)  # opened while this one waited for its context
            if rival is not None:
                if rival.retired:
                    self._retire(rival)
                else:
                    client = rival
        if not fresh:
            self._clients[key] = client  # the latest used stands last
            self._evict()
        return client

    async def _open(self, request: Request) -> Client:
        """Make a client; nothing is connected yet. Raises `ConnectFailed` (tls) for certificates that are unusable."""
        proxy, target = request.proxy, request.head.target
        secure = target.scheme == "https"
        context = await self._contexts.context(request.tls, request.tls_key) if secure else None
        place = target if proxy is None else proxy.target
        backend = Backend(self._connector.reach, place, request.networks, proxy=proxy is not None)
        if proxy is None:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=None,
                keepalive_expiry=IDLE_SECONDS,
                http2=request.http2,
                network_backend=backend,
            )
        else:
            # The proxy never sees our client certificate: that is for the receiver.
            ca = None if request.tls is None or request.tls.ca is None else Tls(ca=request.tls.ca)
            pool = httpcore.AsyncHTTPProxy(
                _url(place),
                proxy_headers=None if proxy.authorization is None else {"proxy-authorization": proxy.authorization},
                proxy_ssl_context=await self._contexts.context(ca, None) if place.scheme == "https" else None,
                ssl_context=context,
                max_connections=None,
                keepalive_expiry=IDLE_SECONDS,
                http2=request.http2,
                network_backend=backend,
            )
        return Client(pool, backend, perf_counter())

    def _retire(self, client: Client) -> None:
        client.retired = True
        if not client.used:
            client.backend.close()

    def _evict(self) -> None:
        if len(self._clients) > KEPT:
            for key in [key for key, client in self._clients.items() if not client.used][: len(self._clients) - KEPT]:
                self._retire(self._clients.pop(key))

    async def tend(self) -> None:
        """Close what nobody uses, until cancelled."""
        while True:
            await trio.sleep(IDLE_SECONDS / 2)
            now = perf_counter()
            for key, client in [*self._clients.items()]:
                if not client.used and (client.retired or now - client.idle_since > IDLE_SECONDS):
                    self._retire(self._clients.pop(key))

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.retired = True
            client.backend.close()
        self._clients.clear()


def _encode(request: Request, track: Track) -> httpcore.Request:
    """Give the request as httpcore takes it: what was vetted, in its parts, so that nobody reads the URL again."""
    head = request.head
    lines = [*head.lines, ("content-length", str(len(request.body))), *request.headers]
    return httpcore.Request(
        head.method,
        _url(head.target),
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines],
        content=_Pieces(request.body),
        extensions={"trace": track.note},
    )


def _url(target: Target) -> httpcore.URL:
    """Give a URL as httpcore writes it into requests to a proxy; the brackets are for these too."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = None if target.port == DEFAULT_PORTS[target.scheme] else target.port
    return httpcore.URL(scheme=target.scheme, host=host, port=port, target=target.path)


class _Pieces:
    """A body, piece by piece. Not a generator: httpcore leaves it in the middle when a write fails."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        piece = self._body[self._at : self._at + PIECE]
        if not piece:
            raise StopAsyncIteration
        self._at += len(piece)
        return piece


async def _read(response: httpcore.Response, track: Track, deadline: float) -> Outcome:
    """Read the body as far as it is wanted; the head has decided."""
    body: list[bytes] = []
    size = 0
    failed = False
    grace = trio.current_time() + BODY_GRACE if response.status in SUCCESS else deadline
    try:
        with trio.CancelScope(deadline=min(grace, deadline)) as scope:
            async for chunk in response.aiter_stream():
                body.append(chunk[: max(0, BODY_LIMIT - size)])
                size += len(chunk)
                if size > BODY_LIMIT:
                    scope.cancel()  # not `break`: only an exception ends httpcore's nested generators in order
    except _FAILURES:
        failed = True
    finally:
        await response.aclose()
    stream = track.stream
    if stream is not None and not stream.http2 and stream.reader.status:
        return stream.reader.response()
    if (stream is not None and not stream.http2) or response.status not in STATUSES:
        detail = f"{response.status} is not a status that answers a request"
        return NoResponse(cause=Cause.RESPONSE_MALFORMED, detail=detail, sent=True)
    return Response(
        status=response.status,
        headers=tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers),
        body=b"".join(body),
        truncated=failed or scope.cancelled_caught or size > BODY_LIMIT,
    )


def _died_idle(track: Track, outcome: Outcome) -> bool:
    """Whether a connection that was there before was gone when it was to be used."""
    return isinstance(outcome, NoResponse) and track.lost and not (track.dialled or track.began)


def _timed_out(track: Track, limit: float) -> NoResponse:
    if not track.sent:
        cause, doing = track.cause or Cause.CONNECT_TIMEOUT, track.doing
        what = f"{doing} did not end" if doing else "no connection"
    else:
        cause = Cause.TIMEOUT
        what = "no response" if track.whole else "the request was not taken"
        if track.began:
            what = "the head of the response did not end"
    return NoResponse(cause=cause, detail=f"{what} within {limit:g} s", sent=track.sent)


def _phases(track: Track) -> Phases:
    waited = track.waited_to and track.waited_from
    wait_ms = (track.waited_to - track.waited_from) * 1000 if waited else None
    return Phases(dns_ms=track.dns_ms, connect_ms=track.connect_ms, tls_ms=track.tls_ms, wait_ms=wait_ms)


@asynccontextmanager
async def open_httpcore_sender(connector: TcpConnector | None = None) -> AsyncGenerator[HttpcoreSender]:
    """Give a sender; at the end its connections are closed. `connector` None: one of its own."""
    sender = HttpcoreSender(TcpConnector() if connector is None else connector)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.tend)
        try:
            yield sender
        finally:
            sender.close()
            nursery.cancel_scope.cancel()
