"""Showing a screen again and again: on a terminal in its place, in a pipe one after another.

Rule: a daemon that restarts is waited for, and that is what the screen says meanwhile; what will never be answered
(there is no such webhook, this user may not) ends it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, NoReturn

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 2.0
#: To the top left, and everything below is gone: ECMA-48, CUP and ED.
_CLEAR: Final = "\x1b[H\x1b[J"


def watch_screen(
    show: Callable[[], object], *, as_json: bool = False, sleep: Callable[[float], None] = time.sleep
) -> NoReturn:
    """Call `show`, which prints, every `EVERY_S` seconds, for ever. Raises `CliError` as `show` does."""
    terminal = sys.stdout.isatty()
    while True:
        if terminal:
            print(_CLEAR, end="")
        try:
            show()
        except CliError as wrong:
            if wrong.code not in {ExitCode.NO_DAEMON, ExitCode.TRY_AGAIN}:
                raise
            if as_json:
                print_json(wrong.describe())
            else:
                print(f"hookd: {wrong}; waiting for it", file=sys.stdout if terminal else sys.stderr)
        sys.stdout.flush()
        sleep(EVERY_S)
