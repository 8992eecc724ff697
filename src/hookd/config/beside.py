"""Working in a thread beside an event loop, without keeping it from its work.

A thread that computes gives the interpreter to another one that wants it after 5 ms (`sys.getswitchinterval`). An event
changes threads several times on its way from the socket to the disk and to its receiver, each statement of the store
gives the interpreter away and wants it back, and every time it would wait that long: with 1,000 reloads under load the
99th percentile of deliveries was three times as high as without. So whoever works for more than some milliseconds does
it within `beside_others`, which asks for quicker changes meanwhile.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds. While all of 400 webhooks are made anew the median event takes 8 ms with five times as much, and 3.5 with
#: this; half of it gives no more, for a change of threads takes some ten microseconds itself.
_SWITCH_S: Final = 0.0001


class _Asked:
    """How many threads ask for quick changes now, and the interval that was before the first of them."""

    lock = threading.Lock()
    count = 0
    before = 0.0


#: Seconds: how long to rest before looking again whether others are done, and at most at one time.
_REST_S: Final = 0.0002
_REST_AT_ONCE_S: Final = 0.003
#: Seconds: how long to rest in all, from `beside_others` to its end. Who is waited for rests little; an ordinary load
#: may take half as long again, and then events at 200 a second hardly notice that 400 webhooks are made anew.
REST_LITTLE_S: Final = 0.02
REST_LONG_S: Final = 0.1


class _Others:
    """Whether others are at something short, and how long one may rest for them still."""

    busy: Callable[[], bool] | None = None
    left = REST_LITTLE_S  # to rest for them


@contextmanager
def giving_way_to(busy: Callable[[], bool]) -> Iterator[None]:
    """Have those who work beside others rest while `busy()`; it is asked often, and by other threads."""
    _Others.busy = busy
    try:
        yield
    finally:
        _Others.busy = None


def give_way() -> None:
    """Rest while others are at something short. To be called between two small pieces of work."""
    busy = _Others.busy
    if busy is None or _Others.left <= 0 or not busy():
        return
    began = time.monotonic()
    while busy() and time.monotonic() - began < _REST_AT_ONCE_S:
        time.sleep(_REST_S)
    _Others.left -= time.monotonic() - began


@contextmanager
def beside_others(rest_s: float = REST_LITTLE_S) -> Iterator[None]:
    """Let other threads have the interpreter sooner, until the last of those that ask for it is done.

    `rest_s` is for how many seconds `give_way` may rest meanwhile; the first of those that ask for it says so.
    """
    with _Asked.lock:
        if _Asked.count == 0:
            _Asked.before = sys.getswitchinterval()
            sys.setswitchinterval(min(_SWITCH_S, _Asked.before))
            _Others.left = rest_s
        _Asked.count += 1
    try:
        yield
    finally:
        with _Asked.lock:
            _Asked.count -= 1
            if _Asked.count == 0:
                sys.setswitchinterval(_Asked.before)
