"""Following the request log: each new attempt as it comes, over reloads and restarts of the daemon.

Rules of this module:

1. What was shown last is remembered by its place in the log, so nothing is shown twice or left out, whatever happens
   to the daemon meanwhile. One that is away is waited for, and that is said once.
2. Each look asks first how long the whole log is, then for what matches up to there: the next look begins after it. So
   a filter that nothing passes costs no more the longer it is followed.
3. A log that is shorter than what was shown (it was pruned, or the store replaced) is followed from its end.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from hookd.cli.errors import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hookd.cli.client import ControlClient

POLL_S: Final = 0.5
ROWS: Final = 1_000
#: For so long a daemon may be away without a word: a restart.
_SILENT_S: Final = 5.0


def follow_attempts(
    client: ControlClient,
    asked: Mapping[str, object],
    after: int,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[list[dict[str, Any]]]:
    """Give the rows after `after` (a `seq`), oldest first, and then what comes, for ever; a list may be empty.

    Raises `CliError` when the daemon says that it will never give them.
    """
    away_since: float | None = None
    told = False
    while True:
        rows: list[dict[str, Any]] = []
        try:
            end = _last_seq(client)
            after = min(after, end)
            if end > after:
                rows = client.get("/v1/attempts", **asked, order="oldest", after=after, limit=ROWS)
                after = rows[-1]["seq"] if len(rows) == ROWS else max(end, rows[-1]["seq"] if rows else 0)
            if told:
                print("hookd: the daemon is back", file=sys.stderr, flush=True)
            away_since, told = None, False
        except CliError as wrong:
            if wrong.code not in {ExitCode.NO_DAEMON, ExitCode.TRY_AGAIN}:
                raise
            away_since = time.monotonic() if away_since is None else away_since
            if not told and time.monotonic() - away_since > _SILENT_S:
                print(f"hookd: {wrong}; waiting for it", file=sys.stderr, flush=True)
                told = True
        yield rows
        if len(rows) < ROWS:
            sleep(POLL_S)


def _last_seq(client: ControlClient) -> int:
    newest = client.get("/v1/attempts", limit=1)
    return int(newest[0]["seq"]) if newest else 0
