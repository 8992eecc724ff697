"""What every sender keeps, whichever way a request takes: one suite over all of them.

Ways: the fast sender with and without TLS; httpcore's through a plain proxy, through a tunnel, through a tunnel inside
TLS, and with HTTP/2 allowed to a receiver that does not know it.
"""

from __future__ import annotations

import os
import ssl
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
import trustme

from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Response, Secret
from hookd.core.proxies import Proxy, parse_proxy
from hookd.delivery import attempt, httpcore_sender
from hookd.delivery.connect import TcpConnector
from hookd.delivery.http1 import open_sender
from hookd.delivery.httpcore_sender import open_httpcore_sender
from hookd.delivery.senders import Senders
from tests.delivery.receivers import OK, PATIENCE_S, answering, behave, open_receiver, request_to
from tests.delivery.relays import ForwardProxy, context_of, open_proxy
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hookd.core.model import Outcome
    from hookd.delivery.sender import Sent
    from tests.delivery.receivers import Caller, Receiver, Script

FAST = ("fast", "fast tls")
OTHER = ("forward", "tunnel", "tunnel in tls", "fallback")
WAYS = (*FAST, *OTHER)
PROXIED = ("forward", "tunnel", "tunnel in tls")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_path(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def open_sockets() -> set[str]:
    """Give the sockets of this process, by their inodes."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that the listing itself used
            found.add(str(link.readlink()))
    return {each for each in found if each.startswith("socket:")}


@dataclass
class Road:
    """A sender, and one way to a receiver."""

    sender: Senders
    receiver: Receiver
    relay: ForwardProxy | None
    proxy: Proxy | None
    tls: Tls | None
    http2: bool

    async def send(
        self, *, limit: float = PATIENCE_S, body: bytes = b"{}", path: str = "/hooks", key: str = "dlv_1"
    ) -> Sent:
        request = request_to(
            self.receiver.url(path, "crm.example"),
            body=body,
            headers=(("webhook-id", key),),
            tls=self.tls,
            proxy=self.proxy,
            http2=self.http2,
        )
        with trio.fail_after(limit + PATIENCE_S):
            return await self.sender.send(request, limit)


@asynccontextmanager
async def open_road(way: str, ca: trustme.CA, ca_path: str, script: Script = behave) -> AsyncGenerator[Road]:
    before = open_sockets()
    async with AsyncExitStack() as opened:
        secure = way not in {"fast", "forward"}
        context = context_of(ca.issue_cert("crm.example"), "http/1.1") if secure else None
        receiver = await opened.enter_async_context(open_receiver(script, context))
        relay = None
        if way in PROXIED:
            inner = context_of(ca.issue_cert("127.0.0.1")) if way == "tunnel in tls" else None
            relay = await opened.enter_async_context(open_proxy(tls=inner))
        network = TcpConnector(lambda _: ("127.0.0.1",))
        fast = await opened.enter_async_context(open_sender(network))
        other = await opened.enter_async_context(open_httpcore_sender(network))
        yield Road(
            sender=Senders(fast, other),
            receiver=receiver,
            relay=relay,
            proxy=None if relay is None else parse_proxy(relay.url),
            tls=Tls(ca=ca_path) if secure else None,
            http2=way == "fallback",
        )
        assert not any(client.used for client in other._clients.values())
    assert open_sockets() <= before, "a connection was left open"


def failed(outcome: Outcome, *causes: Cause, sent: bool) -> str:
    assert isinstance(outcome, NoResponse), outcome
    assert outcome.cause in causes, outcome
    assert outcome.sent == sent, outcome
    return outcome.detail


def answered(outcome: Outcome) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


every_way = pytest.mark.parametrize("way", WAYS)


# --------------------------------------------------------------------------- what behaves


@every_way
async def test_a_request_arrives_as_it_was_made(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path) as road:
        sent = await road.send(body=b'{"n":1E2}', path="/a%2Fb|c?x=%41&y=`")
        port, scheme = road.receiver.port, road.receiver.scheme
    assert answered(sent.outcome) == Response(status=200, headers=(("content-length", "2"),), body=b"ok")
    (request,) = road.receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    place = f"{scheme}://crm.example:{port}" if way == "forward" else ""
    assert line == f"POST {place}/a%2Fb%7Cc?x=%41&y=%60 HTTP/1.1"
    assert body == b'{"n":1E2}'
    assert [each.partition(":")[0].lower() for each in headers] == [
        "host",
        "user-agent",
        "accept-encoding",
        "content-type",
        "content-length",
        "webhook-id",
    ]
    assert headers[0].lower() == f"host: crm.example:{port}"
    assert sent.phases.connect_ms is not None
    assert sent.phases.wait_ms is not None
    assert (sent.phases.tls_ms is not None) is (scheme == "https")
    assert (sent.phases.dns_ms is None) is (way in PROXIED)
    assert 0 < sent.duration_ms < PATIENCE_S * 1000


@every_way
async def test_connections_are_kept_alive(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path) as road:
        phases = [(await road.send()).phases for _ in range(5)]
        assert (road.receiver.connections, len(road.receiver.requests)) == (1, 5)
    assert [each.connect_ms is None for each in phases] == [False, True, True, True, True]


@every_way
async def test_many_at_once(way: str, ca: trustme.CA, ca_path: str) -> None:
    outcomes: list[Outcome] = []
    async with open_road(way, ca, ca_path) as road:

        async def send(key: str) -> None:
            outcomes.append((await road.send(key=key)).outcome)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(send, f"dlv_{number}")
    assert all(answered(outcome).status == 200 for outcome in outcomes)
    assert len({request.split(b"webhook-id: ")[1].split(b"\r\n")[0] for request in road.receiver.requests}) == 20


@every_way
@pytest.mark.parametrize("size", [0, 64 * 1024 + 1, 3_000_000])
async def test_bodies_of_any_size_arrive(way: str, ca: trustme.CA, ca_path: str, size: int) -> None:
    body = os.urandom(size)
    async with open_road(way, ca, ca_path) as road:
        for _ in range(2):
            answered((await road.send(body=body)).outcome)
    assert [each.partition(b"\r\n\r\n")[2] == body for each in road.receiver.requests] == [True, True]
    assert road.receiver.connections == 1


@every_way
@pytest.mark.parametrize("status", [201, 204, 301, 307, 400, 407, 410, 429, 500, 503, 599])
async def test_any_status_is_given_as_it_is(way: str, ca: trustme.CA, ca_path: str, status: int) -> None:
    length = b"" if status == 204 else b"content-length: 0\r\n"
    reply = b"HTTP/1.1 %d X\r\nlocation: http://[bad\r\nset-cookie: a=1\r\nretry-after: 7\r\n%b\r\n" % (status, length)
    async with open_road(way, ca, ca_path, answering(reply, close=False)) as road:
        response = answered((await road.send()).outcome)
        assert response.status == status
        assert dict(response.headers)["location"] == "http://[bad"
        assert dict(response.headers)["retry-after"] == "7"
        assert not response.truncated
        assert road.receiver.connections == 1


@every_way
async def test_a_bomb_is_not_opened(way: str, ca: trustme.CA, ca_path: str) -> None:
    bomb = b"\x1f\x8b" + bytes(1_000_000)
    reply = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    async with open_road(way, ca, ca_path, answering(reply, bomb)) as road:
        response = answered((await road.send()).outcome)
    assert response.body == bomb[: 64 * 1024]
    assert response.truncated


# --------------------------------------------------------------------------- what answers twice


def twice(first: bytes, *surplus: bytes) -> Script:
    """Answer a request with more than was asked for, and everything later with an error."""

    async def script(caller: Caller) -> None:
        if caller.number == 1:
            await caller.read()
            await caller.write(first)
            for part in surplus:
                await caller.write(part)
        while await caller.read() is not None:
            await caller.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")

    return script


SECOND = b"HTTP/1.1 299 Not Asked For\r\ncontent-length: 0\r\n\r\n"


async def twice_in_one_segment(caller: Caller) -> None:
    """Answer twice, with a TLS record for each answer, so that they come in by one read of the socket."""
    await caller.read()
    if caller.receiver.connections == 1:
        caller.cork(on=True)
        await caller.write(OK)
        await caller.write(SECOND)
        caller.cork(on=False)
    else:
        await caller.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
    await caller.read()


@every_way
@pytest.mark.parametrize(
    "script", [twice(OK + SECOND), twice(OK, SECOND), twice(OK + b"\r\n\r\ngarbage"), twice_in_one_segment]
)
async def test_a_surplus_response_answers_no_other_request(
    way: str, ca: trustme.CA, ca_path: str, script: Script
) -> None:
    async with open_road(way, ca, ca_path, script) as road:
        assert answered((await road.send()).outcome).status == 200
        await trio.testing.wait_all_tasks_blocked(0.02)  # the second one has arrived, through a proxy too
        assert answered((await road.send()).outcome).status == 500
        assert road.receiver.connections == 2


@every_way
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_is_to_be_closed_is_not_used_again(
    way: str, ca: trustme.CA, ca_path: str, reply: bytes
) -> None:
    async with open_road(way, ca, ca_path, answering(reply, close=False)) as road:
        for _ in range(2):
            assert answered((await road.send()).outcome).body == b"ok"
        assert road.receiver.connections == 2


# --------------------------------------------------------------------------- what hangs


@every_way
async def test_no_status_line(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, answering(close=False)) as road:
        began, watch = time.perf_counter(), Stopwatch()
        detail = failed((await road.send(limit=1)).outcome, Cause.TIMEOUT, sent=True)
        assert time.perf_counter() - began >= 1
        assert watch.seconds() < 3
    assert detail == "no response within 1 s"


async def drip_headers(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await caller.write(b"x: y\r\n")
        await trio.sleep(0.02)


@every_way
async def test_headers_that_drip(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, drip_headers) as road:
        detail = failed((await road.send(limit=1)).outcome, Cause.TIMEOUT, sent=True)
    assert detail == "the head of the response did not end within 1 s"


def dripping(status: int) -> Script:
    async def script(caller: Caller) -> None:
        await caller.read()
        await caller.write(b"HTTP/1.1 %d X\r\ncontent-length: 1000\r\n\r\n" % status)
        while True:
            await caller.write(b".")
            await trio.sleep(0.02)

    return script


@every_way
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_drips_does_not_undo_the_status(way: str, ca: trustme.CA, ca_path: str, status: int) -> None:
    async with open_road(way, ca, ca_path, dripping(status)) as road:
        response = answered((await road.send(limit=2)).outcome)
    assert (response.status, response.truncated) == (status, True)
    assert response.body.startswith(b"..")


@every_way
async def test_the_body_of_a_success_gets_little_time(
    way: str, ca: trustme.CA, ca_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "BODY_GRACE", 0.2)
    monkeypatch.setattr(httpcore_sender, "BODY_GRACE", 0.2)
    async with open_road(way, ca, ca_path, dripping(200)) as road:
        watch = Stopwatch()
        assert answered((await road.send(limit=30)).outcome).truncated
        assert watch.seconds() < 2


async def endless(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await caller.write(b"a" * 65536)


@every_way
async def test_an_endless_body_is_cut_and_the_connection_closed(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, endless) as road:
        response = answered((await road.send()).outcome)
        with trio.fail_after(PATIENCE_S):
            await road.receiver.gone.wait()
        assert road.receiver.written < 32 * 1024 * 1024
    assert (len(response.body), response.truncated) == (64 * 1024, True)


async def endless_continue(caller: Caller) -> None:
    await caller.read()
    while True:
        await caller.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.lowlevel.checkpoint()


async def endless_headers(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await caller.write(b"x-header: value\r\n" * 1000)


@every_way
@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (endless_continue, "more than 8 interim responses"),
        (endless_headers, "the response head is larger than 64 KiB"),
        (answering(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), "101 is not a status that answers a request"),
        (answering(b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n"), "999 is not a status that answers a request"),
        (answering(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "Expected HTTP/, RTSP/ or ICE/"),
        (answering(b"HTTP/1.1 200 OK\r\n\x00\x01: x\r\n\r\n"), "Invalid header token"),
    ],
)
async def test_what_is_no_response(way: str, ca: trustme.CA, ca_path: str, script: Script, detail: str) -> None:
    async with open_road(way, ca, ca_path, script) as road:
        assert failed((await road.send()).outcome, Cause.RESPONSE_MALFORMED, sent=True) == detail


# --------------------------------------------------------------------------- what closes


@every_way
@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (answering(), "the connection was closed before a response"),
        (answering(b"HTTP/1.1 2"), "the connection was closed inside the head of the response"),
    ],
)
async def test_a_connection_that_closes_before_a_status(
    way: str, ca: trustme.CA, ca_path: str, script: Script, detail: str
) -> None:
    async with open_road(way, ca, ca_path, script) as road:
        assert failed((await road.send()).outcome, Cause.RESET, sent=True) == detail
        assert len(road.receiver.requests) == 1


@every_way
async def test_a_body_that_is_cut_does_not_undo_the_status(way: str, ca: trustme.CA, ca_path: str) -> None:
    script = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
    async with open_road(way, ca, ca_path, script) as road:
        response = answered((await road.send()).outcome)
    assert response == Response(status=200, headers=(("content-length", "9"),), body=b"ab", truncated=True)


def dying(*deaths: int) -> Script:
    """Answer all requests, but let the second one of the connections in `deaths` die; 0: later ones answer nothing."""

    async def script(caller: Caller) -> None:
        await caller.read()
        if 0 in deaths and caller.number > 1:
            return
        await caller.write(OK)
        if caller.number not in deaths:
            await behave(caller)
        else:
            await caller.read()

    return script


@every_way
async def test_a_reused_connection_that_dies_costs_nothing(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, dying(1)) as road:
        answered((await road.send()).outcome)
        sent = await road.send()
        assert answered(sent.outcome).status == 200
        assert sent.phases.connect_ms is not None
        assert (road.receiver.connections, len(road.receiver.requests)) == (2, 3)


@every_way
async def test_it_is_tried_again_only_once(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, dying(0, 1)) as road:
        answered((await road.send()).outcome)
        failed((await road.send()).outcome, Cause.RESET, sent=True)
        assert (road.receiver.connections, len(road.receiver.requests)) == (2, 3)


@every_way
async def test_a_connection_that_closed_while_idle_is_not_tried(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path, answering(OK)) as road:
        answered((await road.send()).outcome)
        await road.receiver.gone.wait()
        await trio.testing.wait_all_tasks_blocked(0.02)  # a proxy passes the end on
        assert answered((await road.send()).outcome).status == 200
        assert (road.receiver.connections, len(road.receiver.requests)) == (2, 2)


# --------------------------------------------------------------------------- cancellation


@every_way
async def test_cancelled_attempts_leave_nothing(way: str, ca: trustme.CA, ca_path: str) -> None:
    awake = trio.Event()

    async def hang_then_behave(caller: Caller) -> None:
        if awake.is_set():
            await behave(caller)
        while await caller.stream.receive_some(65536):
            pass

    async with open_road(way, ca, ca_path, hang_then_behave) as road:
        idle = open_sockets()
        for wait in (0, 0.001, 0.02, 0.2):
            with trio.move_on_after(wait):
                async with trio.open_nursery() as nursery:
                    for _ in range(15):
                        nursery.start_soon(road.send)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert open_sockets() <= idle
        awake.set()
        for _ in range(3):
            assert answered((await road.send()).outcome).status == 200


@every_way
async def test_a_cancelled_attempt_gives_no_outcome(way: str, ca: trustme.CA, ca_path: str) -> None:
    came = trio.Event()
    outcomes: list[Outcome] = []

    async def hang(caller: Caller) -> None:
        await caller.read()
        came.set()
        await caller.read()

    async with open_road(way, ca, ca_path, hang) as road:

        async def send() -> None:
            outcomes.append((await road.send(limit=2 * PATIENCE_S)).outcome)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(PATIENCE_S):
                await came.wait()
            nursery.cancel_scope.cancel()
        assert outcomes == []
        with trio.fail_after(PATIENCE_S):
            await road.receiver.gone.wait()


@every_way
async def test_a_header_that_would_be_two_is_not_sent(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path) as road:
        for value in ("a\r\nx: y", "a\nb", "a\rb", "a\x00b", "\u20ac"):
            failed((await road.send(key=value)).outcome, Cause.REQUEST_INVALID, sent=False)
        assert road.receiver.connections == 0


# --------------------------------------------------------------------------- trust

secure_ways = pytest.mark.parametrize("way", [way for way in WAYS if way not in {"fast", "forward"}])


@secure_ways
async def test_a_receiver_that_is_not_to_be_trusted(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path) as road:
        stranger = context_of(trustme.CA().issue_cert("crm.example"))
        async with open_receiver(behave, stranger) as receiver:
            road.receiver = receiver
            detail = failed((await road.send()).outcome, Cause.TLS, sent=False)
    assert detail == "certificate verify failed: unable to get local issuer certificate"


@secure_ways
async def test_the_name_is_verified(way: str, ca: trustme.CA, ca_path: str) -> None:
    other = context_of(ca.issue_cert("other.example"))
    async with open_road(way, ca, ca_path) as road, open_receiver(behave, other) as receiver:
        road.receiver = receiver
        detail = failed((await road.send()).outcome, Cause.TLS, sent=False)
    assert "not valid for 'crm.example'" in detail


@secure_ways
async def test_a_handshake_that_hangs(way: str, ca: trustme.CA, ca_path: str) -> None:
    async with open_road(way, ca, ca_path) as road:

        async def hang(_: Caller) -> None:
            await trio.sleep_forever()

        async with open_receiver(hang) as receiver:
            receiver.scheme = "https"
            road.receiver = receiver
            detail = failed((await road.send(limit=1.5)).outcome, Cause.CONNECT_TIMEOUT, sent=False)
    assert detail.startswith("the TLS handshake with crm.example")


@secure_ways
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_may_ask_who_we_are(
    way: str, ca: trustme.CA, ca_path: str, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = context_of(ca.issue_cert("crm.example"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    ca.configure_trust(context)
    ours = ca.issue_cert("hookd.example")
    public = tmp_path / "public.pem"
    ours.cert_chain_pems[0].write_to_path(str(public))
    key = Secret(ours.private_key_pem.bytes().decode())
    async with open_road(way, ca, ca_path) as road, open_receiver(behave, context) as receiver:
        request = request_to(
            receiver.url("/", "crm.example"),
            tls=Tls(ca=ca_path, certificate=str(public)),
            tls_key=key,
            proxy=road.proxy,
            http2=road.http2,
        )
        assert answered((await road.sender.send(request, PATIENCE_S)).outcome).status == 200
        road.receiver = receiver
        nobody = await road.send()
        failed(nobody.outcome, Cause.TLS, Cause.RESET, sent=version is ssl.TLSVersion.TLSv1_3)
