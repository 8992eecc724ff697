"""`hookd demo`: the daemon with the example config, a receiver that verifies, real events, and what each of them saw.

Rules: paths are temporary, secrets are made up, and a connector sends every host to the demo's own receiver, which
no config key can do; the receiver speaks plain HTTP, so TLS is what the demo leaves out. Everything else is the real
thing: the socket, the store, the queue, the signatures, the retry after a 503.
"""

from __future__ import annotations

import json
import secrets
import socket
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import styled
from hookd.cli.receiver import Answer, Received, Receiver, format_received
from hookd.config.load import load_config
from hookd.config.resources import resource_path
from hookd.core.addresses import parse_target
from hookd.core.daemonconfig import Control, UnixInlet
from hookd.core.signing import generate_secret, parse_secret
from hookd.daemon.parts import Setting
from hookd.daemon.running import Daemon
from hookd.delivery.connection import Connection
from hookd.logs import open_log, silence_log
from hookd.systemd import Notifier
from hookd.web.server import serve_http
from hookd.web.sockets import open_tcp_listeners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.addresses import Target
    from hookd.core.config import Config, Network, Reference, Text, Tls, Webhook
    from hookd.core.model import Secret
    from hookd.core.signing import SigningKey
    from hookd.delivery.sender import Progress

#: Everything takes about two seconds; a machine that needs longer than this is told so.
PATIENCE_S: Final = 40.0
_SERVICE_UNAVAILABLE: Final = 503


@click.command("demo")
@click.option("--headers", "all_headers", is_flag=True, help="Show all headers of the requests.")
def demo_command(*, all_headers: bool) -> int:
    """Run the daemon with the example config, send it events, and show what arrives and what is logged."""
    with tempfile.TemporaryDirectory(prefix="hookd-demo-") as folder:
        demo = Demo(Path(folder), all_headers=all_headers)
        try:
            silence_log()
            trio.run(demo.run)
        except* trio.TooSlowError:
            message = f"the demo did not end within {PATIENCE_S:g} s; it saw {len(demo.received)} requests"
            demo.wrong = CliError(message, ExitCode.NOT_SO)
    return demo.conclude()


class DemoSecrets:
    """Makes up a secret for each reference, and keeps to it."""

    def __init__(self) -> None:
        self._made: dict[Reference, str] = {}

    def read(self, text: Text) -> str:
        """Give a literal as it is, and for a reference what was made up for it."""
        if isinstance(text, str):
            return text
        return self._made.setdefault(text, generate_secret(secrets.token_bytes(32)))


@dataclass(frozen=True, slots=True)
class DemoConnector:
    """Sends every host to one port of this machine."""

    port: int

    async def connect(
        self,
        target: Target,
        networks: tuple[Network, ...],
        tls: Tls | None,
        tls_key: Secret | None,
        progress: Progress,
    ) -> Connection:
        """Connect to the receiver, whatever the target."""
        del target, networks, tls, tls_key, progress
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        plain = socket.socket(fileno=stream.socket.detach())
        plain.setblocking(False)  # noqa: FBT003  its only argument
        return Connection(plain)


@dataclass
class Demo:
    """One run of the demo, and what it saw."""

    folder: Path
    all_headers: bool
    received: list[Received] = field(default_factory=list)
    expected: int = 0
    answered_503: bool = False
    shown: int = 0  # bytes of the log that were shown
    lines: list[dict[str, Any]] = field(default_factory=list)
    wrong: CliError | None = None
    changed: trio.Event = field(default_factory=trio.Event)
    secrets: DemoSecrets = field(default_factory=DemoSecrets)

    async def run(self) -> None:
        """Start everything, send the events, show what comes, end everything."""
        config = self._config()
        with trio.fail_after(PATIENCE_S), (self.folder / "log").open("w+") as log_file:
            receiver = Receiver(keys=self._keys_of(config), answer=self._answer, show=self._take)
            listeners = await open_tcp_listeners("127.0.0.1", 0)
            port = listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, receiver, listeners)
                with open_log(log_file, "info", readable=False) as log:
                    daemon = Daemon(
                        Setting(
                            config=config,
                            files=None,
                            secrets=self.secrets,
                            log=log,
                            notifier=Notifier({}),
                            connector=DemoConnector(port),
                        )
                    )
                    self._title("1. the daemon starts, with the example config, temporary paths and made-up secrets")
                    await nursery.start(daemon.run)
                    await self._show_log("daemon.ready")
                    self._title("2. events go in over the Unix socket; each is answered once it is on disk")
                    await self._send(config)
                    self._title("3. the receiver verifies and shows what comes (the first one it answers with 503)")
                    for number in range(self.expected):
                        while len(self.received) <= number:
                            await self.changed.wait()
                        print(format_received(self.received[number], number + 1, all_headers=self.all_headers))
                    self._title("4. the daemon drains and stops; its log, one JSON line per thing that happened")
                    daemon.stop()
                    await daemon.stopped.wait()
                await self._show_log("daemon.stopped")
                nursery.cancel_scope.cancel()

    def _config(self) -> Config:
        config = load_config(resource_path("config.example.yaml"))
        daemon = replace(
            config.daemon,
            state_dir=str(self.folder / "state"),
            inlets=(UnixInlet(path=str(self.folder / "events.sock")),),
            control=Control(unix=str(self.folder / "control.sock")),
            metrics=None,  # its port may be another hookd's
        )
        return replace(config, daemon=daemon)

    def _keys_of(self, config: Config) -> Any:
        keys: dict[str, Sequence[SigningKey]] = {}
        for webhook in config.webhooks.values():
            if webhook.sign is not None:
                texts = [self.secrets.read(secret) for secret in webhook.sign.secrets]
                keys[_host(webhook, self.secrets)] = [parse_secret(text) for text in texts]
        return lambda host: keys.get(host, ())

    def _answer(self, _received: Received) -> Answer:
        if not self.answered_503:
            self.answered_503 = True
            return Answer(status=_SERVICE_UNAVAILABLE)
        return Answer()

    def _take(self, received: Received) -> None:
        self.received.append(received)
        self.changed.set()
        self.changed = trio.Event()

    async def _send(self, config: Config) -> None:
        # What the example says will be delivered.
        tests = [test for webhook in config.webhooks.values() for test in webhook.tests]
        events = [dict(test.event) for test in tests if test.expect == "delivered"]
        events[0]["id"] = "demo-1"
        # Each good event once, the first one a second time, and one that is not as its schema says.
        spoiled = {**events[0], "id": "demo-2", "data": {"entity_id": "one"}}
        self.expected = len(events) + 1  # and the retry
        stream = await trio.open_unix_socket(str(self.folder / "events.sock"))
        async with stream:
            rest = b""
            for event in [*events, events[0], spoiled]:
                line = json.dumps(event)
                print(f"{styled('→', 'faint')} {line}")
                await stream.send_all(line.encode() + b"\n")
                while b"\n" not in rest:
                    rest += await stream.receive_some()
                reply, _, rest = rest.partition(b"\n")
                print(f"{styled('←', 'faint')} {reply.decode()}\n")

    async def _show_log(self, last: str) -> None:
        """Show the new lines of the log, once the one that is awaited is among them."""
        path = trio.Path(self.folder / "log")
        while True:
            text = (await path.read_bytes())[self.shown :]
            if f'"msg":"{last}"'.encode() in text:
                break
            await trio.sleep(0.01)
        self.shown += len(text)
        print(text.decode())
        self.lines.extend(json.loads(line) for line in text.splitlines())

    def _title(self, text: str) -> None:
        print(styled(f"\n── {text}\n", "strong"))

    def conclude(self) -> int:
        """Say how it ended, and give the exit code."""
        if self.wrong is not None:
            raise self.wrong
        delivered = sum(line.get("outcome") == "delivered" for line in self.lines)
        wrong = [received.fault for received in self.received if received.fault is not None]
        good = not wrong and delivered == self.expected - 1
        verified = sum(received.verified for received in self.received)
        text = (
            f"{delivered} events delivered in {len(self.received)} requests, {verified} signatures verified, "
            f"1 retry, 1 duplicate, 1 refused"
        )
        print(styled(f"\n{'all is well' if good else 'something is wrong'}: {text}", "good" if good else "bad"))
        return ExitCode.FINE if good else ExitCode.NOT_SO


def _host(webhook: Webhook, secrets: DemoSecrets) -> str:
    return parse_target(secrets.read(webhook.url)).authority


async def _serve(receiver: Receiver, listeners: list[trio.SocketListener]) -> None:
    await serve_http(receiver.handle, listeners, stopping=trio.Event())
