"""What a service manager hears, on a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.systemd import Descriptor, Notifier, read_watchdog, take_descriptors

if TYPE_CHECKING:
    from pathlib import Path


def heard(receiver: socket.socket) -> dict[str, str]:
    text = receiver.recv(4096).decode()
    return dict(line.split("=", 1) for line in text.splitlines())


def open_receiver(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(5)
    receiver.bind(address)
    return receiver


def test_readiness_status_and_end_are_said(tmp_path: Path) -> None:
    with open_receiver(str(tmp_path / "notify")) as receiver:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.ready("3 webhooks,\nrevision abc")
        notifier.status("reload refused")
        notifier.stopping(50.5)
        assert heard(receiver) == {"READY": "1", "STATUS": "3 webhooks, revision abc"}
        assert heard(receiver) == {"STATUS": "reload refused"}
        assert heard(receiver) == {"STOPPING": "1", "STATUS": "draining", "EXTEND_TIMEOUT_USEC": "50500000"}


def test_ready_follows_reloading_however_it_ends(tmp_path: Path) -> None:
    with open_receiver("\0" + str(tmp_path)) as receiver:
        notifier = Notifier({"NOTIFY_SOCKET": f"@{tmp_path}"})
        with suppress(RuntimeError), notifier.reloading():
            raise RuntimeError
        begun = heard(receiver)
        assert begun["RELOADING"] == "1"
        assert int(begun["MONOTONIC_USEC"]) > 0
        assert heard(receiver) == {"READY": "1"}


def test_without_a_service_manager_nothing_is_said() -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket"}).ready("x")


def test_of_reloads_within_each_other_the_last_to_end_is_told(tmp_path: Path) -> None:
    with open_receiver("\0" + str(tmp_path)) as receiver:
        notifier = Notifier({"NOTIFY_SOCKET": f"@{tmp_path}"})
        with notifier.reloading():
            with notifier.reloading():
                pass
            notifier.status("between")
        begun = [heard(receiver), heard(receiver)]
        assert [each["RELOADING"] for each in begun] == ["1", "1"]
        assert int(begun[0]["MONOTONIC_USEC"]) <= int(begun[1]["MONOTONIC_USEC"])
        assert heard(receiver) == {"STATUS": "between"}
        assert heard(receiver) == {"READY": "1"}


def test_a_status_is_one_short_line(tmp_path: Path) -> None:
    with open_receiver(str(tmp_path / "notify")) as receiver:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).status("READY=1\nWATCHDOG=trigger " + "x" * 1000)
        (only,) = receiver.recv(4096).splitlines()
        assert only.startswith(b"STATUS=READY=1 WATCHDOG=trigger xxx")
        assert len(only.decode()) < 450


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_a_watchdog_is_one_that_waits_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    assert read_watchdog(environ) == seconds


async def test_there_is_no_sign_of_life_without_a_proof(tmp_path: Path, autojump_clock: object) -> None:
    del autojump_clock
    proofs = trio.Semaphore(2)
    with open_receiver(str(tmp_path / "notify")) as receiver:
        receiver.setblocking(False)  # noqa: FBT003  the signature of socket
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"})
        with trio.move_on_after(60):
            await notifier.beat(proofs.acquire)  # which returns twice, and then hangs
        assert receiver.recv(4096) == b"WATCHDOG=1"
        assert receiver.recv(4096) == b"WATCHDOG=1"
        with pytest.raises(BlockingIOError):
            receiver.recv(4096)


async def test_nobody_waits_for_a_sign_of_life() -> None:
    async def fail() -> None:
        raise AssertionError

    with trio.fail_after(5):
        await Notifier({"NOTIFY_SOCKET": "/nonexistent"}).beat(fail)


async def test_more_time_is_asked_for_while_it_is_needed_and_not_for_ever(
    tmp_path: Path, autojump_clock: object
) -> None:
    del autojump_clock
    with open_receiver(str(tmp_path / "notify")) as receiver:
        receiver.setblocking(False)  # noqa: FBT003  the signature of socket
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})

        def count() -> int:
            asked = 0
            with suppress(BlockingIOError):
                while True:
                    assert receiver.recv(4096) == b"EXTEND_TIMEOUT_USEC=30000000"
                    asked += 1
            return asked

        with notifier.taking_time():
            await trio.sleep(25)
            assert count() == 3  # at 0, 10 and 20 s
        await trio.sleep(60)
        assert count() == 0
        with notifier.taking_time():
            for _ in range(20):  # a datagram socket holds few
                await trio.sleep(50)
                last = count()
        assert last == 0  # what takes longer than a quarter of an hour hangs


def test_descriptors_are_those_of_this_process_and_go_no_further() -> None:
    """A process of its own: descriptors are numbered from 3, and the variables are the process's."""
    program = (
        "import os, subprocess, sys\n"
        "from hookd.systemd import take_descriptors\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "print(take_descriptors())\n"
        "print(take_descriptors())\n"
        "print(sorted(name for name in os.environ if name.startswith('LISTEN')), flush=True)\n"
        "os.execv('/bin/sh', ['sh', '-c', 'test -e /proc/self/fd/3 && echo leaked'])\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 3<&0 0</dev/null', "sh", sys.executable, "-c", program],
            stdin=listener.fileno(),
            env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "events"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.splitlines() == [str((Descriptor(fd=3, name="events"),)), "()", "[]"], done.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": ""},
    ],
)
def test_what_is_not_ours_is_not_taken(environ: dict[str, str]) -> None:
    assert take_descriptors(environ) == ()
    assert not environ


def test_a_hangup_waits_until_it_is_taken() -> None:
    program = (
        "import os, signal\n"
        "from hookd.systemd import hold_hangups, take_hangups\n"
        "hold_hangups()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('alive', flush=True)\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('heard', flush=True))\n"
        "take_hangups()\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["alive", "heard"]
    assert done.returncode == -signal.SIGHUP
