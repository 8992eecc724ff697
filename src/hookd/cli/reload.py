"""`hookd reload`: have the daemon read its files now, wait for what comes of it, and say what runs.

Rule: the daemon reads the files, with its own eyes and rights; here is only what it answered, with the lines that it is
about if this user may read them. It follows its files by itself, so "nothing changed" may mean that it was quicker:
then what runs and since when is what one wants to know.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import ExitCode
from hookd.cli.instants import format_age_precisely
from hookd.cli.output import print_json, print_problems
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.standing import format_not_moved
from hookd.config.problems import read_problem
from hookd.config.text.syntax import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hookd.config.problems import Problem

#: Names in one line.
_NAMES: Final = 10
#: Seconds.
_LONG_S: Final = 2.0
_WAITS: Final = "the files are still being written, or git is at work in their tree; that is waited for half a minute …"


@click.command("reload")
@click.option("--wait", is_flag=True, help="Wait for the result. It always does; this says so in a unit file.")
@click.option(
    "--allow-removals",
    is_flag=True,
    help="Apply also what takes away most of the webhooks that have pending deliveries. These are held then.",
)
@control_options
@output_option
def reload_command(*, wait: bool, allow_removals: bool, control: str | None, config: Path | None, output: str) -> int:
    """Read the config again and wait for the result.

    The daemon follows its files by itself; this is for knowing that it has, and what came of it. Exit code 78: the
    files are refused, with every problem and its place, and what ran before keeps running.
    """
    del wait
    body = {"allow_removals": True} if allow_removals else {}
    with _telling_what_is_waited_for():
        reloaded = ControlClient(find_control(control, config)).post("/v1/reload", body)
    if output == "json":
        print_json(reloaded)
    elif reloaded["problems"]:
        _print_refused(reloaded)
    else:
        _print_running(reloaded)
    return ExitCode.BAD_CONFIG if reloaded["problems"] else ExitCode.FINE


@contextmanager
def _telling_what_is_waited_for() -> Iterator[None]:
    """Tell a person who waits for longer than a save takes why that may be."""
    timer = threading.Timer(_LONG_S, print, [_WAITS], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _print_refused(reloaded: dict[str, Any]) -> None:
    problems = [read_problem(problem) for problem in reloaded["problems"]]
    print_problems(problems, _read_sources(problems))
    print(f"`hookd explain {problems[0].code}` says more", file=sys.stderr)
    what = "the last good config" if reloaded["last_good"] else "what ran before"
    print(f"refused; {what} keeps running: {reloaded['revision']}", file=sys.stderr)


def _read_sources(problems: Sequence[Problem]) -> dict[str, str]:
    """Give the text of the files that problems name, as far as they can be read here; the daemon sends no lines."""
    places = [place for problem in problems for place in (problem.place, problem.also) if place is not None]
    sources: dict[str, str] = {}
    for file in dict.fromkeys(place.file for place in places):
        try:
            path = Path(file)
            if path.is_absolute() and path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                sources[file] = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
    return sources


def _print_running(reloaded: dict[str, Any]) -> None:
    if reloaded["changed"]:
        print(f"now running {reloaded['revision']}")
    else:
        print(f"in force already: {reloaded['revision']}, applied {format_age_precisely(reloaded['applied_at'])} ago")
    for word, key in (("added", "added"), ("removed", "removed"), ("changed", "altered")):
        names = reloaded[key]
        if names and reloaded["changed"]:
            more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
            print(f"{word}: {', '.join(names[:_NAMES])}{more}")
    # `get`: the daemon may be an older one than this program.
    for refused in reloaded.get("not_moved", ()):
        print(f"not moved: {format_not_moved(refused)}")
    if reloaded["restart_required"]:
        print(f"needs a restart: {', '.join(reloaded['restart_required'])}")
