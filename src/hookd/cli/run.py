"""`hookd run`: the daemon, and what it says when it cannot start."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
import structlog
import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.places import config_option, find_config
from hookd.config.load import load
from hookd.config.problems import ConfigInvalid, render_problems
from hookd.config.references import SecretReader
from hookd.daemon import Daemon, StartFailed
from hookd.logs import open_log
from hookd.parts import Files, Setting
from hookd.systemd import Notifier, credentials_directory

if TYPE_CHECKING:
    from pathlib import Path

#: Files that we make are for us alone, unless a mode is given for them.
_UMASK = 0o077


@click.command("run")
@config_option
def run_command(config: Path | None) -> int:
    """Run the daemon until SIGTERM; SIGHUP reads the config again. The log goes to standard output."""
    os.umask(_UMASK)
    main = find_config(config)
    try:
        loaded = load(main)
    except ConfigInvalid as invalid:
        print(render_problems(invalid.problems, invalid.sources), end="", file=sys.stderr)
        raise CliError(f"{main}: the config is not valid; nothing was started", ExitCode.BAD_CONFIG) from None
    with open_log(sys.stdout, loaded.config.daemon.log_level) as log:
        daemon = Daemon(
            Setting(
                config=loaded.config,
                files=Files(main=main, loaded=loaded),
                secrets=SecretReader(credentials_directory(), os.environ),
                log=log,
                notifier=Notifier(),
            )
        )
        try:
            good = trio.run(daemon.run)
        except* StartFailed as group:
            start = next(each for each in _leaves(group) if isinstance(each, StartFailed))
            code = ExitCode.TRY_AGAIN if start.again else ExitCode.NOT_ALLOWED
            raise CliError(str(start), code) from None
        except* Exception as group:
            structlog.get_logger().error("daemon.failed", exc_info=_leaves(group)[0])
            raise
    return ExitCode.FINE if good else ExitCode.NOT_SO


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in group.exceptions:
        found.extend(_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    return found
