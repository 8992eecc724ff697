"""The server on real sockets: deadlines, limits, order, and how it stops."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
import trio
import trio.lowlevel
import trio.testing

from hookd.web.limits import HttpLimits
from hookd.web.messages import Response
from hookd.web.problem import problem
from hookd.web.server import serve_http
from hookd.web.sockets import open_unix_listener
from tests.stopwatch import Stopwatch
from tests.web.conftest import read_all, read_reply, reset, split_replies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hookd.web.messages import Request
    from hookd.web.sockets import Peer
    from tests.web.conftest import Serve

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
QUICK = HttpLimits(header_deadline=0.3, body_deadline=0.3, reply_deadline=0.3, keep_alive=0.3)


async def echo(request: Request) -> Response:
    return Response(200, ((b"x-path", request.raw_path),), request.body)


async def test_a_foreign_client_is_answered_over_one_connection(serve: Serve) -> None:
    clients: set[str] = set()

    async def answer(request: Request) -> Response:
        clients.add(request.client)
        return await echo(request)

    served = await serve(answer)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        for number in range(20):
            body = os.urandom(number * 5000)
            reply = await client.post("/p", content=body)
            assert (reply.status_code, reply.content) == (200, body)
        head = await client.head("/p")
        assert (head.status_code, head.content) == (200, b"")
        chunked = await client.post("/p", content=_pieces())
        assert chunked.content == b"onetwo"
    assert len(clients) == 1


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def test_a_unix_socket_says_who_asks(serve: Serve, tmp_path: Path) -> None:
    peers: list[Peer | None] = []

    async def answer(request: Request) -> Response:
        peers.append(request.peer)
        return Response(204)

    await serve(answer, unix=tmp_path / "h.sock")
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "h.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://hookd") as client:
        assert (await client.get("/")).status_code == 204
    [peer] = peers
    assert peer is not None
    assert (peer.uid, peer.pid) == (os.getuid(), os.getpid())


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    async def answer(request: Request) -> Response:
        await trio.sleep(0.002 if request.raw_path.endswith(b"7") else 0)  # some take longer than those after them
        return await echo(request)

    served = await serve(answer)
    replies = await served.talk(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(300)))
    assert [reply.headers["x-path"] for reply in replies] == [f"/{number}" for number in range(300)]


async def test_100_continue_is_said_when_it_is_waited_for(serve: Serve) -> None:
    served = await serve(echo)
    async with await served.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"abc")
        assert (await read_reply(stream)).body == b"abc"


async def test_a_body_that_is_too_large_is_refused_before_it_comes(serve: Serve) -> None:
    served = await serve(echo, HttpLimits(body_bytes=10))
    async with await served.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        reply = await read_reply(stream)
    assert (reply.status, reply.headers["connection"]) == (413, "close")


async def test_a_head_request_that_is_refused_gets_no_body(serve: Serve) -> None:
    served = await serve(echo, admit=lambda _request: problem(404, "there is nothing here"))
    async with await served.connect() as stream:
        await stream.send_all(GET.replace(b"GET", b"HEAD"))
        raw = await read_all(stream)
    assert raw.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert raw.endswith(b"\r\nconnection: close\r\n\r\n")


async def test_a_client_that_writes_on_can_read_why_it_was_refused(serve: Serve) -> None:
    served = await serve(echo, HttpLimits(body_bytes=10))
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"http://127.0.0.1:{served.port}/", content=b"x" * 4_000_000)
    assert reply.status_code == 413
    assert (reply.json()["title"], reply.json()["code"]) == ("Content Too Large", "too_large")


async def test_a_handler_that_raises_is_a_500_without_detail(serve: Serve) -> None:
    async def answer(request: Request) -> Response:
        raise RuntimeError("the secret is " + request.body.decode())

    served = await serve(answer)
    with structlog.testing.capture_logs() as lines:
        [reply] = await served.talk(POST + b"abc" + GET)
    assert (reply.status, reply.headers["connection"]) == (500, "close")
    assert b"secret" not in reply.body
    [line] = [line for line in lines if line["event"] == "http.failed"]
    assert line["log_level"] == "error"
    assert "abc" not in str({key: value for key, value in line.items() if key != "exc_info"})


async def test_a_response_that_cannot_be_said_is_a_500(serve: Serve) -> None:
    async def answer(_request: Request) -> Response:
        return Response(200, ((b"x", b"a\r\nset-cookie: b"),))

    served = await serve(answer)
    with structlog.testing.capture_logs():
        [reply] = await served.talk(GET)
    assert reply.status == 500
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", None),  # it never says anything
        (b"GET / HTTP/1.1\r\nHos", 408),
        (POST + b"a", 408),
        (GET, 200),  # it never says anything more
        (GET + b"GET ", 200),
        (b"\r\n\r\n", None),
    ],
)
async def test_who_says_too_little_is_not_waited_for(serve: Serve, said: bytes, status: int | None) -> None:
    served = await serve(echo, QUICK)
    async with await served.connect() as stream:
        await stream.send_all(said)
        with trio.fail_after(5):
            replies = split_replies(await read_all(stream))
    assert [reply.status for reply in replies][:1] == ([] if status is None else [status])
    if replies and replies[-1].status == 408:
        assert replies[-1].headers["connection"] == "close"


@pytest.mark.parametrize("dripped", [b"X-Drip: " + b"a" * 1000, b"\r\n" * 1000])
async def test_a_head_that_drips_ends_at_its_deadline(serve: Serve, dripped: bytes) -> None:
    served = await serve(echo, replace(QUICK, header_deadline=0.2))
    began, watch = trio.current_time(), Stopwatch()
    async with await served.connect() as stream:
        await stream.send_all(b"\r\n" if dripped.startswith(b"\r") else b"GET / HTTP/1.1\r\nHost: h\r\n")
        with trio.fail_after(5):
            while True:
                try:
                    await stream.send_all(dripped[:1])
                    dripped = dripped[1:]
                    with trio.move_on_after(0.02):
                        await stream.receive_some()
                        break
                except trio.BrokenResourceError:
                    break
        assert trio.current_time() - began > 0.15
        assert watch.seconds() < 3


async def test_a_body_that_keeps_its_rate_may_take_longer(serve: Serve) -> None:
    served = await serve(echo, HttpLimits(body_deadline=0.6, body_rate=500.0))
    body = b"b" * 1000
    async with await served.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
        began = trio.current_time()
        for start in range(0, 1000, 100):
            await stream.send_all(body[start : start + 100])
            await trio.sleep(0.1)  # twice its rate
        assert (await read_reply(stream)).body == body
        assert trio.current_time() - began > 0.9


async def test_a_handler_that_takes_too_long_is_told_so(serve: Serve) -> None:
    async def answer(_request: Request) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    served = await serve(answer, QUICK)
    async with await served.connect() as stream:
        await stream.send_all(GET)
        with trio.fail_after(5):
            [reply] = split_replies(await read_all(stream))
    assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "5", "close")


LARGE = b"x" * 16_000_000  # more than the kernel takes for a client that does not read


async def give_much(request: Request) -> Response:
    return Response(200, body=LARGE if request.raw_path == b"/large" else b"small")


async def test_a_client_that_does_not_read_delays_nobody(serve: Serve) -> None:
    served = await serve(give_much)
    async with await served.connect() as lazy:
        await lazy.send_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await lazy.receive_some(100)
        assert (await served.talk(GET))[0].body == b"small"
        await lazy.send_eof()
        assert (await _read_until_broken(lazy)).endswith(b"x" * 1000)  # it may still have it all


async def test_a_client_that_does_not_read_is_given_up(serve: Serve) -> None:
    served = await serve(give_much, replace(QUICK, reply_deadline=0.2))
    async with await served.connect() as lazy:
        await lazy.send_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await lazy.receive_some(100)
        served.stopping.set()
        with trio.fail_after(5):
            await served.ended.wait()
        assert len(await _read_until_broken(lazy)) < len(LARGE)


async def _read_until_broken(stream: trio.SocketStream) -> bytes:
    got = bytearray()
    try:
        async for part in stream:
            got += part
    except trio.BrokenResourceError:
        pass
    return bytes(got)


async def test_connections_over_the_limit_are_told_so(serve: Serve) -> None:
    served = await serve(echo, HttpLimits(connections=2))
    async with await served.connect() as one, await served.connect() as two:
        for stream in (one, two):
            await stream.send_all(GET)
            assert (await read_reply(stream)).status == 200
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                [reply] = await served.talk(GET)
                assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert [line["event"] for line in lines] == ["connection.refused"]  # once, not for each
        await one.send_all(GET)
        assert (await read_reply(one)).status == 200
    with trio.fail_after(5):  # and there is room again
        while (await served.talk(GET))[0].status != 200:
            await trio.lowlevel.checkpoint()


async def test_a_client_that_breaks_harms_nobody(serve: Serve) -> None:
    served = await serve(echo)
    for said in (b"", b"GET /", POST + b"a", GET, GET * 100):
        stream = await served.connect()
        await stream.send_all(said)
        reset(stream)
    assert (await served.talk(GET))[0].status == 200


async def test_stopping_answers_what_is_being_handled_and_ends_the_rest(serve: Serve) -> None:
    entered, leave = trio.Event(), trio.Event()

    async def answer(request: Request) -> Response:
        if request.raw_path == b"/slow":
            entered.set()
            await leave.wait()
        return await echo(request)

    served = await serve(answer)
    async with (
        await served.connect() as idle,
        await served.connect() as used,
        await served.connect() as half,
        await served.connect() as busy,
    ):
        await used.send_all(GET)
        await read_reply(used)
        await half.send_all(POST + b"a")
        await busy.send_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n")
        await entered.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)  # what was sent is read: it is in the server's socket buffer
        served.stopping.set()
        with trio.fail_after(5):
            assert await read_all(idle) == b""
            assert await read_all(used) == b""
            [refused] = split_replies(await read_all(half))
            assert (refused.status, refused.headers["connection"]) == (503, "close")
            with pytest.raises(OSError, match="connect"):
                await served.connect()
            assert not served.ended.is_set()
            leave.set()
            [answered] = split_replies(await read_all(busy))
            assert (answered.status, answered.headers["x-path"]) == (200, "/slow")
            assert answered.headers["connection"] == "close"
            for stream in (idle, used, half, busy):
                await stream.aclose()
            await served.ended.wait()


async def test_a_cancelled_server_closes_everything(tmp_path: Path) -> None:
    path = str(tmp_path / "h.sock")
    listener = open_unix_listener(path, 0o600)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_http(echo, [listener], stopping=trio.Event(), task_status=task_status)

        await nursery.start(run)
        stream = await trio.open_unix_socket(path)
        await stream.send_all(GET)
        await read_reply(stream)
        nursery.cancel_scope.cancel()
    assert listener.socket.fileno() == -1
    assert await stream.receive_some() == b""
    await stream.aclose()
