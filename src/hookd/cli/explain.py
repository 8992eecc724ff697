"""`hookd explain`: what a word of hookd's means, what happens next by itself, and what to do.

Rule: a code of `hookd check` is shown with an example and its mended form; all other words in a few sentences. A word
that is said of several things is explained for each.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.meanings import TITLES, Entry, read_entries
from hookd.cli.output import print_json, print_table, styled
from hookd.cli.places import output_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem

    from hookd.config.checking.explained import Explanation

_WIDTH = 100


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    known = {entry.word: entry.means for entry in reversed(read_entries())}
    return [CompletionItem(word, help=means) for word, means in sorted(known.items()) if word.startswith(incomplete)]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_complete)
@output_option
def explain_command(code: str | None, output: str) -> int:
    """Say what a CODE means; without CODE, list them all, by kind.

    A code is what `hookd check` puts beside a problem, the `code` of an event that was refused or of an answer of the
    HTTP APIs, the `cause` of an attempt or a delivery, a state that `hookd status` shows (suspended, held, …), the
    `msg` of a line of the log, or the code of a verb's own error. Of a problem it shows an example and its mended form;
    of the others it says what happens next by itself, and what to do.
    """
    entries = read_entries()
    if code is None:
        if output == "json":
            print_json([_describe(entry) for entry in entries])
        else:
            _print_list(entries)
        return ExitCode.FINE
    code = code.strip("[]()`\"'").lower()  # as it stands in a message
    # The second half of a message of the log may do: `not_moved`, as `hookd reload` calls it.
    found = [entry for entry in entries if entry.word == code]
    found = found or [entry for entry in entries if entry.kind == "line" and entry.word.endswith(f".{code}")]
    if not found:
        from hookd.config.problems import did_you_mean

        near = did_you_mean(code, [entry.word for entry in entries])
        hint = f"did you mean {near!r}?" if near else "`hookd explain` lists them"
        raise CliError(f"there is no code {code!r}; {hint}", ExitCode.USAGE)
    if output == "json":
        first, *others = map(_describe, found)
        print_json({**first, "also": others} if others else first)
        return ExitCode.FINE
    for number, entry in enumerate(found):
        if len(found) > 1:
            print(f"{chr(10) if number else ''}{TITLES[entry.kind]}:")
        _print_entry(entry)
    return ExitCode.FINE


@lru_cache(maxsize=1)
def _explanations() -> Mapping[str, Explanation]:
    from hookd.config.checking.explained import read_explanations

    return read_explanations()


def _print_list(entries: list[Entry]) -> None:
    for number, (kind, group) in enumerate(groupby(entries, key=lambda entry: entry.kind)):
        of_kind = list(group)
        print(f"{chr(10) if number else ''}{TITLES[kind]}:")
        column = of_kind[0].column
        if column is None:
            print_table((kind, "means"), [(entry.word, entry.means) for entry in of_kind], empty="")
        else:
            rows = [(entry.word, _word(entry.beside), entry.means) for entry in of_kind]
            print_table((kind, column, "means"), rows, empty="")


def _word(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _print_entry(entry: Entry) -> None:
    if entry.kind == "code":
        _print_code(_explanations()[entry.word])
        return
    beside = "" if entry.beside is None else f" ({_beside(entry)})"
    print(f"{styled(entry.word, 'strong')}{beside}: {entry.means}\n")
    print(fill(entry.more, _WIDTH, break_on_hyphens=False))


def _beside(entry: Entry) -> str:
    if entry.kind == "refusal":
        return "may succeed later" if entry.beside else "not to be sent again as it is"
    return f"{entry.column} {entry.beside}" if isinstance(entry.beside, int) else str(entry.beside)


def _describe(entry: Entry) -> dict[str, object]:
    if entry.kind == "code":
        explanation = _explanations()[entry.word]
        return {
            "code": explanation.code,
            "means": explanation.means,
            "more": explanation.more,
            "tier": explanation.tier or None,
            "wrong": dict(explanation.wrong),
            "right": dict(explanation.right),
        }
    beside = {} if entry.column is None else {entry.column: entry.beside}
    return {entry.kind: entry.word, **beside, "means": entry.means, "more": entry.more}


def _print_code(explanation: Explanation) -> None:
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
