"""What the machine can do at best, measured beside us: the denominators of the ratios.

`loop`: trio streams and httptools, 64 connections, one request after another on each, nothing else.
`client`: one shared `httpx.AsyncClient` on trio, 64 tasks. `commit`: bare SQLite, WAL, synchronous=FULL, 100 rows a
transaction. The first two post the bytes that hookd posts, to the receiver that hookd posts to.
"""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

import apsw
import httptools
import httpx
import trio

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = 64


def build_request(port: int, body: bytes) -> bytes:
    """Give what hookd sends for a body, headers and all, unsigned."""
    return (
        f"POST /hook HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: hookd\r\naccept-encoding: identity\r\n"
        f"content-type: application/json\r\nwebhook-id: dlv_0123456789abcdef0123\r\nwebhook-timestamp: 1795278005\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def measure_loop(port: int, body: bytes, count: int) -> float:
    """Give requests per second of the bare loop."""
    request = build_request(port, body)

    class Answer:
        done = False

        def on_message_complete(self) -> None:
            self.done = True

    async def post(times: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            for _ in range(times):
                await stream.send_all(request)
                answer = Answer()
                parser = httptools.HttpResponseParser(answer)
                while not answer.done:
                    parser.feed_data(await stream.receive_some(65536))

    async def run() -> float:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(post, count // CONNECTIONS)
        return count / (time.perf_counter() - started)

    return trio.run(run)


def measure_client(port: int, body: bytes, count: int) -> float:
    """Give requests per second of one shared httpx client."""
    headers = {"content-type": "application/json"}

    async def post(client: httpx.AsyncClient, times: int) -> None:
        for _ in range(times):
            response = await client.post(f"http://127.0.0.1:{port}/hook", content=body, headers=headers)
            assert response.status_code == httpx.codes.OK

    async def run() -> float:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:
            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(CONNECTIONS):
                    nursery.start_soon(post, client, count // CONNECTIONS)
            return count / (time.perf_counter() - started)

    return trio.run(run)


def measure_commit(within: Path, body: bytes, count: int) -> float:
    """Give rows per second of bare SQLite with a commit per 100 rows, on the disk of `within`."""
    with tempfile.TemporaryDirectory(dir=within) as folder:
        connection = apsw.Connection(f"{folder}/bare.db")
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", 2)
        connection.execute("create table event (seq integer primary key, data blob) strict")
        insert = "insert into event (data) values " + ",".join(["(?)"] * 100)
        started = time.perf_counter()
        for _ in range(count // 100):
            with connection:
                connection.execute(insert, [body] * 100)
        rate = count / (time.perf_counter() - started)
        connection.close()
    return rate
