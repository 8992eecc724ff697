"""What a service manager asks of us, and gives us: readiness, reload, signs of life, the end; sockets, credentials.

The protocol is sd_notify(3): datagrams to `$NOTIFY_SOCKET`, a leading `@` meaning an abstract name. Without that
variable every call does nothing. A datagram that cannot be sent is no reason to stop delivering.

Rules:

1. `READY=1` is said once everything really is; after every `RELOADING=1`, which carries `MONOTONIC_USEC` (without it
   `Type=notify-reload` hangs), comes `READY=1` again, also when the config was refused. Of reloads within each other
   only the last to end says it: a service manager that waits for its own must not hear that of another.
2. `WATCHDOG=1` is said after a proof that work gets done, never by a mere timer: a daemon whose event loop turns while
   its store is stuck is as dead as one that does not run.
3. Who needs longer than the unit allows (a large store to recover, a long drain) says so, for as long as its event
   loop turns and not for ever.
4. Sockets that were opened for us are known by `$LISTEN_PID`, are closed on exec, and their variables go: a git that we
   start must not take them for its own (sd_listen_fds(3)).
5. SIGHUP asks for a reload; without a handler it kills. So it is held back from the first moment of `hookd run` (the
   unit holds it back from before that) until there is one.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio
import trio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping

#: A manager that does not read must not stop us for longer; it is asked from the event loop.
_SEND_S: Final = 1.0
#: STATUS is one line of a screen; what it has to say of a config error is in the log, whole.
_STATUS_CHARACTERS: Final = 400
#: Of a watchdog's time this part passes between two signs of life: the proof may take the rest.
_BEATS: Final = 3
#: How much more time is asked for, how often, and for how long in all.
_EXTEND_S: Final = 30.0
_EXTEND_EVERY_S: Final = 10.0
_EXTEND_AT_MOST_S: Final = 900.0
#: SD_LISTEN_FDS_START.
_FIRST_DESCRIPTOR: Final = 3


class Notifier:
    """Tells the service manager, if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET")
        self._reloads = 0
        #: Seconds between two signs of life; None: nobody waits for any.
        self.beat_every = read_watchdog(environ)

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_SEND_S)
            sender.connect(address)
            sender.send("\n".join(lines).encode("utf-8", "replace"))

    def ready(self, status: str) -> None:
        """Everything is open and listening."""
        self._send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line in words, for `systemctl status`."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Ask for so many seconds from now, for the start or the stop that is under way."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def stopping(self, at_most: float) -> None:
        """Say that the end has begun, and how many seconds it may take."""
        self._send("STOPPING=1", "STATUS=draining", f"EXTEND_TIMEOUT_USEC={int(at_most * 1_000_000)}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that a reload is under way for as long as the block lasts, however it ends."""
        self._reloads += 1
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._reloads -= 1
            if not self._reloads:
                self._send("READY=1")

    @contextmanager
    def taking_time(self) -> Iterator[None]:
        """Ask for more time for as long as the block lasts (a quarter of an hour at most) and the event loop turns."""
        scope = trio.CancelScope()
        if self.heard:
            # No nursery: what is opened in the block stays open after it.
            trio.lowlevel.spawn_system_task(self._extend_again, scope)
        try:
            yield
        finally:
            scope.cancel()

    async def _extend_again(self, scope: trio.CancelScope) -> None:
        with scope, trio.move_on_after(_EXTEND_AT_MOST_S):
            while True:
                self.extend(_EXTEND_S)
                await trio.sleep(_EXTEND_EVERY_S)

    async def beat(self, prove: Callable[[], Awaitable[None]]) -> None:
        """Give signs of life for ever, each when `prove` has returned; return if nobody waits for any."""
        if self.beat_every is None:
            return
        while True:
            await prove()
            self.alive()
            await trio.sleep(self.beat_every)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _STATUS_CHARACTERS else line[: _STATUS_CHARACTERS - 1] + "…"


def read_watchdog(environ: Mapping[str, str]) -> float | None:
    """Give how many seconds may pass between two signs of life; None if nobody waits for ours (sd_watchdog_enabled(3)).

    A process that we were started by may have been the one that was meant: then `$WATCHDOG_PID` is not ours.
    """
    written, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (written.isascii() and written.isdecimal() and int(written)) or (pid and pid != str(os.getpid())):
        return None
    return int(written) / 1_000_000 / _BEATS


# --------------------------------------------------------------------------- what was opened for us


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A file descriptor that the service manager opened for us, and the name that the unit gives it."""

    fd: int
    name: str


def take_descriptors(environ: MutableMapping[str, str] = os.environ) -> tuple[Descriptor, ...]:
    """Take over what was opened for this process, once: none of it is passed on to what we start."""
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not (count.isascii() and count.isdecimal()):
        return ()
    taken = []
    for number in range(int(count)):
        fd = _FIRST_DESCRIPTOR + number
        try:
            os.set_inheritable(fd, False)  # noqa: FBT003  the signature of os
        except OSError:
            break  # whoever set the variables counted wrong
        taken.append(Descriptor(fd=fd, name=names[number] if number < len(names) else ""))
    return tuple(taken)


def credentials_directory() -> str | None:
    """Where systemd put the credentials of this service (systemd.exec(5), `LoadCredential=`)."""
    return os.environ.get("CREDENTIALS_DIRECTORY") or None


# --------------------------------------------------------------------------- SIGHUP


def hold_hangups() -> None:
    """Keep SIGHUP waiting, in this thread and in those that it starts. To be called first of all."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def take_hangups() -> None:
    """Let SIGHUP come, one that waited too. To be called when it has a handler, in the thread of `hold_hangups`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
