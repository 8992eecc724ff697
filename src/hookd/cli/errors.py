"""How a verb ends: the exit codes of the contract, and the error that carries one.

Rule: an error is told to people on standard error, as one sentence; to programs (`--output json`) on standard output,
as the object `{"error": {"code", "message", "exit_code", …}}`, with the members of the daemon's problem document where
it was the daemon that said no. A code says what it is to programs; `hookd explain` knows each.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ExitCode(IntEnum):
    """The codes of sysexits.h that have a meaning here, and 0 to 2."""

    FINE = 0
    NOT_SO = 1  # what was asked is not so: check found errors, a test delivery failed, an event was refused
    USAGE = 2
    NO_DAEMON = 69
    BUG = 70  # of hookd itself: nobody can ask for this one
    TRY_AGAIN = 75
    NOT_ALLOWED = 77
    BAD_CONFIG = 78
    INTERRUPTED = 130  # by Ctrl-C, as a shell counts it

    @property
    def word(self) -> str:
        """The code of an error that ends so and has no closer one."""
        return self.name.lower()


#: What each exit code but 0 means as the code of an error: what it is, and what to do.
ENDINGS: Final[Mapping[ExitCode, tuple[str, str]]] = {
    ExitCode.NOT_SO: (
        "What was asked is not so, or could not be done: `message` says what.",
        "Nothing was changed, or what was changed is told. The same again ends the same way.",
    ),
    ExitCode.USAGE: ("The verb was not called as it can be.", "`hookd VERB --help` tells how."),
    ExitCode.NO_DAEMON: (
        "Nobody listens at the socket.",
        "Nothing was asked or sent. Start the daemon, or name its socket, or with --config the file that says where.",
    ),
    ExitCode.BUG: ("A mistake in hookd.", "With HOOKD_TRACEBACK=1 it shows where: please report it."),
    ExitCode.TRY_AGAIN: (
        "The daemon cannot answer at the moment: it is starting, stopping, or waits for its disk.",
        "The same again may succeed, and is safe. `hookd status` says more.",
    ),
    ExitCode.NOT_ALLOWED: (
        "This user may not do that: a socket or a file is closed to it.",
        "Run it as hookd's user or as root; who may send events, the inlet's `mode` and `allow` say.",
    ),
    ExitCode.BAD_CONFIG: (
        "The config is not good, not readable, or not there.",
        "What runs goes on as it is. `hookd check` tells every problem with its place.",
    ),
    ExitCode.INTERRUPTED: ("Ctrl-C ended it.", "What was done so far stays so."),
}


class CliError(Exception):
    """What a user can mend: one message and the exit code. An empty message: everything was said before.

    `errors` are what is wrong in detail, for programs; people were told before.
    """

    def __init__(self, message: str, code: ExitCode, errors: Sequence[Mapping[str, object]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)

    def describe(self) -> dict[str, object]:
        """Give it for programs."""
        return describe_error(self.code.word, str(self), self.code, self.errors)


def describe_error(
    word: str, message: str, code: ExitCode | int, errors: Sequence[Mapping[str, object]] = (), **more: object
) -> dict[str, object]:
    """Give the object that programs read when a verb fails."""
    told: dict[str, object] = {"code": word, "message": message, "exit_code": int(code), **more}
    if errors:
        told["errors"] = [dict(error) for error in errors]
    return {"error": told}
