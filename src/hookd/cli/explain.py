"""`hookd explain CODE`: what a code of `hookd check` means, with an example and its mended form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json, print_table, styled
from hookd.cli.places import output_option
from hookd.config.problems import CODES, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

    from hookd.config.checking.explained import Explanation


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(code, help=means) for code, means in CODES.items() if code.startswith(incomplete)]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_complete)
@output_option
def explain_command(code: str | None, output: str) -> int:
    """Say what a CODE of `hookd check` means, with an example and its mended form; without CODE, list them all."""
    from hookd.config.checking.explained import read_explanations

    if code is None:
        if output == "json":
            print_json([_describe(each) for each in read_explanations().values()])
        else:
            print_table(("code", "means"), list(CODES.items()), empty="")
        return ExitCode.FINE
    code = code.strip("[]").lower()  # as it stands in a message
    if code not in CODES:
        near = did_you_mean(code, CODES)
        hint = f"did you mean {near!r}?" if near else "`hookd explain` lists them"
        raise CliError(f"there is no code {code!r}; {hint}", ExitCode.USAGE)
    explanation = read_explanations()[code]
    if output == "json":
        print_json(_describe(explanation))
    else:
        _print(explanation)
    return ExitCode.FINE


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
