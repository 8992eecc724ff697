"""Problems as they are shown: the caret under its character, secrets masked, nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from hookd.config.checking import showing
from hookd.config.checking.showing import columns_of, mask_line, render_problems
from hookd.config.problems import Problem
from hookd.core.config import Place

TEXT = "version: 1\nwebhooks:\n  crm:\n    timout: 10s\n    timeout: 5s\n"


def at(line: int, column: int, file: str = "hookd.yaml") -> Place:
    return Place(file=file, line=line, column=column)


def show(line: str, column: int, *, width: int = 120) -> tuple[str, str]:
    """Give the source line and the caret line of a problem in a file of one line, without their margins."""
    shown = render_problems([Problem(at(1, column), "no", "bad_value")], {"hookd.yaml": line}, width=width)
    _, source, caret = shown.splitlines()
    assert source.startswith("  1 | ")
    assert caret.startswith("    | ")
    return source[6:], caret[6:]


def test_a_problem_is_shown_with_its_line_and_a_caret() -> None:
    problem = Problem(at(4, 5), "webhook `crm` has no key `timout`", "unknown_key", "one of timeout", "timeout")
    assert str(problem) == "hookd.yaml:4:5: webhook `crm` has no key `timout`"
    assert render_problems([problem], {"hookd.yaml": TEXT}) == (
        "hookd.yaml:4:5: error: webhook `crm` has no key `timout` [unknown_key]\n"
        "  4 |     timout: 10s\n"
        "    |     ^^^^^^\n"
        "  help: did you mean `timeout`?\n"
    )


def test_the_path_of_a_template_is_underlined_to_its_end() -> None:
    assert show("a: x $(data.a b) $(id)", 6)[1] == "     " + "^" * len("$(data.a b)")


def test_a_warning_says_that_it_is_one() -> None:
    problem = Problem(at(1, 1), "no file", "empty_include", severity="warning")
    assert render_problems([problem], {}) == "hookd.yaml:1:1: warning: no file [empty_include]\n"


def test_both_places_of_a_problem_are_shown() -> None:
    problem = Problem(at(5, 5), "the key `timeout` stands twice", "duplicate_key", also=at(4, 5))
    shown = render_problems([problem], {"hookd.yaml": TEXT})
    assert "  5 |     timeout: 5s\n" in shown
    assert "  first defined here: hookd.yaml:4:5\n  4 |     timout: 10s\n" in shown


def test_what_was_expected_is_shown_when_nothing_is_near() -> None:
    problem = Problem(at(1, 1), "auth has no key `token`", "unknown_key", "one of bearer, basic")
    assert render_problems([problem], {}) == (
        "hookd.yaml:1:1: error: auth has no key `token` [unknown_key]\n  help: expected one of bearer, basic\n"
    )


@pytest.mark.parametrize("place", [at(99, 1), at(0, 0), at(1, 1, "other.yaml")])
def test_a_place_that_is_not_in_the_sources_is_shown_without_a_line(place: Place) -> None:
    shown = render_problems([Problem(place, "gone", "missing_file")], {"hookd.yaml": TEXT})
    assert shown == f"{place}: error: gone [missing_file]\n"


@pytest.mark.parametrize("width", [1, 60, 80, 120, 500])
def test_a_long_line_is_cut_around_the_caret(width: int) -> None:
    line = "a: [" + "x, " * 200 + "]"
    source, caret = show(line, 304, width=width)
    assert len(source) <= max(40, min(width, 120))
    assert source[caret.index("^")] == line[303]


def test_what_fits_is_shown_from_its_beginning() -> None:
    line = "a: {" + "b" * 90 + ": 1}"
    assert show(line, 5) == (line, "    " + "^" * 90)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("a: 漢字, wrong: 1", "wrong"),  # two columns each
        ("a: e\u0301e\u0301, wrong: 1", "wrong"),  # none for the accents
        ("a: 👩\u200d💻, wrong: 1", "wrong"),
        ("a:\tb, wrong: 1", "wrong"),  # a tab is shown as four spaces
        ("a: 1, 漢字: 2", "漢字"),
        ('a: 1, "two words": 2', '"two words"'),
        ("a: [x, y]", "x"),
        ("a: [{credential: crm}, y]", "{credential: crm}"),
        ("url: https://a.example:8443/x, z", "https://a.example:8443/x"),
    ],
)
def test_the_caret_stands_under_its_word_as_a_terminal_shows_it(line: str, word: str) -> None:
    source, caret = show(line, line.index(word) + 1)
    before = source[: source.index(word)]
    assert caret == " " * columns_of(before) + "^" * columns_of(word)


def test_many_problems_in_a_long_line_cost_no_more_than_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is searched for secrets once, and of it no more is measured than what is shown."""
    mask, columns = showing.mask_line, showing._columns
    work = {"searched": 0, "measured": 0}

    def count_searched(line: str) -> str:
        work["searched"] += len(line)
        return mask(line)

    def count_measured(character: str) -> int:
        work["measured"] += 1
        return columns(character)

    line = "{" + ", ".join(f"名{number:04}: 1x" for number in range(3_000)) + "}"
    starts = [at for at in range(len(line)) if line.startswith("1x", at)]
    problems = [Problem(at(1, start + 1), "no", "bad_value") for start in starts]
    monkeypatch.setattr(showing, "mask_line", count_searched)
    monkeypatch.setattr(showing, "_columns", count_measured)
    shown = render_problems(problems, {"hookd.yaml": line}).splitlines()
    assert work["searched"] <= 4 * len(line)
    assert work["measured"] <= 4 * 120 * len(problems)
    assert len(shown) == 3 * len(starts) == 3 * 3_000
    for number, start in enumerate(starts[::100]):
        _, source, carets = shown[number * 300 : number * 300 + 3]
        before = next(source[:it] for it in range(len(source)) if columns_of(source[:it]) == carets.index("^"))
        assert line[start - 7 : start + 2] == source[len(before) - 7 : len(before) + 2]


def test_columns_are_those_of_a_terminal() -> None:
    assert [columns_of(text) for text in ("abc", "漢", "e\u0301", "\t", "")] == [3, 2, 1, 4, 0]


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\x00", "\u202e", "\x9b", "\u2066", "\u200b"])
def test_nothing_of_a_file_commands_the_terminal(hidden: str) -> None:
    place = at(1, 1, f"a{hidden}.yaml")
    problem = Problem(place, f"no key `{hidden}`", "unknown_key", hint=hidden, also=place, notes=(hidden,))
    shown = render_problems([problem], {place.file: f"a: {hidden}b"})
    assert hidden[0] not in shown
    assert "\N{REPLACEMENT CHARACTER}" in shown


def test_colours_are_put_on_parts_and_change_no_text() -> None:
    problem = Problem(at(4, 5), "no", "unknown_key", hint="timeout", also=at(5, 5), notes=("-a", "+b", " c"))
    painted = render_problems([problem], {"hookd.yaml": TEXT}, paint=lambda text, style: f"<{style}>{text}</>")
    for part in ("<strong>hookd.yaml:4:5:</>", "<bad>error:</>", "<faint>[unknown_key]</>", "<bad>^^^^^^</>"):
        assert part in painted
    for part in ("<good>help:</>", "<faint>^^^^^^^</>", "<bad>-a</>", "<good>+b</>"):
        assert part in painted
    plain = painted
    for style in ("strong", "bad", "faint", "good"):
        plain = plain.replace(f"<{style}>", "")
    assert plain.replace("</>", "") == render_problems([problem], {"hookd.yaml": TEXT})


def test_lines_end_as_yaml_ends_them() -> None:
    text = "a: 1\r\nb: 2\rc: \x0b 3\n"
    assert "  3 | c: \N{REPLACEMENT CHARACTER} 3\n" in render_problems(
        [Problem(at(3, 1), "no", "bad_value")], {"hookd.yaml": text}
    )


def test_the_caret_stands_under_its_character_although_secrets_before_it_are_masked() -> None:
    line = "a: {token: abcdefghijklmnop, timout: 3}"
    shown = render_problems([Problem(at(1, 30), "no", "unknown_key")], {"hookd.yaml": line}).splitlines()
    assert "abcdefgh" not in shown[1]
    assert shown[1][shown[2].index("^") :].startswith("timout")


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("secrets: [whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD, x]", "C2FVsBQ"),
        ("tokens: [{credential: t}, hunter2]", "hunter2"),
        ("tokens: [{credential: t}, hunter2, {file: x}]", "hunter2"),
        ("secrets: [a, 'hun{ter2', {file: x}]", "ter2"),
        ("secrets: [{file: x}, hunter2", "hunter2"),
        ("url: https://user:hunter2@crm.example.com/hooks", "hunter2"),
        ("url: https://crm.example.com/hooks?sig=hunter2&a=b", "hunter2"),
        ("url: ftp://crm.example.com/hooks?sig=hunter2", "hunter2"),
        ("url: //crm.example.com/?hunter2", "hunter2"),
        ("url: crm.example.com?sig=hunter2&a=b", "hunter2"),
        ("bearer: hunter2", "hunter2"),
        ("auth: {basic: {username: u, password: hunter2}}", "hunter2"),
        ('  password: "hunter2 is"  # no', "hunter2"),
        ("  password: 'hunter2", "hunter2"),
        ("X-Api-Key: hunter2", "hunter2"),
        ("headers: {Authorization: Basic dTpodW50ZXIy}", "dTpodW50ZXIy"),
        ("any: 0af7651916cd43dd8448eb211c80319c", "0af765"),
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str, secret: str) -> None:
    assert secret in line
    assert secret not in mask_line(line)
    column = line.index(secret) + 1
    assert secret not in render_problems([Problem(at(1, column), "no", "bad_value")], {"hookd.yaml": line})
    assert secret not in render_problems([Problem(at(1, 1), "no", "bad_value")], {"hookd.yaml": line})


@pytest.mark.parametrize(
    "line",
    [
        "timeout: 10 seconds",
        "events: [user.updated.registration.2024, x]",
        "url: https://crm.example.com/hooks",
        "sign: {secrets: [{credential: crm-new}]}",
        "bearer: {file: /etc/hookd/secrets/crm}",
        "allow_networks: [10.1.0.0/16]",
        "unix: /srv/tenant2/hookd/events.sock",
        "customer-4711-production-west: {}",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    assert mask_line(line) == line
