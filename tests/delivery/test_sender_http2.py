"""HTTP/2: requests that share a connection, receivers that break its rules, and the address check."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h2.errors
import h2.events
import h2.settings
import pytest
import trio
import trio.testing
import trustme

from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Response
from hookd.core.proxies import parse_proxy
from hookd.delivery import httpcore_sender
from hookd.delivery.connect import TcpConnector
from hookd.delivery.httpcore_sender import HttpcoreSender, open_httpcore_sender
from tests.delivery.receivers import LOOPBACK, PATIENCE_S, request_to
from tests.delivery.relays import H2Receiver, behave_h2, context_of, open_h2_receiver, open_proxy
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hookd.core.config import Network
    from hookd.core.model import Outcome
    from hookd.core.proxies import Proxy
    from hookd.delivery.sender import Sent
    from tests.delivery.relays import Behaviour, Exchange


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_path(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@dataclass
class Road:
    """A sender and an HTTP/2 receiver."""

    sender: HttpcoreSender
    receiver: H2Receiver
    tls: Tls
    proxy: Proxy | None = None

    async def send(
        self,
        *,
        limit: float = PATIENCE_S,
        body: bytes = b"{}",
        networks: tuple[Network, ...] = LOOPBACK,
        key: str = "dlv_1",
    ) -> Sent:
        request = request_to(
            self.receiver.url(),
            body=body,
            headers=(("webhook-id", key),),
            networks=networks,
            tls=self.tls,
            proxy=self.proxy,
            http2=True,
        )
        with trio.fail_after(limit + PATIENCE_S):
            return await self.sender.send(request, limit)


@asynccontextmanager
async def open_road(ca: trustme.CA, ca_path: str, behaviour: Behaviour = behave_h2) -> AsyncGenerator[Road]:
    async with (
        open_h2_receiver(context_of(ca.issue_cert("crm.example"), "h2", "http/1.1"), behaviour) as receiver,
        open_httpcore_sender(TcpConnector(lambda _: ("127.0.0.1",))) as sender,
    ):
        yield Road(sender, receiver, Tls(ca=ca_path))
        assert not any(client.used for client in sender._clients.values())


def failed(outcome: Outcome, cause: Cause, *, sent: bool) -> str:
    assert isinstance(outcome, NoResponse), outcome
    assert (outcome.cause, outcome.sent) == (cause, sent), outcome
    return outcome.detail


def answered(outcome: Outcome) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


# --------------------------------------------------------------------------- what behaves


async def test_a_request_arrives_as_it_was_made(ca: trustme.CA, ca_path: str) -> None:
    async with open_road(ca, ca_path) as road:
        sent = await road.send(body=b'{"n":1E2}')
        assert answered(sent.outcome) == Response(status=200, body=b"ok")
        (exchange,) = road.receiver.exchanges
    assert exchange.body == b'{"n":1E2}'
    assert [name for name, _ in exchange.lines] == [
        b":method",
        b":authority",
        b":scheme",
        b":path",
        b"user-agent",
        b"accept-encoding",
        b"content-type",
        b"content-length",
        b"webhook-id",
    ]
    assert exchange.headers[b":authority"] == f"crm.example:{road.receiver.port}".encode()
    assert exchange.headers[b":path"] == b"/hooks"
    phases = sent.phases
    assert None not in (phases.dns_ms, phases.connect_ms, phases.tls_ms, phases.wait_ms)


async def test_requests_share_one_connection(ca: trustme.CA, ca_path: str) -> None:
    everyone = trio.Event()

    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        if len(exchange.connection.receiver.exchanges) > 20:
            everyone.set()
        if exchange.number > 1:
            await everyone.wait()
        await exchange.respond(200, exchange.headers[b"webhook-id"])

    bodies: dict[str, bytes] = {}
    async with open_road(ca, ca_path, behaviour) as road:

        async def send(key: str) -> None:
            bodies[key] = answered((await road.send(key=key)).outcome).body

        await send("dlv_0")
        async with trio.open_nursery() as nursery:
            for number in range(1, 21):
                nursery.start_soon(send, f"dlv_{number}")
        assert road.receiver.connections == 1
    assert bodies == {f"dlv_{number}": f"dlv_{number}".encode() for number in range(21)}


@pytest.mark.parametrize("size", [0, 64 * 1024 + 1, 8_000_000])
async def test_bodies_of_any_size_arrive(ca: trustme.CA, ca_path: str, size: int) -> None:
    body = os.urandom(size)
    async with open_road(ca, ca_path) as road:
        for _ in range(2):
            answered((await road.send(body=body)).outcome)
        assert [exchange.body == body for exchange in road.receiver.exchanges] == [True, True]
        assert road.receiver.connections == 1


@pytest.mark.parametrize("status", [201, 204, 307, 400, 410, 429, 503, 599])
async def test_any_status_is_given_as_it_is(ca: trustme.CA, ca_path: str, status: int) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.respond(status, location="http://[bad", retry_after="7")

    async with open_road(ca, ca_path, behaviour) as road:
        response = answered((await road.send()).outcome)
    assert response == Response(status=status, headers=(("location", "http://[bad"), ("retry-after", "7")))


@pytest.mark.parametrize("status", [600, 999])
async def test_what_is_no_status(ca: trustme.CA, ca_path: str, status: int) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.respond(status)

    async with open_road(ca, ca_path, behaviour) as road:
        detail = failed((await road.send()).outcome, Cause.RESPONSE_MALFORMED, sent=True)
    assert detail == f"{status} is not a status that answers a request"


async def test_interim_responses_are_skipped(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        for _ in range(3):
            await exchange.respond(103, end=False)
        await exchange.respond(200, b"ok")

    async with open_road(ca, ca_path, behaviour) as road:
        assert answered((await road.send()).outcome).status == 200


async def test_it_goes_through_a_tunnel(ca: trustme.CA, ca_path: str) -> None:
    async with open_road(ca, ca_path) as road, open_proxy() as relay:
        road.proxy = parse_proxy(relay.url)
        for _ in range(3):
            answered((await road.send()).outcome)
        assert (road.receiver.connections, relay.connections) == (1, 1)


# --------------------------------------------------------------------------- what hangs


async def hang(_: Exchange) -> None:
    await trio.sleep_forever()


async def test_no_response(ca: trustme.CA, ca_path: str) -> None:
    async with open_road(ca, ca_path, hang) as road:
        detail = failed((await road.send(limit=1)).outcome, Cause.TIMEOUT, sent=True)
    assert detail == "no response within 1 s"


async def test_a_request_that_is_not_taken(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        exchange.connection.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
        await trio.sleep_forever()

    async with open_road(ca, ca_path, behaviour) as road:
        detail = failed((await road.send(limit=1, body=bytes(1_000_000))).outcome, Cause.TIMEOUT, sent=True)
    assert detail == "the request was not taken within 1 s"


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_drips_does_not_undo_the_status(
    ca: trustme.CA, ca_path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpcore_sender, "BODY_GRACE", 0.2)

    async def behaviour(exchange: Exchange) -> None:
        await exchange.respond(status, end=False)
        while True:
            await exchange.write(b".")
            await trio.sleep(0.02)

    async with open_road(ca, ca_path, behaviour) as road:
        # That of a failure may take what is left; that of a success gets its grace, however much is left.
        watch = Stopwatch()
        response = answered((await road.send(limit=2 if status == 500 else PATIENCE_S)).outcome)
        assert watch.seconds() < 0.5 or status == 500
    assert (response.status, response.truncated) == (status, True)
    assert response.body.startswith(b"..")


async def test_an_endless_body_is_cut_and_others_go_on(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        if exchange.headers[b"webhook-id"] == b"endless":
            await exchange.respond(500, end=False)
            while True:
                await exchange.write(b"a" * 65536)
        await exchange.respond(200, b"ok")

    async with open_road(ca, ca_path, behaviour) as road:
        for _ in range(3):
            response = answered((await road.send(key="endless")).outcome)
            assert (len(response.body), response.truncated) == (64 * 1024, True)
            assert answered((await road.send()).outcome).body == b"ok"
        # The window that httpcore opens: 16 MiB and a little for a connection, and each served one of them only.
        assert road.receiver.written < 3 * 17 * 1024 * 1024


async def test_a_cut_write_ends_the_connection_for_all(ca: trustme.CA, ca_path: str) -> None:
    """Half a frame was written when the deadline struck: who shares the connection need not wait for its own."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        state = exchange.connection.h2
        state.increment_flow_control_window(2**24)
        state.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**24})
        exchange.connection.reading = exchange.number < 2
        await exchange.respond(200)

    async with open_road(ca, ca_path, behaviour) as road:
        for _ in range(2):  # the first answer opens the windows, the second is the last thing that the receiver does
            answered((await road.send()).outcome)
        outcomes: dict[str, Outcome] = {}

        async def send(key: str, limit: float, body: bytes) -> None:
            outcomes[key] = (await road.send(key=key, limit=limit, body=body)).outcome

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, "other", 30, bytes(1000))
                await trio.testing.wait_all_tasks_blocked(0.1)  # it waits for its answer
                nursery.start_soon(send, "cut", 0.5, bytes(12_000_000))
        detail = failed(outcomes["cut"], Cause.TIMEOUT, sent=True)
        # It was on its way over a connection that died: once more, on a fresh one.
        answered(outcomes["other"])
        assert road.receiver.connections == 2
    assert detail == "the request was not taken within 0.5 s"


# --------------------------------------------------------------------------- what closes and what is broken


@pytest.mark.parametrize("code", [h2.errors.ErrorCodes.INTERNAL_ERROR, h2.errors.ErrorCodes.REFUSED_STREAM])
async def test_a_stream_that_is_reset_is_not_tried_again(
    ca: trustme.CA, ca_path: str, code: h2.errors.ErrorCodes
) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        if exchange.number == 1 and exchange.connection.number == 1:
            await exchange.respond(200)
        else:
            exchange.connection.h2.reset_stream(exchange.stream_id, code)
            await exchange.connection.flush()

    async with open_road(ca, ca_path, behaviour) as road:
        answered((await road.send()).outcome)
        detail = failed((await road.send()).outcome, Cause.RESET, sent=True)
        assert len(road.receiver.exchanges) == 2
    assert detail == f"the receiver reset the stream (HTTP/2 error {int(code)})"


async def close_without_a_word(exchange: Exchange) -> None:
    await exchange.whole.wait()
    await trio.aclose_forcefully(exchange.connection.stream)


async def say_goodbye(exchange: Exchange) -> None:
    await exchange.whole.wait()
    exchange.connection.h2.close_connection(last_stream_id=0)
    await exchange.connection.flush()


@pytest.mark.parametrize("death", [close_without_a_word, say_goodbye])
async def test_a_fresh_connection_that_ends_is_not_tried_again(ca: trustme.CA, ca_path: str, death: Behaviour) -> None:
    async with open_road(ca, ca_path, death) as road:
        failed((await road.send()).outcome, Cause.RESET, sent=True)
        assert (road.receiver.connections, len(road.receiver.exchanges)) == (1, 1)


@pytest.mark.parametrize("death", [close_without_a_word, say_goodbye])
async def test_a_reused_connection_that_ends_costs_nothing(ca: trustme.CA, ca_path: str, death: Behaviour) -> None:
    async def behaviour(exchange: Exchange) -> None:
        if exchange.number > 1:
            await death(exchange)
        else:
            await behave_h2(exchange)

    async with open_road(ca, ca_path, behaviour) as road:
        answered((await road.send()).outcome)
        answered((await road.send()).outcome)
        assert (road.receiver.connections, len(road.receiver.exchanges)) == (2, 3)


async def test_a_connection_that_ended_while_idle_costs_nothing(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await behave_h2(exchange)
        if exchange.connection.number == 1:
            await trio.aclose_forcefully(exchange.connection.stream)

    async with open_road(ca, ca_path, behaviour) as road:
        answered((await road.send()).outcome)
        await road.receiver.gone.wait()
        answered((await road.send()).outcome)


async def test_a_body_that_is_cut_does_not_undo_the_status(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.respond(200, b"ab", end=False)
        await trio.testing.wait_all_tasks_blocked(0.02)
        await trio.aclose_forcefully(exchange.connection.stream)

    async with open_road(ca, ca_path, behaviour) as road:
        assert answered((await road.send()).outcome) == Response(status=200, body=b"ab", truncated=True)


@pytest.mark.parametrize(
    "noise",
    [
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",  # headers that are no HPACK
        b"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x08\x04abcd",  # a status that is no number
        b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x84",  # a :path instead of a status
        b"\x00\x00\x00\x01\x05\x00\x00\x00\x01",  # a head of nothing
        b"\x00\x00\x02\x01\x05\x00\x00\x00\x01\x88\x8d",  # 200 and 404 at once
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x08\x03+20",  # a status that Python would read as 20
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x08\x03 20",
        b"\x00\x00\x02\x01\x0d\x00\x00\x00\x01\x01\x88",  # padding as long as what it pads
        b"\x00\x00\x02\x00\x00\x00\x00\x00\x01hi",  # a body before its head
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # a window that grows by nothing
    ],
)
async def test_a_receiver_that_breaks_the_rules(ca: trustme.CA, ca_path: str, noise: bytes) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.connection.stream.send_all(noise)
        await trio.sleep_forever()

    async with open_road(ca, ca_path, behaviour) as road:
        detail = failed((await road.send()).outcome, Cause.RESPONSE_MALFORMED, sent=True)
    assert detail in {"the receiver broke the rules of HTTP", "0 is not a status that answers a request"}


async def test_what_is_no_http_2(ca: trustme.CA, ca_path: str) -> None:
    """It reads like a frame of some megabytes, which nobody waits for."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.connection.stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await trio.sleep_forever()

    async with open_road(ca, ca_path, behaviour) as road:
        failed((await road.send()).outcome, Cause.RESPONSE_MALFORMED, sent=True)


async def test_headers_without_end(ca: trustme.CA, ca_path: str) -> None:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        await exchange.connection.stream.send_all(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88")
        while True:
            await exchange.connection.stream.send_all(b"\x00\x00\x06\x09\x00\x00\x00\x00\x01\x40\x01a\x02bc")

    async with open_road(ca, ca_path, behaviour) as road:
        failed((await road.send()).outcome, Cause.RESPONSE_MALFORMED, sent=True)


# --------------------------------------------------------------------------- addresses


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("10.0.0.1", "::1"), ("169.254.169.254",)])
async def test_a_denied_address_is_not_connected_to(ca: trustme.CA, ca_path: str, addresses: tuple[str, ...]) -> None:
    async with open_road(ca, ca_path) as road, open_httpcore_sender(TcpConnector(lambda _: addresses)) as sender:
        road.sender = sender
        detail = failed((await road.send(networks=())).outcome, Cause.BLOCKED_ADDRESS, sent=False)
        assert road.receiver.connections == 0
    assert detail.endswith("; allow_networks opens it")


async def test_connections_are_not_shared_between_networks(ca: trustme.CA, ca_path: str) -> None:
    async with open_road(ca, ca_path) as road:
        answered((await road.send()).outcome)
        failed((await road.send(networks=())).outcome, Cause.BLOCKED_ADDRESS, sent=False)
        assert road.receiver.connections == 1


async def test_a_name_is_looked_up_once_for_a_connection(ca: trustme.CA, ca_path: str) -> None:
    answers = iter([("127.0.0.1",)])
    async with (
        open_road(ca, ca_path) as road,
        open_httpcore_sender(TcpConnector(lambda _: next(answers))) as sender,
    ):
        road.sender = sender
        for _ in range(3):
            answered((await road.send()).outcome)


# --------------------------------------------------------------------------- clients


async def test_idle_connections_are_closed_without_further_requests(
    ca: trustme.CA, ca_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpcore_sender, "IDLE_SECONDS", 0.1)
    async with open_road(ca, ca_path) as road:
        answered((await road.send()).outcome)
        with trio.fail_after(PATIENCE_S):
            await road.receiver.gone.wait()
        assert not road.sender._clients


async def test_an_old_client_is_given_up_when_its_attempts_have_ended(
    ca: trustme.CA, ca_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpcore_sender, "LIFE_SECONDS", 0)
    go_on = trio.Event()

    async def behaviour(exchange: Exchange) -> None:
        await exchange.whole.wait()
        if exchange.connection.number == 1:
            await go_on.wait()
        await exchange.respond(200)

    async with open_road(ca, ca_path, behaviour) as road:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(road.send)
            await trio.testing.wait_all_tasks_blocked(0.05)
            answered((await road.send()).outcome)
            assert road.receiver.connections == 2
            assert not road.receiver.gone.is_set()
            go_on.set()
        with trio.fail_after(PATIENCE_S):
            await road.receiver.gone.wait()


async def test_no_more_clients_are_kept_than_allowed(
    ca: trustme.CA, ca_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpcore_sender, "KEPT", 2)
    async with open_road(ca, ca_path) as road:
        for number in range(5):
            request = request_to(road.receiver.url(host=f"h{number}.example"), tls=road.tls, http2=True)
            failed((await road.sender.send(request, PATIENCE_S)).outcome, Cause.TLS, sent=False)
        assert len(road.sender._clients) == 2


async def test_a_failed_attempt_leaves_no_slot_behind(ca: trustme.CA, ca_path: str) -> None:
    """The slots that httpcore keeps of tunnels whose TLS failed are thrown away with their client."""
    async with open_road(ca, ca_path) as road, open_proxy() as relay:
        road.proxy, road.tls = parse_proxy(relay.url), Tls()
        for _ in range(5):
            failed((await road.send()).outcome, Cause.TLS, sent=False)
        (client,) = road.sender._clients.values()
        assert len(client.pool.connections) <= 1
        assert not client.backend._open
