"""How a verb ends: the exit codes of the contract, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


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


class CliError(Exception):
    """What a user can mend: one message and the exit code. An empty message: everything was said before."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code
