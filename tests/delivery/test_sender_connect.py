"""Connections: names, the addresses behind them, and that nothing is connected to a denied one."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from hookd.core.model import Cause, NoResponse, Response
from hookd.delivery.connect import TcpConnector, is_own
from hookd.delivery.http1 import open_sender
from hookd.delivery.lookup import Lookups, resolve_name
from hookd.delivery.sender import ConnectFailed
from tests.delivery.receivers import PATIENCE_S, open_receiver, request_to
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from hookd.core.model import Outcome

V4_LOOPBACK = (ip_network("127.0.0.0/8"),)


async def outcome_of(url: str, *addresses: str, networks: object = (), limit: float = PATIENCE_S) -> Outcome:
    assert isinstance(networks, tuple)
    async with open_sender(TcpConnector(lambda _: addresses)) as sender:
        return (await sender.send(request_to(url, networks=networks), limit)).outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "127.8.8.8", "[::]"])
async def test_a_denied_literal_is_not_connected_to(host: str) -> None:
    async with open_receiver() as receiver:
        outcome = await outcome_of(receiver.url(host=host))
        assert isinstance(outcome, NoResponse)
        assert (outcome.cause, outcome.sent) == (Cause.BLOCKED_ADDRESS, False)
        assert outcome.detail.endswith("; allow_networks opens it")
        assert receiver.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("::ffff:127.0.0.1",),
        ("::1", "127.0.0.1"),
        ("fe80::1%lo", "10.0.0.1", "127.0.0.1"),
        ("64:ff9b::7f00:1",),
        ("169.254.169.254",),
    ],
)
async def test_a_name_that_stands_for_a_denied_address_is_not_connected_to(addresses: tuple[str, ...]) -> None:
    async with open_receiver() as receiver:
        outcome = await outcome_of(receiver.url(host="public.example"), *addresses)
        assert isinstance(outcome, NoResponse)
        assert (outcome.cause, outcome.sent) == (Cause.BLOCKED_ADDRESS, False)
        assert receiver.connections == 0


async def test_denied_addresses_are_dropped_and_the_others_tried() -> None:
    async with open_receiver() as receiver:
        outcome = await outcome_of(
            receiver.url(host="mixed.example"), "10.0.0.1", "::1", "127.0.0.1", networks=V4_LOOPBACK
        )
        assert isinstance(outcome, Response)
        assert (receiver.connections, receiver.requests[0].count(b"host: mixed.example:")) == (1, 1)


async def test_a_name_that_changes_finds_nothing_to_change() -> None:
    answers = iter([("127.0.0.1",), ("10.0.0.1",)])
    asked: list[str] = []

    def resolve(host: str) -> tuple[str, ...]:
        asked.append(host)
        return next(answers)

    async with open_receiver() as receiver, open_sender(TcpConnector(resolve)) as sender:
        request = request_to(receiver.url(host="flip.example"), networks=V4_LOOPBACK)
        assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        assert asked == ["flip.example"]
        sender._pool.sweep(float("inf"))
        second = (await sender.send(request, PATIENCE_S)).outcome
        assert isinstance(second, NoResponse)
        assert second.cause is Cause.BLOCKED_ADDRESS
        assert receiver.connections == 1


async def test_the_next_address_is_tried_when_one_is_refused() -> None:
    async with open_receiver() as receiver:
        outcome = await outcome_of(receiver.url(host="two.example"), "127.0.0.9", "127.0.0.1", networks=V4_LOOPBACK)
        assert isinstance(outcome, Response)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with open_receiver() as receiver:
        with socket.create_server(("127.0.0.9", receiver.port), backlog=0) as silent:
            fillers = [socket.socket() for _ in range(8)]
            for filler in fillers:
                filler.settimeout(0)
                filler.connect_ex(silent.getsockname())
            outcome = await outcome_of(
                receiver.url(host="two.example"), "127.0.0.9", "127.0.0.1", networks=V4_LOOPBACK, limit=3
            )
            for filler in fillers:
                filler.close()
        assert isinstance(outcome, Response)


async def test_all_addresses_refused() -> None:
    with socket.socket() as nobody:
        nobody.bind(("0.0.0.0", 0))  # so that nobody else can listen there
        port = nobody.getsockname()[1]
        outcome = await outcome_of(
            f"http://x.example:{port}/", *(f"127.0.0.{n}" for n in range(1, 101)), networks=V4_LOOPBACK
        )
    assert isinstance(outcome, NoResponse)
    assert outcome.cause is Cause.CONNECT_REFUSED
    assert outcome.detail == f"127.0.0.1:{port}: connection refused (and 7 more addresses failed)"


def test_a_machine_knows_its_own_addresses() -> None:
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if probe.connect_ex(("192.0.2.1", 9)) == 0:  # this machine has a network
            assert is_own(probe.getsockname()[0])


async def test_a_public_address_of_this_machine_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # Loopback stands for it: without the table, only the question whose address it is stands in the way.
    monkeypatch.setattr("hookd.delivery.connect.denied", lambda *_: None)
    async with open_receiver() as receiver:
        outcome = await outcome_of(receiver.url())
        assert outcome == NoResponse(
            cause=Cause.BLOCKED_ADDRESS,
            detail="127.0.0.1 is this machine's own; allow_networks opens it",
            sent=False,
        )
        assert receiver.connections == 0
        assert isinstance(await outcome_of(receiver.url(), networks=V4_LOOPBACK), Response)


# --------------------------------------------------------------------------- look-ups


def test_the_system_resolver_is_asked() -> None:
    assert "127.0.0.1" in resolve_name("localhost")


async def test_a_name_that_does_not_resolve() -> None:
    def resolve(_: str) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with open_sender(TcpConnector(resolve)) as sender:
        sent = await sender.send(request_to("http://missing.example/?secret=1"), PATIENCE_S)
    assert sent.outcome == NoResponse(cause=Cause.DNS, detail="missing.example: name or service not known", sent=False)


async def test_a_name_without_addresses() -> None:
    outcome = await outcome_of("http://empty.example/")
    assert outcome == NoResponse(cause=Cause.DNS, detail="empty.example: the name has no address", sent=False)


class Hanging:
    """A resolver that hangs until it is let go, for hosts whose names begin with `hang`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        if host.startswith("hang"):
            self.go.wait(20)
        return ("127.0.0.1",)


async def test_a_look_up_that_hangs_ends_with_the_deadline_and_hinders_no_other() -> None:
    resolve = Hanging()
    async with open_receiver() as receiver, open_sender(TcpConnector(resolve)) as sender:
        outcomes: list[Outcome] = []

        async def send(host: str, limit: float) -> None:
            outcomes.append((await sender.send(request_to(receiver.url(host=host)), limit)).outcome)

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(send, f"hang{number}.example", 2.0)
            await trio.testing.wait_all_tasks_blocked()
            watch = Stopwatch()
            await send("fine.example", PATIENCE_S)
            assert watch.seconds() < 0.4
        resolve.go.set()
    assert isinstance(outcomes[0], Response)
    assert outcomes[1:] == [
        NoResponse(cause=Cause.DNS, detail=outcome.detail, sent=False)
        for outcome in outcomes[1:]
        if isinstance(outcome, NoResponse) and outcome.detail.endswith(".example did not end within 2 s")
    ]
    assert len(outcomes) == 41


async def test_one_host_is_looked_up_once_for_all_who_wait() -> None:
    resolve = Hanging()
    lookups = Lookups(resolve, capacity=1)
    got: list[tuple[str, ...]] = []

    async def ask(host: str) -> None:
        got.append(await lookups.addresses(host))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask, "hang.example")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, "next.example")
        await trio.testing.wait_all_tasks_blocked()
        assert "next.example" not in resolve.asked
        resolve.go.set()
    assert got == [("127.0.0.1",)] * 11
    assert resolve.asked == ["hang.example", "next.example"]
    assert not lookups._by_host


async def test_a_look_up_that_nobody_waits_for_is_not_started() -> None:
    resolve = Hanging()
    lookups = Lookups(resolve, capacity=1)
    with trio.move_on_after(0.1):
        async with trio.open_nursery() as nursery:
            for host in ("hang.example", "given.up.example"):
                nursery.start_soon(lookups.addresses, host)
                await trio.testing.wait_all_tasks_blocked()
    resolve.go.set()
    assert await lookups.addresses("wanted.example") == ("127.0.0.1",)
    assert resolve.asked == ["hang.example", "wanted.example"]


async def test_a_look_up_failure_reaches_everyone_who_waits() -> None:
    gate = threading.Event()

    def resolve(_: str) -> tuple[str, ...]:
        gate.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    lookups = Lookups(resolve)
    failures: list[str] = []

    async def ask() -> None:
        try:
            await lookups.addresses("x.example")
        except ConnectFailed as failure:
            failures.append(failure.detail)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert failures == ["x.example: temporary failure in name resolution"] * 3
