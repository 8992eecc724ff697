"""`hookd explain`: what a code of `hookd check` means, with an example and its mended form; what a cause means."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json, print_table, styled
from hookd.cli.places import output_option
from hookd.config.problems import CODES, did_you_mean
from hookd.core.causes import CAUSES
from hookd.core.model import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

    from hookd.config.checking.explained import Explanation


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    known = {**CODES, **{cause.value: meaning.means for cause, meaning in CAUSES.items()}}
    return [CompletionItem(code, help=means) for code, means in known.items() if code.startswith(incomplete)]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_complete)
@output_option
def explain_command(code: str | None, output: str) -> int:
    """Say what a CODE means; without CODE, list them all.

    Of `hookd check` it shows an example and its mended form. Of an attempt or a delivery (the `cause` in the log and in
    `hookd attempts`) it says what hookd does now, and what to do.
    """
    from hookd.config.checking.explained import read_explanations

    if code is None:
        if output == "json":
            print_json([*map(_describe, read_explanations().values()), *map(_describe_cause, CAUSES)])
        else:
            print_table(("code", "means"), list(CODES.items()), empty="")
            print()
            rows = [(cause.value, meaning.kind, meaning.means) for cause, meaning in CAUSES.items()]
            print_table(("cause", "outcome", "means"), rows, empty="")
        return ExitCode.FINE
    code = code.strip("[]()").lower()  # as it stands in a message
    cause = Cause(code) if code in set(CAUSES) else None
    if cause is not None and code not in CODES:
        _explain_cause(cause, output)
        return ExitCode.FINE
    if code not in CODES:
        near = did_you_mean(code, [*CODES, *CAUSES])
        hint = f"did you mean {near!r}?" if near else "`hookd explain` lists them"
        raise CliError(f"there is no code {code!r}; {hint}", ExitCode.USAGE)
    explanation = read_explanations()[code]
    if output == "json":
        print_json(_describe(explanation))
    else:
        _print(explanation)
        if cause is not None:
            print("\nAs the cause of an attempt:")
            _explain_cause(cause, output)
    return ExitCode.FINE


def _explain_cause(cause: Cause, output: str) -> None:
    if output == "json":
        print_json(_describe_cause(cause))
        return
    meaning = CAUSES[cause]
    print(f"{styled(cause.value, 'strong')} ({meaning.kind}): {meaning.means}\n")
    print(fill(meaning.more, 100, break_on_hyphens=False))


def _describe_cause(cause: Cause) -> dict[str, object]:
    meaning = CAUSES[cause]
    return {"cause": cause.value, "outcome": meaning.kind, "means": meaning.means, "more": meaning.more}


def _describe(explanation: Explanation) -> dict[str, object]:
    return {
        "code": explanation.code,
        "means": explanation.means,
        "more": explanation.more,
        "tier": explanation.tier or None,
        "wrong": dict(explanation.wrong),
        "right": dict(explanation.right),
    }


def _print(explanation: Explanation) -> None:
    print(f"{styled(explanation.code, 'strong')}: {explanation.means}\n")
    print(explanation.more)
    if explanation.tier:
        print(f"\nIt is looked for by `hookd check --{explanation.tier}`.")
    for title, style, files in (("Wrong", "bad", explanation.wrong), ("Right", "good", explanation.right)):
        print(f"\n{styled(f'{title}:', style)}\n")
        _print_files(files)


def _print_files(files: Mapping[str, str]) -> None:
    for number, (name, text) in enumerate(files.items()):
        if len(files) > 1:
            print(f"{chr(10) if number else ''}  {styled(f'# {name}', 'faint')}")
        for line in text.splitlines():
            print(f"  {line}".rstrip())
