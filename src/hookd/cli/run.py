"""`hookd run`: the daemon, and what it says when it cannot start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import structlog
import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.places import config_option, find_config
from hookd.cli.starting import tell_not_started, tell_refused
from hookd.config.load import Loaded, load_again
from hookd.config.problems import ConfigInvalid
from hookd.config.references import SecretReader
from hookd.config.reload.guard import judge_start, may_have_vanished
from hookd.config.reload.lastgood import NoLastGood, find_last_good
from hookd.config.reload.settle import wait_for_checkout
from hookd.daemon.collector import calm_collector
from hookd.daemon.parts import Files, Setting
from hookd.daemon.running import Daemon, StartFailed
from hookd.logs import open_log
from hookd.systemd import Notifier, credentials_directory, hold_hangups, take_descriptors

#: Files that we make are for us alone, unless a mode is given for them.
_UMASK = 0o077


@click.command("run")
@click.option(
    "--no-last-good", is_flag=True, help="Refuse to start when the files are not good, although there is a copy."
)
@config_option
def run_command(*, config: Path | None, no_last_good: bool) -> int:
    """Run the daemon until SIGTERM; SIGHUP reads the config again. The log goes to standard output.

    When the files are not good at start, it runs the last good ones, of which it keeps a copy in its state directory,
    says so (in the log, in `hookd status` and to systemd), and follows the files: once mended, they are applied.
    """
    hold_hangups()
    descriptors = take_descriptors()
    os.umask(_UMASK)
    files = read_files(_fix(find_config(config)), last_good=not no_last_good)
    with open_log(sys.stdout, files.loaded.config.daemon.log_level) as log:
        daemon = Daemon(
            Setting(
                config=files.loaded.config,
                files=files,
                secrets=SecretReader(credentials_directory(), os.environ),
                log=log,
                notifier=Notifier(),
                descriptors=descriptors,
            )
        )
        calm_collector()
        try:
            good = trio.run(daemon.run)
        except* StartFailed as group:
            start = next(each for each in _leaves(group) if isinstance(each, StartFailed))
            code = ExitCode.TRY_AGAIN if start.again else ExitCode.NOT_ALLOWED
            raise tell_not_started(CliError(str(start), code), None) from None
        except* Exception as group:
            structlog.get_logger().error("daemon.failed", exc_info=_leaves(group)[0])
            raise
    return ExitCode.FINE if good else ExitCode.NOT_SO


def read_files(main: Path, *, last_good: bool) -> Files:
    """Load the config; if it is not good, the last good one, if that is wanted. Raises `CliError`."""
    wait_for_checkout(main)
    found = load_again(main, None)
    if isinstance(found, Loaded):
        held = _hold_back(main, found) if last_good and may_have_vanished(found.config) else None
        return held or Files(main=main, loaded=found)
    message = f"{main}: the config is not valid; nothing was started"
    if not last_good:
        raise tell_not_started(CliError(message, ExitCode.BAD_CONFIG), found)
    try:
        copy = find_last_good(main)
    except NoLastGood as none:
        raise tell_not_started(CliError(f"{message} ({none})", ExitCode.BAD_CONFIG), found) from None
    tell_refused(found.error, f"{main}: the config is not valid; starting from the last good one, {copy.archive}")
    return Files(main=main, loaded=copy.loaded, refused=found)


def _hold_back(main: Path, found: Loaded) -> Files | None:
    """Give the last good config, if the tree has vanished in which its webhooks stood."""
    try:
        copy = find_last_good(main)
    except NoLastGood:
        return None
    held = judge_start(copy.loaded.config, found, str(main))
    if held is None:
        return None
    tell_refused(ConfigInvalid([held.problem]), f"{main}: starting from the last good config, {copy.archive}")
    return Files(main=main, loaded=copy.loaded, refused=held)


def _fix(main: Path) -> Path:
    """Give the absolute path of a file, as the user's shell would say it.

    A working directory moves with its tree: who replaces the tree means the name. The shell's own word for it keeps
    the symlink of a release, which the system's has resolved.
    """
    said = os.environ.get("PWD", "")
    here = Path(said)
    if not (here.is_absolute() and here.is_dir() and here.samefile(".")):
        here = Path.cwd()
    return here / main


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in group.exceptions:
        found.extend(_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    return found
