"""`hookd check`: every problem of the whole tree at once, and the tests that stand in it.

Rules of this module:

1. It has tiers, since what can be known differs from place to place. Without an option it is offline and needs no
   secrets, fit for a pre-commit hook and for CI. `--environment` looks at this machine, `--live` at the receivers.
2. A later tier is looked at only when there is a config: what the files say comes first.
3. Errors end with exit code 1. Warnings do not, unless `--strict` makes errors of them.
4. Reports for machines go to standard output and hold nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json, print_problems, styled
from hookd.cli.places import config_option, find_config
from hookd.config.checking.advice import find_advice, find_denied, find_idle, find_untestable
from hookd.config.checking.fruitless import find_fruitless
from hookd.config.checking.keywords import find_misspelt
from hookd.config.checking.testevents import find_refused
from hookd.config.checking.trial import place_faults, run_trials
from hookd.config.checking.unread import find_unread
from hookd.config.load import Rejected, load_again
from hookd.config.problems import describe_problem, sort_problems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hookd.cli.probing import Reached
    from hookd.config.checking.trial import TrialResult
    from hookd.config.load import Loaded
    from hookd.config.problems import Problem
    from hookd.core.config import Config


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What the tiers found. `loaded` is None when the files do not make a config."""

    main: Path
    loaded: Loaded | None
    sources: Mapping[str, str]
    problems: list[Problem]
    results: tuple[TrialResult, ...] = ()
    reached: list[Reached] = field(default_factory=list)

    @property
    def config(self) -> Config | None:
        """The config, if the files make one."""
        return None if self.loaded is None else self.loaded.config

    @property
    def all(self) -> tuple[Problem, ...]:
        """Every problem, failed tests too, in the order of the files."""
        failed = [problem for result in self.results if (problem := result.problem) is not None]
        return sort_problems([*self.problems, *failed])


@click.command("check")
@config_option
@click.option(
    "--environment",
    is_flag=True,
    help="Look at this machine too: secrets, certificates, directories, users and groups. As the user that runs this.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Connect to every receiver too: look-up, address check, TLS. Sends nothing.",
)
@click.option("--run", "pattern", metavar="PATTERN", help="Run only these tests: crm, 'crm*', crm/2, or by name.")
@click.option("--junit", "junit", metavar="FILE", help="Write the results of the tests to FILE, as JUnit XML.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--output",
    type=click.Choice(["human", "json", "github", "sarif"]),
    default="human",
    show_default=True,
    help="For people, for programs, as annotations of a GitHub workflow, or as SARIF 2.1.0.",
)
def check_command(
    config: Path | None,
    pattern: str | None,
    junit: str | None,
    output: str,
    *,
    environment: bool,
    live: bool,
    strict: bool,
) -> int:
    """Check the config: syntax, keys, values, schemas, templates, filters; then run the tests that stand in it.

    Needs no daemon, no network and no secrets, unless --environment or --live ask for more. `hookd explain CODE`
    says more about a problem. Exit code 1: there are errors, or a test failed.
    """
    found = _look(find_config(config))
    if found.loaded is not None:
        loaded = found.loaded
        results = run_trials(loaded.config, now=time.time_ns() // 1_000_000, pattern=pattern)
        found.results = place_faults(results, loaded.config, loaded.snapshot)
        if pattern is not None and not found.results:
            raise CliError(f"no test is called {pattern!r}: name a webhook, WEBHOOK/NUMBER or a test", ExitCode.USAGE)
        if environment:
            found.problems += _look_around(loaded)
        if live:
            found.reached, problems = _reach_out(loaded)
            found.problems += problems
    if strict:
        found.problems = [replace(problem, severity="error") for problem in found.problems]
    if junit is not None:
        _write_junit(junit, found)
    _REPORTS[output](found)
    return ExitCode.NOT_SO if any(problem.severity == "error" for problem in found.all) else ExitCode.FINE


def _look(main: Path) -> _Findings:
    loaded = load_again(main, None)
    if isinstance(loaded, Rejected):
        sources = dict(loaded.error.sources) | dict(loaded.snapshot.sources if loaded.snapshot else {})
        found = _Findings(main=main, loaded=None, sources=sources, problems=list(loaded.error.problems))
    else:
        found = _Findings(main=main, loaded=loaded, sources=loaded.snapshot.sources, problems=[])
        found.problems += find_denied(loaded.config, loaded.snapshot)
        found.problems += find_idle(loaded.config, loaded.snapshot)
        found.problems += find_untestable(loaded.config, loaded.snapshot)
        found.problems += find_refused(loaded.config, loaded.snapshot)
        found.problems += find_fruitless(loaded.config, loaded.snapshot)
        found.problems += find_misspelt(loaded.config, loaded.snapshot)
    if loaded.snapshot is not None:
        found.problems += find_advice(loaded.snapshot)
        found.problems += find_unread(loaded.snapshot)
    return found


def _look_around(loaded: Loaded) -> list[Problem]:
    from hookd.config.checking.environment import check_environment
    from hookd.systemd import credentials_directory

    return check_environment(loaded.config, loaded.snapshot, credentials_directory(), os.environ)


def _reach_out(loaded: Loaded) -> tuple[list[Reached], list[Problem]]:
    from hookd.cli.probing import probe
    from hookd.config.references import SecretReader
    from hookd.systemd import credentials_directory

    return probe(loaded.config, loaded.snapshot, SecretReader(credentials_directory(), os.environ))


def _write_junit(file: str, found: _Findings) -> None:
    from hookd.cli.reports import render_junit

    try:
        with open(file, "w", encoding="utf-8") as written:  # noqa: PTH123  a path that is none is no error of Path
            written.write(render_junit(found.results, found.problems))
    except PermissionError:
        raise CliError(f"cannot write {file}: permission denied", ExitCode.NOT_ALLOWED) from None
    except (OSError, ValueError) as error:
        raise CliError(f"cannot write {file}: {_why_not(file, error)}", ExitCode.USAGE) from None


def _why_not(file: str, error: Exception) -> str:
    directory = os.path.dirname(file)  # noqa: PTH120  a path that is none is no error of Path
    if isinstance(error, FileNotFoundError) and directory:
        return f"there is no directory {directory}; make it first"
    if isinstance(error, IsADirectoryError):
        return "this is a directory; name a file in it"
    return getattr(error, "strerror", None) or "not a file name"


# --------------------------------------------------------------------------- reports


def _print_human(found: _Findings) -> None:
    print_problems(found.all, found.sources)
    for reached in found.reached:
        if reached.fault is None:
            where = f"{'proxy ' if reached.proxied else ''}{reached.origin}"
            print(f"{styled('reached', 'good')} {where} in {reached.duration_ms:.0f} ms ({reached.names})")
    errors = sum(problem.severity == "error" for problem in found.all)
    told = ", ".join(filter(None, (_count(errors, "error"), _count(len(found.all) - errors, "warning"))))
    if told:
        # Of the first error if there is one: that is what keeps somebody from going on.
        first = min(found.all, key=lambda problem: problem.severity != "error")
        counted = styled(told, "bad" if errors else "warn", to=sys.stderr)
        print(f"{counted}; `hookd explain {first.code}` says more", file=sys.stderr)
    if found.config is None:
        return
    passed = sum(result.passed for result in found.results)
    word = styled("not ok", "bad") if errors else styled("ok", "good")
    print(
        f"{found.main}: {word}: {_count(len(found.config.webhooks), 'webhook') or 'no webhooks'}, "
        f"{_count(len(found.config.event_types), 'event type') or 'no event types'}, "
        f"{passed} of {_count(len(found.results), 'test') or '0 tests'} passed (revision {found.config.revision})"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def _print_json(found: _Findings) -> None:
    report: dict[str, Any] = {
        "valid": not any(problem.severity == "error" for problem in found.all),
        "problems": [describe_problem(problem) for problem in found.all],
    }
    if found.config is not None:
        report |= {
            "revision": str(found.config.revision),
            "webhooks": len(found.config.webhooks),
            "event_types": len(found.config.event_types),
            "tests": len(found.results),
            "tests_passed": sum(result.passed for result in found.results),
            "reached": [
                {
                    "origin": reached.origin,
                    "proxied": reached.proxied,
                    "webhooks": [webhook.id for webhook in reached.webhooks],
                    "duration_ms": round(reached.duration_ms, 1),
                    "fault": reached.fault,
                }
                for reached in found.reached
            ],
        }
    print_json(report)


def _print_github(found: _Findings) -> None:
    from hookd.cli.reports import render_github

    print(render_github(found.all), end="")


def _print_sarif(found: _Findings) -> None:
    from hookd.cli.reports import describe_sarif

    print(json.dumps(describe_sarif(found.all), ensure_ascii=False, indent=2))


_REPORTS = {"human": _print_human, "json": _print_json, "github": _print_github, "sarif": _print_sarif}
