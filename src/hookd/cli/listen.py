"""`hookd listen`: a receiver to develop against.

Rules: its port is open when it says so; it ends at once on Ctrl-C, whatever hangs; with `--count` it ends when the last
of these is answered, or, if it never answers, when it came. Requests beyond the count are told to come again.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json_line
from hookd.cli.places import output_option
from hookd.cli.receiver import Answer, Received, Receiver, describe_received, format_received
from hookd.logs import silence_log
from hookd.web.limits import HttpLimits
from hookd.web.server import serve_http
from hookd.web.sockets import AddressUnusable, open_tcp_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from hookd.core.signing import SigningKey

_ENDING = 503
#: A receiver to develop against takes what comes, and may be told to answer after an hour.
_LIMITS = HttpLimits(body_bytes=64 * 1024 * 1024, reply_deadline=3600.0)


@click.command("listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--secret", "secrets", multiple=True, help="Verify signatures with this secret (may be given again).")
@click.option("--secret-file", "files", multiple=True, type=click.Path(path_type=Path), help="The same, from a file.")
@click.option("--status", default=200, show_default=True, type=click.IntRange(200, 599), help="Answer with this.")
@click.option("--delay", default=0.0, type=click.FloatRange(0, 3600), metavar="SECONDS", help="Answer later.")
@click.option("--hang", is_flag=True, help="Never answer.")
@click.option("--count", type=click.IntRange(1), help="End after so many requests; then exit 1 if one was wrong.")
@click.option("--headers", "all_headers", is_flag=True, help="Show all headers.")
@output_option
def listen_command(
    *,
    host: str,
    port: int,
    secrets: tuple[str, ...],
    files: tuple[Path, ...],
    status: int,
    delay: float,
    hang: bool,
    count: int | None,
    all_headers: bool,
    output: str,
) -> int:
    """Receive webhooks, print each readably, verify signatures, and answer as told.

    With a secret, a request whose signature is wrong is answered with 401, and the exit code is 1 in the end.
    """
    keys = _read_keys(secrets, files)
    answer = Answer(status=status, delay_s=delay, hang=hang)
    listening = Listening(host, port, keys, answer, count, all_headers, output)
    try:
        silence_log()
        trio.run(listening.run)
    except AddressUnusable as unusable:
        raise CliError(str(unusable), ExitCode.TRY_AGAIN if unusable.taken else ExitCode.NOT_ALLOWED) from None
    return ExitCode.NOT_SO if listening.wrong else ExitCode.FINE


def _read_keys(secrets: tuple[str, ...], files: tuple[Path, ...]) -> Sequence[SigningKey]:
    from hookd.core.signing import SecretInvalid, parse_secret

    texts = list(secrets)
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"cannot read {file}: {getattr(error, 'strerror', 'not text')}", ExitCode.USAGE) from None
    try:
        return [parse_secret(text) for text in texts]
    except SecretInvalid as invalid:
        raise CliError(str(invalid), ExitCode.USAGE) from None


@dataclass
class Listening:
    """One run of the verb: what it was told, and what it has seen."""

    host: str
    port: int
    keys: Sequence[SigningKey]
    answer: Answer
    count: int | None
    all_headers: bool
    output: str
    seen: int = 0
    late: bool = False  # the request that was taken last came after the last of the count
    wrong: int = 0
    stopping: trio.Event = field(default_factory=trio.Event)

    def take(self, received: Received) -> None:
        """Print one request, unless all that were asked for are there."""
        self.late = self.stopping.is_set()
        if self.late:
            return
        self.seen += 1
        self.wrong += received.fault is not None
        if self.output == "json":
            print_json_line(describe_received(received))
        else:
            print(format_received(received, self.seen, all_headers=self.all_headers), flush=True)
        if self.seen == self.count:
            self.stopping.set()

    def decide(self, _received: Received) -> Answer:
        """Give the answer that was asked for; after the last of the count, that this receiver is ending."""
        return Answer(status=_ENDING) if self.late else self.answer

    async def run(self) -> None:
        """Serve until the count is reached or a signal comes."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            listeners = await open_tcp_listeners(self.host, self.port)
            receiver = Receiver(keys=lambda _host: self.keys, answer=self.decide, show=self.take)
            for listener in listeners:
                host, port = listener.socket.getsockname()[:2]
                print(
                    f"listening on http://{f'[{host}]' if ':' in host else host}:{port}/", file=sys.stderr, flush=True
                )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_on_signal, signals, nursery.cancel_scope)
                if self.answer.hang:
                    nursery.start_soon(self._end_after_count, nursery.cancel_scope)
                await serve_http(receiver.handle, listeners, _LIMITS, stopping=self.stopping)
                nursery.cancel_scope.cancel()

    async def _end_after_count(self, scope: trio.CancelScope) -> None:
        await self.stopping.wait()
        scope.cancel()


async def _end_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
