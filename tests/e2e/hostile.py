"""Receivers that do what receivers must not do, a fleet of a thousand, and a machine whose clock and names lie.

The scripts run on trio in a thread of their own, so that a test may wait for a daemon in the ordinary way.
"""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
import zlib
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import trio

from tests.delivery.receivers import OK, Caller, Receiver, open_receiver

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    Manner: TypeAlias = Callable[[Caller], Awaitable[None]]

#: A `hookd` whose clock and resolver a test can turn: see `strange.py`.
STRANGE = (sys.executable, str(Path(__file__).with_name("strange.py")))

MEBIBYTE = 1024 * 1024


class Street:
    """One receiver for each manner, each on a port of its own; `[name]` gives it."""

    def __init__(self, manners: Mapping[str, Manner], tls: Mapping[str, ssl.SSLContext] | None = None) -> None:
        self._receivers: dict[str, Receiver] = {}
        self._open = threading.Event()
        self._closing = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._serve, manners, tls or {}), daemon=True)
        self._thread.start()
        assert self._open.wait(10)

    def __getitem__(self, name: str) -> Receiver:
        return self._receivers[name]

    async def _serve(self, manners: Mapping[str, Manner], tls: Mapping[str, ssl.SSLContext]) -> None:
        async with AsyncExitStack() as opened:
            for name, manner in manners.items():
                opening = open_receiver(partial(_survive, manner), tls.get(name))
                self._receivers[name] = await opened.enter_async_context(opening)
            self._token = trio.lowlevel.current_trio_token()
            self._open.set()
            await self._closing.wait()

    def close(self) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._closing.set)
        self._thread.join()


async def _survive(manner: Manner, caller: Caller) -> None:
    """Whatever a script runs into when the daemon hangs up, the others go on."""
    try:
        await manner(caller)
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
        return


# --------------------------------------------------------------------------- manners


async def hang(caller: Caller) -> None:
    """Take what comes and say nothing."""
    while await caller.stream.receive_some(65536):
        pass


async def ignore(caller: Caller) -> None:
    """Do not even read."""
    del caller
    await trio.sleep_forever()


def say(*parts: bytes, then: Literal["close", "reset", "wait", "ignore"] = "close", read: bool = True) -> Manner:
    """Answer one request with these bytes, and then close, reset, wait for the other side to close, or look away."""

    async def manner(caller: Caller) -> None:
        if read:
            await caller.read()
        for part in parts:
            await caller.write(part)
        if then == "reset":
            if not read:
                await caller.asked()  # before that, it would be no connection
            await caller.picked_up()
            await caller.reset()
        elif then == "wait":
            await hang(caller)
        elif then == "ignore":
            await ignore(caller)

    return manner


def drip(start: bytes, drop: bytes, every_s: float) -> Manner:
    """Answer one request with a start, and then drop by drop without an end."""

    async def manner(caller: Caller) -> None:
        await caller.read()
        await caller.write(start)
        for at in range(1_000_000):
            await trio.sleep(every_s)
            await caller.write(drop[at % len(drop) :][:1] if len(drop) > 1 else drop)

    return manner


def repeat(start: bytes, part: bytes, every_s: float = 0.0) -> Manner:
    """Answer one request with a start, and then the same part again and again, as fast as it is taken."""

    async def manner(caller: Caller) -> None:
        await caller.read()
        await caller.write(start)
        while True:
            await trio.sleep(every_s)
            await caller.write(part)

    return manner


async def keep_then_close(caller: Caller) -> None:
    """Answer the first request of a connection, and close when a second one comes: its answer is lost."""
    await caller.read()
    await caller.write(OK)
    await caller.read_head()


def poison(asked: threading.Event) -> Manner:
    """Say 200 once, and when asked once more without a request; whoever comes over a fresh connection gets 409."""

    async def manner(caller: Caller) -> None:
        if caller.number > 1:
            while await caller.read() is not None:
                await caller.write(answer(409))
            return
        await caller.read()
        await caller.write(OK)
        while not asked.is_set():  # noqa: ASYNC110  an event of threads, not of trio
            await trio.sleep(0.01)
        await caller.write(OK)
        caller.receiver.poisoned = True  # type: ignore[attr-defined]
        await hang(caller)

    return manner


def answer(status: int, headers: bytes = b"", body: bytes = b"no") -> bytes:
    """Give a plain response; `headers` are lines with their ends."""
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def gzip_bomb(size: int = 50 * MEBIBYTE) -> bytes:
    """Give a response of some 50 kB that a client which decompresses would blow up to `size` bytes."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(press.compress(bytes(MEBIBYTE)) for _ in range(size // MEBIBYTE)) + press.flush()
    return answer(200, b"content-encoding: gzip\r\n", body)


@contextmanager
def full_listener() -> Iterator[int]:
    """Give the port of a listener on which no connection comes about: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(silent.getsockname())
        yield silent.getsockname()[1]
        for filler in fillers:
            filler.close()


# --------------------------------------------------------------------------- a fleet


@dataclass(frozen=True)
class Seen:
    """A request that the fleet got whole, and what it answered; status 0: nothing, on purpose."""

    host: str
    path: str
    delivery: str
    body: bytes
    status: int
    at: float


@dataclass
class Fleet:
    """Many endpoints behind one port of all loopback addresses; `decide` says what each request gets.

    It gives a status, 0 to close without an answer, or -1 to leave it hanging until the daemon gives up; and how many
    seconds to take for it.
    """

    decide: Callable[[str, str, str, bytes], tuple[int, float]]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    peak: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._now = 0
        self._news = threading.Condition()
        self._open = threading.Event()
        self._closing = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._serve,), daemon=True)
        self._thread.start()
        assert self._open.wait(10)

    async def _serve(self) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="0.0.0.0", backlog=4096)
        self.port = listener.socket.getsockname()[1]
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._talk, [listener])
            self._open.set()
            await self._closing.wait()
            nursery.cancel_scope.cancel()

    async def _talk(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            left = b""
            while True:
                while b"\r\n\r\n" not in left:
                    if not (data := await stream.receive_some(65536)):
                        return
                    left += data
                head, _, left = left.partition(b"\r\n\r\n")
                first, *rest = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in rest)
                while len(left) < int(headers["content-length"]):
                    if not (data := await stream.receive_some(65536)):
                        return
                    left += data
                body, left = left[: int(headers["content-length"])], left[int(headers["content-length"]) :]
                status = await self._judge(headers["host"], first.split(" ")[1], headers["webhook-id"], body)
                if status < 0:
                    await hang_up(stream)
                if status <= 0:
                    return
                await stream.send_all(answer(status, body=b""))
        except (OSError, trio.BrokenResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    async def _judge(self, host: str, path: str, delivery: str, body: bytes) -> int:
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            status, wait_s = self.decide(host, path, delivery, body)
            # Noted before it is answered: what a daemon has heard, the fleet has noted.
            with self._news:
                self.seen.append(Seen(host, path, delivery, body, status, time.monotonic()))
                self._news.notify_all()
            if wait_s:
                await trio.sleep(wait_s)
        finally:
            self._now -= 1
        return status

    def wait(self, done: Callable[[list[Seen]], bool], timeout: float = 30.0) -> None:
        """Wait until `done` says so of what was seen."""
        with self._news:
            assert self._news.wait_for(lambda: done(self.seen), timeout), f"{len(self.seen)} requests were seen"

    def wait_count(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many requests were seen."""
        self.wait(lambda seen: len(seen) >= count, timeout)

    def close(self) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._closing.set)
        self._thread.join()


async def hang_up(stream: trio.SocketStream) -> None:
    """Wait for the other side to close."""
    while await stream.receive_some(65536):
        pass


# --------------------------------------------------------------------------- what the system knows of a process


def resident_bytes(pid: int) -> int:
    """Give the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def open_sockets(pid: int) -> int:
    """Give how many sockets a process holds."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


class Peak:
    """The most resident memory that a process was seen with, looked at every 20 ms."""

    def __init__(self, pid: int) -> None:
        self.bytes = resident_bytes(pid)
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, resident_bytes(self._pid))

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self.bytes


def until(done: Callable[[], object], what: str, timeout: float = 30.0, pause: float = 0.02) -> None:
    """Wait until something is so that nobody tells of, looking after each pause."""
    deadline = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(pause)


def chance_of(seed: int) -> random.Random:
    """Give dice that fall the same in every run."""
    return random.Random(seed)


def attempts_of(lines: Iterable[dict[str, Any]], webhook: str) -> list[dict[str, Any]]:
    """Give the canonical lines of a webhook's attempts."""
    return [line for line in lines if line["msg"] == "delivery.attempted" and line["webhook"] == webhook]
