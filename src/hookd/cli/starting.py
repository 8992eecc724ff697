"""What `hookd run` says when it does not start, or not as asked: sentences for a person, log lines for a journal.

Rule: what reaches the journal under hookd's name is JSON, line by line, with its priority, also before there is a
daemon: whoever pipes the journal into jq is not stopped by the one line that matters most.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import structlog

from hookd.cli.errors import CliError
from hookd.cli.output import print_problems
from hookd.config.reload.report import describe_problem
from hookd.logs import open_log, stdout_is_journal

if TYPE_CHECKING:
    from hookd.config.load import Rejected
    from hookd.config.problems import ConfigInvalid


def tell_not_started(error: CliError, refused: Rejected | None) -> CliError:
    """Say why nothing was started; give the error to end with, which has nothing more to say if all is said.

    `refused`: what is wrong with the config, if it is that.
    """
    if not _in_journal():
        tell_refused(None if refused is None else refused.error, "")
        return error
    problems = [] if refused is None else [describe_problem(each) for each in refused.error.problems]
    with open_log(sys.stdout, "info"):
        structlog.get_logger().error("start.failed", reason=str(error), exit_code=int(error.code), problems=problems)
    return CliError("", error.code)


def tell_refused(refused: ConfigInvalid | None, then: str) -> None:
    """Show a person what is wrong with the config, and what happens then; in a journal, the daemon's log will."""
    if refused is None or _in_journal():
        return
    print_problems(refused.problems, refused.sources)
    if then:
        print(f"hookd: {then}", file=sys.stderr)


def _in_journal() -> bool:
    try:
        return stdout_is_journal(sys.stdout.fileno(), os.environ)
    except (OSError, ValueError):
        return False
