"""Several mistakes of YAML syntax in one file: those that are certain are told, and nothing that only follows."""

from __future__ import annotations

import random
import textwrap
from pathlib import Path
from typing import Final

import pytest

from hookd.config.problems import ConfigInvalid
from hookd.config.text.strictyaml import parse_yaml

EXAMPLE: Final = Path(__file__).parents[2] / "config.example.yaml"
#: What breaks most often, and what is put in its place.
_MARKS: Final = ":\"'[]{},-"
_SLIPS: Final = ":\"'[]{},-&*|>@`%#\t "


def told(text: str) -> list[tuple[int, int, str]]:
    """Give line, column and message of what is wrong."""
    try:
        parse_yaml(text.encode(), "f")
    except ConfigInvalid as error:
        return [(it.place.line, it.place.column, it.message) for it in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            """\
            version: 1
            daemon: {state_dir: x
            webhooks:
              crm:
                name: a: b
                url: https://a.example/
              shop:
                events: [*]
               url: https://b.example/
              mail:
                \turl: x
              last: "open
            """,
            ["2:9", "5:12", "8:14", "11:5", "12:9"],
        ),
        # What an anchor stands for may stand in what is passed over.
        ("a: @\nb: &x {}\nc: 'it's'\nd: *x\ne: *y\n", ["1:4", "3:8"]),
        # Between brackets a line may be anything, however far it is indented.
        ("a: {\nb: @c,\nd: e,\nf: g\n}\n", ["2:4"]),
        ("a: {\nb: @c,\nd: e\n}\n", ["2:4"]),
        ("a:\n  b: [@,\n  c: d,\n  e]\n", ["2:7"]),
        # So may the lines of a text, if it is not known that it is one.
        ("a:\n  b: 1\n\tt: |\n  c: }\n  d: x\nz: [*]\n", ["3:1", "6:5"]),
        ("a:\n  b: 1\n   t: |\n  c: }\n  d: x\nz: [*]\n", ["3:4", "6:5"]),
        ("a:\n  b: @\n\tt: |\n  c: }\n  d: x\nz: [*]\n", ["2:6", "6:5"]),
        # Indented less since: the section has ended, or its indentation is what is wrong.
        ("a:\n    b: @\n  c: d\n    e: @\nf: @\n", ["2:8", "5:4"]),
        ("a: 1\n---\nb: @\n", ["2:1"]),
        ("- a: @\n- b: @\n", ["1:6"]),
        ('{"a": @,\n"b": @}\n', ["1:7"]),
        ("", []),
    ],
)
def test_mistakes_that_are_certain_are_told_and_no_others(text: str, expected: list[str]) -> None:
    assert [f"{line}:{column}" for line, column, _ in told(textwrap.dedent(text))] == expected


def test_a_file_in_which_nothing_is_right_does_not_cost_much() -> None:
    found = told("".join(f"k{number}: @\n" for number in range(50_000)))
    assert [line for line, *_ in found] == list(range(1, len(found) + 1))
    assert 1 < len(found) <= 20


def _mutate(line: str, chance: random.Random) -> str:
    """Break a line as people do: a mark too few or too many, an indentation, a space, a tab."""
    marks = [at for at, character in enumerate(line) if character in _MARKS]
    at = chance.randrange(len(line) + 1)
    lost = chance.choice(marks) if marks else 0
    return chance.choice(
        [
            line[:lost] + line[lost + 1 :],
            line[:at] + chance.choice(_SLIPS) + line[at:],
            " " * chance.choice([1, 2, 3]) + line,
            line[chance.choice([1, 2]) :] if line.startswith("  ") else f" {line}",
            line.replace(": ", ":", 1),
            f"\t{line}",
        ]
    )


def test_of_two_mistakes_in_the_example_each_is_there_without_the_other() -> None:
    """Whatever is told of a file with two mistakes is told of it with one of them alone."""
    chance = random.Random(20261122)
    lines = EXAMPLE.read_text().split("\n")
    where = [at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    pairs = both = 0
    while pairs < 60:
        one, other = sorted(chance.sample(where, 2))
        broken = {at: _mutate(lines[at], chance) for at in (one, other)}
        alone = [told("\n".join([*lines[:at], broken[at], *lines[at + 1 :]])) for at in (one, other)]
        if not all(alone):
            continue
        pairs += 1
        assert [len(found) for found in alone] == [1, 1], broken
        found = told("\n".join(broken.get(at, line) for at, line in enumerate(lines)))
        assert {*found} <= {*alone[0], *alone[1]}, broken
        both += len(found) == 2
    assert both >= pairs // 2
