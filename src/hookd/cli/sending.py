"""One run of `hookd send`: the window of lines without a reply, and what was answered so far.

Rules of this module:

1. A line that got no reply (the daemon stopped, the connection broke) is sent again over the next connection, in the
   order of the input, until no reply has come for `wait_s` seconds. Its id makes that safe.
2. A reply is a whole line; one that was cut is none.
3. What is sent and not answered is bounded (`WINDOW_BYTES`): input of any length passes in flat memory.
4. Every reply is told at once for programs. For people: refusals (the first `MOST_TOLD`), and an accepted event if it
   was on the road alone, so that one event shows its id, and a slow stream answers line by line; the rest is counted.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import styled
from hookd.cli.reaching import explain_unreachable
from hookd.cli.readable import make_visible
from hookd.cli.source import with_id

if TYPE_CHECKING:
    from hookd.cli.source import Source

WINDOW_BYTES: Final = 4 * 1024 * 1024
MOST_TOLD: Final = 20
_CHUNK: Final = 256 * 1024
_BATCH_LINES: Final = 1_000
_RETRY_S: Final = 0.2
_PROGRESS_S: Final = 0.5


@dataclass
class Sending:
    """Sends what `source` gives to the socket at `path`: `run` it, then `conclude`."""

    path: str
    source: Source
    wait_s: float
    output: str
    waiting: deque[bytes] = field(default_factory=deque)  # sent (or to be sent again), not answered
    waiting_bytes: int = 0
    unsent: int = 0  # how many of `waiting`, from its end, this connection has not been sent
    alone: bool = False  # the last one came when none was waiting
    ended: bool = False  # the input is read to its end
    accepted: int = 0
    deliveries: int = 0
    duplicates: int = 0
    refused: int = 0
    retryable: int = 0
    answered: int = 0
    told: int = 0
    wrong: CliError | None = None
    changed: trio.Event = field(default_factory=trio.Event)

    async def run(self) -> None:
        """Send it all; come back when every line has its reply, or there is no point in going on."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_input)
            if sys.stderr.isatty():
                nursery.start_soon(self._show_progress)
            lost_at: float | None = None
            while not self._done:
                before = self.answered
                try:
                    stream = await trio.open_unix_socket(self.path)
                except (OSError, ValueError):
                    wrong = explain_unreachable(self.path, "event socket")
                    if lost_at is None and wrong.code is not ExitCode.TRY_AGAIN:
                        self.wrong = wrong
                        break
                else:
                    self.unsent = len(self.waiting)
                    async with stream:
                        await self._talk(stream)
                if self._done:
                    break
                now = trio.current_time()
                lost_at = now if lost_at is None or self.answered > before else lost_at
                if now - lost_at > self.wait_s:
                    self.wrong = CliError(f"the daemon at {self.path} went away{self.left}", ExitCode.TRY_AGAIN)
                    break
                await trio.sleep(_RETRY_S)
            nursery.cancel_scope.cancel()

    @property
    def _done(self) -> bool:
        return self.wrong is not None or (self.ended and not self.waiting)

    @property
    def left(self) -> str:
        """Say how many lines have no reply, as the end of a sentence."""
        count = len(self.waiting)
        return f"; {count} event{'s have' if count != 1 else ' has'} no reply" if count else ""

    def _wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    # ----------------------------------------------------------------------- in

    async def _read_input(self) -> None:
        async for line in self.source.lines():
            while self.waiting_bytes > WINDOW_BYTES:
                await self.changed.wait()
            ready = with_id(line) + b"\n"
            self.alone = not self.waiting
            self.waiting.append(ready)
            self.waiting_bytes += len(ready)
            self.unsent += 1
            if self.unsent == 1:
                self._wake()
        self.ended = True
        self._wake()

    # ----------------------------------------------------------------------- out

    async def _talk(self, stream: trio.SocketStream) -> None:
        """Use one connection until it ends or everything is answered."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, stream, nursery.cancel_scope)
            rest = b""
            fresh = True
            while not self._done:
                try:
                    chunk = await stream.receive_some(_CHUNK)
                except trio.BrokenResourceError:
                    chunk = b""
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take_reply(line, fresh=fresh)
                    fresh = False
                sys.stdout.flush()
                self._wake()
            nursery.cancel_scope.cancel()

    async def _write(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        while True:
            while not self.unsent:
                if self._done:
                    scope.cancel()  # an empty input: there is no reply to wait for
                await self.changed.wait()
            start = len(self.waiting) - self.unsent
            lines = list(islice(self.waiting, start, start + _BATCH_LINES))
            self.unsent -= len(lines)
            try:
                await stream.send_all(b"".join(lines))
            except trio.BrokenResourceError:
                return  # the reading side sees the end, after the replies that are still on their way

    # ----------------------------------------------------------------------- replies

    def _take_reply(self, line: bytes, *, fresh: bool) -> None:
        try:
            reply: dict[str, Any] = json.loads(line)
            status = reply["status"]
            if fresh and self._is_turned_away(reply):
                return
            self.waiting_bytes -= len(self.waiting.popleft())
            self.answered += 1
            if status == "accepted":
                self.accepted += 1
                self.deliveries += reply["deliveries"]
            elif status == "duplicate":
                self.duplicates += 1
            else:
                self.refused += 1
                self.retryable += bool(reply["retry"])
        except (ValueError, KeyError, TypeError, IndexError):
            raise CliError(f"what listens at {self.path} is no event socket of hookd", ExitCode.NO_DAEMON) from None
        if self.output == "json":
            print(line.decode("utf-8", "replace"))
        elif status not in {"accepted", "duplicate"}:
            if self.refused <= MOST_TOLD:
                self._tell(f"event {self.answered}: {_describe_refusal(reply)}", bad=True)
        elif self.alone and not self.waiting:
            self._tell(_describe(reply))

    def _is_turned_away(self, reply: dict[str, Any]) -> bool:
        """Take what is said to a connection, before it has sent anything: it names no event and no place in one."""
        if reply["status"] != "refused" or "id" in reply or "path" in reply:
            return False
        if reply["code"] == "not_allowed":
            self.wrong = CliError(f"{self.path}: {reply['message']}", ExitCode.NOT_ALLOWED)
        return bool(reply["code"] in {"not_allowed", "overloaded"})

    def _tell(self, text: str, *, bad: bool = False) -> None:
        self._clear_progress()
        self.told += 1
        print(styled(make_visible(text), "bad", to=sys.stderr) if bad else text, file=sys.stderr if bad else sys.stdout)

    def _clear_progress(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    async def _show_progress(self) -> None:
        started = trio.current_time()
        while True:
            await trio.sleep(_PROGRESS_S)
            rate = self.answered / (trio.current_time() - started)
            text = f"{self.answered:,} answered, {self.refused:,} refused, {rate:,.0f}/s"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    # ----------------------------------------------------------------------- the end

    def conclude(self) -> int:
        """Print the sum and give the exit code; raises what ended it too early."""
        if self.output != "json":
            self._clear_progress()
            if self.refused > MOST_TOLD:
                print(f"… and {self.refused - MOST_TOLD} more refused", file=sys.stderr)
            if self.answered > 1 or self.told < self.answered:
                print(
                    f"{self.accepted} accepted ({_count(self.deliveries)}), {self.duplicates} duplicates, "
                    f"{self.refused} refused"
                )
            elif not self.answered and self.wrong is None:
                print(f"no events in {self.source.name}", file=sys.stderr)
        if self.wrong is not None:
            sys.stdout.flush()  # what was done comes before what was not
            raise self.wrong
        if self.refused > self.retryable:
            return ExitCode.NOT_SO
        return ExitCode.TRY_AGAIN if self.retryable else ExitCode.FINE


def _describe(reply: dict[str, Any]) -> str:
    told = f"{reply['status']} {make_visible(str(reply['id']), one_line=True)}"
    return f"{told} ({_count(reply['deliveries'])})" if reply["status"] == "accepted" else told


def _describe_refusal(reply: dict[str, Any]) -> str:
    where = f" at {reply['path']}" if reply.get("path") else ""
    again = " (it may succeed later)" if reply.get("retry") else ""
    return f"refused: {reply.get('code')}{where}: {reply.get('message')}{again}"


def _count(deliveries: int) -> str:
    return "1 delivery" if deliveries == 1 else f"{deliveries} deliveries"
