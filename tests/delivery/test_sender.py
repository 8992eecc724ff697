"""The sender against receivers that behave and receivers that do not: outcome, deadline, and nothing left behind."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from hookd import __version__
from hookd.core.addresses import parse_target
from hookd.core.model import Cause, NoResponse, Response
from hookd.delivery import attempt, http1
from hookd.delivery.http1 import open_sender
from hookd.delivery.sender import Head
from tests.delivery.receivers import OK, PATIENCE_S, answering, behave, open_receiver, request_to
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hookd.core.model import Outcome
    from hookd.delivery.http1 import HttpSender
    from hookd.delivery.sender import Request
    from tests.delivery.receivers import Caller, Script

SECRET = "s3cr3tcanary"


@pytest.fixture
async def sender() -> AsyncGenerator[HttpSender]:
    before = open_sockets()
    async with open_sender() as sender:
        yield sender
        assert not sender._watched
    assert open_sockets() == before, "a connection was left open"


def open_sockets() -> set[str]:
    """Give the sockets of this process, by their inodes."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that the listing itself used
            found.add(str(link.readlink()))
    return {each for each in found if each.startswith("socket:")}


async def outcome_of(sender: HttpSender, script: Script, *, limit: float = PATIENCE_S, body: bytes = b"{}") -> Outcome:
    with trio.fail_after(limit + PATIENCE_S):
        async with open_receiver(script) as receiver:
            return (await sender.send(request_to(receiver.url(), body=body), limit)).outcome


def failed(outcome: Outcome, cause: Cause, *, sent: bool) -> str:
    assert isinstance(outcome, NoResponse), outcome
    assert (outcome.cause, outcome.sent) == (cause, sent)
    return outcome.detail


def answered(outcome: Outcome) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


# --------------------------------------------------------------------------- what behaves


async def test_a_request_arrives_as_it_was_made(sender: HttpSender) -> None:
    async with open_receiver() as receiver:
        request = request_to(receiver.url("/hooks?a=1"), body=b'{"n":1E2}', headers=(("webhook-id", "dlv_1"),))
        sent = await sender.send(request, PATIENCE_S)
    assert answered(sent.outcome) == Response(status=200, headers=(("content-length", "2"),), body=b"ok")
    assert receiver.requests == [
        (
            f"POST /hooks?a=1 HTTP/1.1\r\nhost: 127.0.0.1:{receiver.port}\r\nuser-agent: hookd/{__version__}\r\n"
            "accept-encoding: identity\r\ncontent-type: application/json\r\ncontent-length: 9\r\n"
            'webhook-id: dlv_1\r\n\r\n{"n":1E2}'
        ).encode()
    ]
    assert 0 < sent.duration_ms < PATIENCE_S * 1000
    assert sent.phases.dns_ms is None
    assert sent.phases.connect_ms is not None
    assert sent.phases.wait_ms is not None


async def test_connections_are_kept_alive(sender: HttpSender) -> None:
    async with open_receiver() as receiver:
        phases = [(await sender.send(request_to(receiver.url()), PATIENCE_S)).phases for _ in range(20)]
        assert (receiver.connections, len(receiver.requests)) == (1, 20)
        assert [each.connect_ms is None for each in phases] == [False, *[True] * 19]

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(sender.send, request_to(receiver.url()), PATIENCE_S)
        assert (len(receiver.requests), len(sender._pool)) == (120, receiver.connections)
        before = receiver.connections
        async with trio.open_nursery() as nursery:
            for _ in range(before):
                nursery.start_soon(sender.send, request_to(receiver.url()), PATIENCE_S)
        assert receiver.connections == before


async def test_connections_are_not_shared_between_networks(sender: HttpSender) -> None:
    async with open_receiver() as receiver:
        await sender.send(request_to(receiver.url()), PATIENCE_S)
        await sender.send(request_to(receiver.url(), networks=(ip_network("127.0.0.1/32"),)), PATIENCE_S)
        blocked = await sender.send(request_to(receiver.url(), networks=()), PATIENCE_S)
        assert receiver.connections == 2
    failed(blocked.outcome, Cause.BLOCKED_ADDRESS, sent=False)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 8_000_000])
async def test_bodies_of_any_size_arrive(sender: HttpSender, size: int) -> None:
    async with open_receiver() as receiver:
        body = os.urandom(size)
        for _ in range(2):
            answered((await sender.send(request_to(receiver.url(), body=body), PATIENCE_S)).outcome)
    assert [each.partition(b"\r\n\r\n")[2] == body for each in receiver.requests] == [True, True]
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n\r\ngarbage",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_that_is_not_fit_is_not_used_again(sender: HttpSender, reply: bytes) -> None:
    async with open_receiver(answering(reply, close=False)) as receiver:
        for _ in range(2):
            response = answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
            assert (response.status, response.body) == (200, b"ok")
        assert receiver.connections == 2


async def test_a_redirect_is_not_followed(sender: HttpSender) -> None:
    async with open_receiver() as other:
        reply = f"HTTP/1.1 307 Go\r\nlocation: {other.url()}\r\ncontent-length: 0\r\n\r\n".encode()
        response = answered(await outcome_of(sender, answering(reply)))
        assert response.status == 307
        assert dict(response.headers)["location"] == other.url()
        assert other.connections == 0


async def test_a_bomb_is_not_opened(sender: HttpSender) -> None:
    bomb = b"\x1f\x8b" + bytes(1_000_000)
    reply = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    response = answered(await outcome_of(sender, answering(reply, bomb)))
    assert response.body == bomb[: 64 * 1024]
    assert response.truncated


# --------------------------------------------------------------------------- what hangs


async def test_no_status_line(sender: HttpSender) -> None:
    began, watch = time.perf_counter(), Stopwatch()
    detail = failed(await outcome_of(sender, answering(close=False), limit=1), Cause.TIMEOUT, sent=True)
    assert detail == "no response within 1 s"
    assert time.perf_counter() - began >= 1
    assert watch.seconds() < 3


async def drip_headers(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await caller.write(b"x: y\r\n")
        await trio.sleep(0.02)


async def test_headers_that_drip(sender: HttpSender) -> None:
    detail = failed(await outcome_of(sender, drip_headers, limit=1), Cause.TIMEOUT, sent=True)
    assert detail == "the head of the response did not end within 1 s"


def dripping(status: int) -> Script:
    async def script(caller: Caller) -> None:
        await caller.read()
        await caller.write(b"HTTP/1.1 %d X\r\ncontent-length: 1000\r\n\r\n" % status)
        while True:
            await caller.write(b".")
            await trio.sleep(0.02)

    return script


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_drips_does_not_undo_the_status(sender: HttpSender, status: int) -> None:
    response = answered(await outcome_of(sender, dripping(status), limit=1))
    assert (response.status, response.truncated) == (status, True)
    assert response.body.startswith(b"..")


async def test_the_body_of_a_success_gets_little_time(sender: HttpSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "BODY_GRACE", 0.2)
    began, watch = time.perf_counter(), Stopwatch()
    assert answered(await outcome_of(sender, dripping(200), limit=30)).truncated
    assert watch.seconds() < 2
    # That of a failure may take what is left: its text is what a person reads.
    began = time.perf_counter()
    assert answered(await outcome_of(sender, dripping(500), limit=2)).truncated
    assert time.perf_counter() - began > 0.7


async def endless(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await caller.write(b"a" * 65536)


async def test_an_endless_body_is_cut_and_the_connection_closed(sender: HttpSender) -> None:
    async with open_receiver(endless) as receiver:
        response = answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        await receiver.gone.wait()
        assert receiver.written < 16 * 1024 * 1024
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


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (endless_continue, "more than 8 interim responses"),
        (endless_headers, "the response head is larger than 64 KiB"),
        (answering(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000), "the response head is larger than 64 KiB"),
        (answering(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), "101 is not a status that answers a request"),
        (answering(b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n"), "0 is not a status that answers a request"),
        (answering(b"HTTP/1.1 600 X\r\ncontent-length: 0\r\n\r\n"), "600 is not a status that answers a request"),
        (answering(b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n"), "999 is not a status that answers a request"),
        (answering(b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n"), "Invalid status code"),
        (answering(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "Expected HTTP/, RTSP/ or ICE/"),
        (answering(b"HTTP/1.1 200 OK\r\n\x00\x01: x\r\n\r\n"), "Invalid header token"),
    ],
)
async def test_what_is_no_response(sender: HttpSender, script: Script, detail: str) -> None:
    assert failed(await outcome_of(sender, script), Cause.RESPONSE_MALFORMED, sent=True) == detail


# --------------------------------------------------------------------------- what closes


async def close_at_once(_: Caller) -> None:
    return


async def reset_at_once(caller: Caller) -> None:
    await caller.reset()


async def reset_after_the_request(caller: Caller) -> None:
    await caller.read()
    await caller.reset()


async def reset_inside_the_head(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"H")
    await caller.picked_up()
    await caller.reset()


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (close_at_once, None),
        (reset_at_once, None),
        (answering(), "the connection was closed before a response"),
        (answering(b"HTTP/1.1 2"), "the connection was closed inside the head of the response"),
        (answering(b"HTTP/1.1 100 Continue\r\n\r\n"), "the connection was closed inside the head of the response"),
        (reset_after_the_request, "connection reset by peer before a response"),
        (reset_inside_the_head, "connection reset by peer inside the head of the response"),
    ],
)
async def test_a_connection_that_closes_before_a_status(sender: HttpSender, script: Script, detail: str | None) -> None:
    outcome = await outcome_of(sender, script)
    assert isinstance(outcome, NoResponse)
    assert outcome.cause is Cause.RESET
    assert detail is None or (outcome.detail, outcome.sent) == (detail, True)


async def reset_inside_the_body(caller: Caller) -> None:
    await caller.read()
    await caller.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
    await caller.picked_up()
    await caller.reset()


@pytest.mark.parametrize(
    "script", [answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), reset_inside_the_body]
)
async def test_a_body_that_is_cut_does_not_undo_the_status(sender: HttpSender, script: Script) -> None:
    assert answered(await outcome_of(sender, script)) == Response(
        status=200, headers=(("content-length", "9"),), body=b"ab", truncated=True
    )


async def refuse_and_close(caller: Caller) -> None:
    await caller.read_head()
    await caller.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")


async def refuse_and_hang(caller: Caller) -> None:
    await refuse_and_close(caller)
    await trio.sleep_forever()


@pytest.mark.parametrize("script", [refuse_and_close, refuse_and_hang])
async def test_an_answer_before_the_body_was_read_counts(sender: HttpSender, script: Script) -> None:
    response = answered(await outcome_of(sender, script, body=bytes(30_000_000)))
    assert (response.status, response.body) == (413, b"no")
    assert len(sender._pool) == 0


async def test_a_request_that_is_not_taken(sender: HttpSender) -> None:
    async def never_read(_: Caller) -> None:
        await trio.sleep_forever()

    detail = failed(await outcome_of(sender, never_read, limit=1, body=bytes(30_000_000)), Cause.TIMEOUT, sent=True)
    assert detail == "the request was not taken within 1 s"


# --------------------------------------------------------------------------- reused connections


def dying(*deaths: int, with_reset: bool = False) -> Script:
    """Answer all requests, but let the second one of the connections in `deaths` die."""

    async def script(caller: Caller) -> None:
        await caller.read()
        if 0 in deaths and caller.number > 1:
            return
        await caller.write(OK)
        if caller.number not in deaths:
            await behave(caller)
        else:
            await caller.read()
            if with_reset:
                await caller.reset()

    return script


@pytest.mark.parametrize("with_reset", [False, True])
async def test_a_reused_connection_that_dies_costs_nothing(sender: HttpSender, *, with_reset: bool) -> None:
    async with open_receiver(dying(1, with_reset=with_reset)) as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        sent = await sender.send(request_to(receiver.url()), PATIENCE_S)
        assert answered(sent.outcome).status == 200
        assert sent.phases.connect_ms is not None
        assert (receiver.connections, len(receiver.requests)) == (2, 3)


async def test_it_is_tried_again_only_once(sender: HttpSender) -> None:
    async with open_receiver(dying(0, 1)) as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        failed((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome, Cause.RESET, sent=True)
        assert (receiver.connections, len(receiver.requests)) == (2, 3)


async def test_a_fresh_connection_that_dies_is_not_tried_again(sender: HttpSender) -> None:
    async with open_receiver(answering()) as receiver:
        failed((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome, Cause.RESET, sent=True)
        assert (receiver.connections, len(receiver.requests)) == (1, 1)


async def test_a_reused_connection_that_has_begun_to_answer_is_not_tried_again(sender: HttpSender) -> None:
    async def script(caller: Caller) -> None:
        await caller.read()
        await caller.write(OK)
        await caller.read()
        await caller.write(b"H")

    async with open_receiver(script) as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        failed((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome, Cause.RESET, sent=True)
        assert receiver.connections == 1


async def test_what_was_sent_stays_sent_though_the_second_try_cannot_connect(sender: HttpSender) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"

    async def serve() -> None:
        stream = await listener.accept()
        await listener.aclose()
        await stream.receive_some(65536)
        await stream.send_all(OK)
        await stream.receive_some(65536)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        answered((await sender.send(request_to(url), PATIENCE_S)).outcome)
        failed((await sender.send(request_to(url), PATIENCE_S)).outcome, Cause.CONNECT_REFUSED, sent=True)


async def test_a_connection_that_closed_while_idle_is_not_tried(sender: HttpSender) -> None:
    async with open_receiver(answering(OK)) as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        await receiver.gone.wait()
        sent = await sender.send(request_to(receiver.url()), PATIENCE_S)
        assert answered(sent.outcome).status == 200
        assert (receiver.connections, len(receiver.requests)) == (2, 2)


async def test_idle_connections_are_closed_without_further_requests(
    sender: HttpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookd.delivery.pool.IDLE_SECONDS", 0.1)
    monkeypatch.setattr(http1, "IDLE_SECONDS", 0.1)
    async with open_receiver() as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)
        with trio.fail_after(PATIENCE_S):
            await receiver.gone.wait()
        assert (len(sender._pool), sender._pool.bays) == (0, 0)


# --------------------------------------------------------------------------- no connection


async def test_a_port_where_nobody_listens(sender: HttpSender) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # so that nobody else can listen there
        port = nobody.getsockname()[1]
        sent = await sender.send(request_to(f"http://127.0.0.1:{port}/?{SECRET}"), PATIENCE_S)
    detail = failed(sent.outcome, Cause.CONNECT_REFUSED, sent=False)
    assert detail == f"127.0.0.1:{port}: connection refused"


async def test_a_network_that_cannot_be_reached(sender: HttpSender) -> None:
    request = request_to("http://255.255.255.255/", networks=(ip_network("255.255.255.255/32"),))
    failed((await sender.send(request, PATIENCE_S)).outcome, Cause.CONNECT_FAILED, sent=False)


async def test_a_host_that_does_not_answer(sender: HttpSender) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):  # until its backlog is full and it lets a SYN drop
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/?{SECRET}"
        detail = failed((await sender.send(request_to(url), 0.3)).outcome, Cause.CONNECT_TIMEOUT, sent=False)
    assert detail == f"connecting to {parse_target(url).authority} did not end within 0.3 s"


# --------------------------------------------------------------------------- cancellation and bugs


async def test_cancelled_attempts_leave_nothing(sender: HttpSender) -> None:
    async with open_receiver(answering(close=False)) as receiver:
        for _ in range(3):
            with trio.move_on_after(0.1):
                async with trio.open_nursery() as nursery:
                    for _ in range(50):
                        nursery.start_soon(sender.send, request_to(receiver.url()), 30)
            assert not sender._watched
            assert len(sender._pool) == 0
    async with open_receiver() as receiver:
        answered((await sender.send(request_to(receiver.url()), PATIENCE_S)).outcome)


async def test_a_cancelled_attempt_gives_no_outcome(sender: HttpSender) -> None:
    came = trio.Event()
    outcomes: list[Outcome] = []

    async def hang(caller: Caller) -> None:
        await caller.read()
        came.set()
        await caller.read()

    async with open_receiver(hang) as receiver:

        async def send() -> None:
            outcomes.append((await sender.send(request_to(receiver.url()), 2 * PATIENCE_S)).outcome)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(PATIENCE_S):
                await came.wait()
            nursery.cancel_scope.cancel()
        assert outcomes == []
        with trio.fail_after(PATIENCE_S):
            await receiver.gone.wait()


async def test_a_header_that_would_be_two_is_not_sent(sender: HttpSender) -> None:
    async with open_receiver() as receiver:
        for value in ("a\r\nx: y", "a\nb", "a\rb", "a\x00b", "\u20ac"):
            request = request_to(receiver.url(), headers=(("traceparent", value),))
            failed((await sender.send(request, PATIENCE_S)).outcome, Cause.REQUEST_INVALID, sent=False)
        assert receiver.connections == 0


def test_a_head_refuses_a_header_that_would_be_two_without_quoting_it() -> None:
    with pytest.raises(ValueError, match="line break") as error:
        Head(method="POST", target=parse_target("http://a.example/"), headers=(("x", f"{SECRET}\r\ny: z"),))
    assert SECRET not in str(error.value)


def test_a_head_lets_a_user_name_the_agent() -> None:
    head = Head(method="PUT", target=parse_target("http://[::1]/x"), headers=(("User-Agent", "mine"),))
    assert head.prefix == b"PUT /x HTTP/1.1\r\nhost: [::1]\r\naccept-encoding: identity\r\nUser-Agent: mine\r\n"


def test_nothing_secret_is_shown_in_a_repr() -> None:
    head = Head(method="POST", target=parse_target(f"http://a.example/?{SECRET}"), headers=(("x-key", SECRET),))
    request: Request = request_to("http://a.example/", body=SECRET.encode(), headers=(("webhook-signature", SECRET),))
    assert SECRET not in repr(head) + repr(request)
