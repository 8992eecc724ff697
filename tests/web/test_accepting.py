"""Connections through a shortage: a listener goes on, and the log is told once."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
import trio

from hookd.web.accepting import TELL_AGAIN_S, Acceptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

SHORT = OSError(errno.EMFILE, "Too many open files")


class Scarce:
    """A listener that gives what it is told to: an error to raise, or a stream."""

    def __init__(self, *given: object) -> None:
        self.given: Iterator[object] = iter(given)

    async def accept(self) -> Any:
        await trio.lowlevel.checkpoint()
        each = next(self.given)
        if isinstance(each, Exception):
            raise each
        return each


def listening(*given: object) -> trio.SocketListener:
    return cast("trio.SocketListener", Scarce(*given))


async def test_a_shortage_ends_nothing_and_is_told_once_a_minute(autojump_clock: MockClock) -> None:
    acceptor = Acceptor(inlet="unix")
    scarce = listening(*[SHORT] * 3, "first", SHORT, "second")
    line = {
        "event": "connection.refused",
        "inlet": "unix",
        "reason": "Too many open files",
        "log_level": "warning",
    }
    with structlog.testing.capture_logs() as lines:
        assert cast("str", await acceptor.accept(scarce)) == "first"
        assert autojump_clock.current_time() == pytest.approx(0.3)  # a pause for each, not a busy loop
        assert lines == [line]
        await trio.sleep(TELL_AGAIN_S)
        assert cast("str", await acceptor.accept(scarce)) == "second"
        assert lines == [line, line]


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "Bad file descriptor"), trio.ClosedResourceError()])
async def test_a_listener_that_is_broken_is_told_to_the_caller(error: Exception) -> None:
    with structlog.testing.capture_logs() as lines, pytest.raises(type(error)):
        await Acceptor().accept(listening(error))
    assert lines == []
