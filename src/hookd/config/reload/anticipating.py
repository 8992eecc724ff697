"""Reading ahead while git writes a tree, so that little is left to do when it is done.

Rules of this module:

1. Only while git holds the lock of a work tree: what it has written stays. Files that somebody else writes may be
   written once more, and what is read of them ahead would mostly be read in vain.
2. It costs what it saves: a look that finds nothing new is followed by a longer pause, and a lock that is held for
   nothing (a commit whose message is being written) costs a listing now and then.
3. Nothing waits for it. When the files have settled it is told to stop, and a load takes what is there (`ahead`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hookd.config.ahead import Ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.load import Loaded, Rejected

#: Seconds between two looks: the least, and the most when nothing comes.
_PAUSE_S: Final = 0.03
_PAUSE_AT_MOST_S: Final = 2.0


class Anticipating:
    """Reads ahead from what `seen` gives. State: what was made since it was last taken."""

    def __init__(self, seen: Callable[[], Loaded | Rejected | None]) -> None:
        self._seen = seen
        self._ahead: Ahead | None = None

    async def serve(self) -> None:
        """Look again and again, until cancelled."""
        before, going, pause = self._seen(), True, _PAUSE_S
        if before is None:
            return
        if self._ahead is None or self._ahead.before is not before:
            self._ahead = Ahead(before)
        ahead = self._ahead
        try:
            while True:
                found = await trio.to_thread.run_sync(ahead.look, lambda: going, abandon_on_cancel=True)
                pause = _PAUSE_S if found else min(2 * pause, _PAUSE_AT_MOST_S)
                await trio.sleep(pause)
        finally:
            going = False  # the thread sees it at the next file

    def take(self) -> Ahead | None:
        """Give what was made, once."""
        taken, self._ahead = self._ahead, None
        return taken
