"""`hookd check`: every problem of the whole tree at once, and the tests that stand in it.

It is offline and needs no secrets, so that it serves as a pre-commit hook and in CI.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from hookd.cli.errors import ExitCode
from hookd.cli.output import print_json, styled
from hookd.cli.places import config_option, find_config, output_option
from hookd.config.load import load_config
from hookd.config.problems import ConfigInvalid, Problem, render_problems
from hookd.config.trial import run_trials

if TYPE_CHECKING:
    from pathlib import Path


@click.command("check")
@config_option
@output_option
def check_command(config: Path | None, output: str) -> int:
    """Check the config: syntax, keys, values, schemas, templates, filters; then run the tests that stand in it."""
    main = find_config(config)
    try:
        loaded = load_config(main)
    except ConfigInvalid as invalid:
        if output == "json":
            print_json({"valid": False, "problems": [describe_problem(problem) for problem in invalid.problems]})
        else:
            print(render_problems(invalid.problems, invalid.sources), end="", file=sys.stderr)
            count = len(invalid.problems)
            print(styled(f"{count} problem{'s' if count != 1 else ''}", "bad", to=sys.stderr), file=sys.stderr)
        return ExitCode.NOT_SO
    results = run_trials(loaded, now=time.time_ns() // 1_000_000)
    problems = [problem for result in results if (problem := result.problem) is not None]
    if output == "json":
        print_json(
            {
                "valid": not problems,
                "problems": [describe_problem(problem) for problem in problems],
                "revision": str(loaded.revision),
                "webhooks": len(loaded.webhooks),
                "event_types": len(loaded.event_types),
                "tests": len(results),
            }
        )
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        word = styled("ok", "good") if not problems else styled(f"{len(problems)} tests failed", "bad")
        print(
            f"{main}: {word}: {len(loaded.webhooks)} webhooks, {len(loaded.event_types)} event types, "
            f"{len(results) - len(problems)} of {len(results)} tests passed (revision {loaded.revision})"
        )
    return ExitCode.NOT_SO if problems else ExitCode.FINE


def describe_problem(problem: Problem) -> dict[str, object]:
    """Give a problem for programs."""
    return {
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
