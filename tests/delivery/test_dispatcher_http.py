"""The dispatcher with the real sender: requests over real sockets to a receiver that verifies them."""

from __future__ import annotations

import json
import os
from ipaddress import ip_network

import trio
from standardwebhooks import Webhook as Verifier

from hookd.core.config import BearerAuth, RetryPolicy, Sign
from hookd.core.model import Cause
from hookd.core.signing import generate_secret
from hookd.delivery.http1 import open_sender
from tests.delivery.stage import make_event, make_webhook, open_stage

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Receiver:
    """A plain HTTP/1.1 receiver. State: the requests it got, as (headers, body)."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                chunk = await stream.receive_some()
                if not chunk:
                    return
                buffer += chunk
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers["content-length"])
            while len(buffer) < length:
                buffer += await stream.receive_some()
            self.got.append((headers, buffer[:length]))
            buffer = buffer[length:]
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            await stream.send_all(b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n\r\nok" % status)


async def test_requests_arrive_signed_and_whole() -> None:
    secret = generate_secret(os.urandom(32))
    receiver = Receiver([500, 200])
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, receiver.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        webhook = make_webhook(
            url=f"http://127.0.0.1:{port}/hooks",
            allow_networks=LOOPBACK,
            sign=Sign(secrets=(secret,)),
            auth=BearerAuth(token="t0ken"),
            retry=RetryPolicy(schedule=(0.01,), jitter=0.0),
        )
        async with open_sender() as sender, open_stage(webhook, sender=sender, wall=True) as stage:
            await stage.accept(*(make_event(n) for n in range(50)))
            with trio.fail_after(10):
                await stage.told(51)
        nursery.cancel_scope.cancel()
    assert len(receiver.got) == 51
    for headers, body in receiver.got:
        Verifier(secret).verify(body, headers)
        assert headers["authorization"] == "Bearer t0ken"
    assert {json.loads(body)["data"]["n"] for _, body in receiver.got} == set(range(50))
    outcomes = [line["outcome"] for line in stage.lines]
    assert (outcomes.count("rejected"), outcomes.count("delivered")) == (1, 50)


async def test_a_blocked_address_is_not_sent_to() -> None:
    receiver = Receiver([200])
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, receiver.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with (
            open_sender() as sender,
            open_stage(make_webhook(url=f"http://127.0.0.1:{port}/?key=1"), sender=sender, wall=True) as stage,
        ):
            await stage.accept(make_event())
            with trio.fail_after(10):
                await stage.told(1)
        nursery.cancel_scope.cancel()
    assert receiver.got == []
    assert (stage.lines[0]["outcome"], stage.lines[0]["cause"]) == ("not_sent", Cause.BLOCKED_ADDRESS)
    assert stage.lines[0]["url"] == f"http://127.0.0.1:{port}/"
