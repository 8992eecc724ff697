"""The parts of the verbs that need no process: times, bodies, tables, ids, errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.given import as_one_line, read_data, write_event
from hookd.cli.instants import format_age, format_age_precisely, parse_when
from hookd.cli.main import find_cause
from hookd.cli.output import align
from hookd.cli.readable import format_body, indent_json, make_visible
from hookd.cli.source import make_id, with_id
from hookd.cli.status import MOST_PROBLEMS, find_failing, next_of, render_head, sort_rows
from hookd.config.reload.broken import cut_daemon_section
from hookd.core.strictjson import parse_json

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 21, 16, 0, 0, tzinfo=UTC)
AT = 1_795_276_800_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T16:00:00Z", AT),
        ("2026-11-21T16:00:00.123Z", AT + 123),
        ("2026-11-21T17:00:00+01:00", AT),
        ("2026-11-21T16:00:00", AT),
        ("2026-11-21", AT - 16 * 3_600_000),
        ("2h", AT - 7_200_000),
        ("90m", AT - 5_400_000),
        ("3d", AT - 3 * 86_400_000),
        ("0s", AT),
    ],
)
def test_when(text: str, instant: int) -> None:
    assert parse_when(text, "--since", now=NOW) == instant


@pytest.mark.parametrize("text", ["", "yesterday", "2 h", "-2h", "2026-13-01", "999999999d", "1w", "9" * 5000 + "s"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(CliError, match="--since takes an instant") as told:
        parse_when(text, "--since", now=NOW)
    assert told.value.code is ExitCode.USAGE
    assert parse_when(None, "--since") is None


@pytest.mark.parametrize(
    ("instant", "age"),
    [
        (None, None),
        ("2026-11-21T15:59:53.500Z", "6s"),
        ("2026-11-21T15:59:00.000Z", "1m"),
        ("2026-11-21T14:01:00.000Z", "1h"),
        ("2026-11-18T16:00:00.000Z", "3d"),
        ("2026-11-21T16:00:10.000Z", "0s"),
    ],
)
def test_age(instant: str | None, age: str | None) -> None:
    assert format_age(instant, now=NOW) == age


@pytest.mark.parametrize(
    ("seconds", "age"), [(0, "0.0 s"), (0.26, "0.3 s"), (9.9, "9.9 s"), (10, "10s"), (4000, "1h"), (-5, "0.0 s")]
)
def test_a_short_age_is_told_to_a_tenth(seconds: float, age: str) -> None:
    instant = (NOW - timedelta(seconds=seconds)).isoformat()
    assert format_age_precisely(instant, now=NOW) == age


# --------------------------------------------------------------------------- bodies


def test_json_is_indented_and_its_digits_stay() -> None:
    text = r'{"n":1E2,"f":0.10,"z":-0,"u":"\u00e9\/","e":{},"l":[],"a":[1,{"b":null}],"n":2}'
    assert indent_json(text) == "\n".join(  # noqa: FLY002  lines are what is tested
        [
            "{",
            '  "n": 1E2,',
            '  "f": 0.10,',
            '  "z": -0,',
            '  "u": "é/",',
            '  "e": {},',
            '  "l": [],',
            '  "a": [',
            "    1,",
            "    {",
            '      "b": null',
            "    }",
            "  ],",
            '  "n": 2',
            "}",
        ]
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_indented_json_is_the_same_json(value: object, indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001
    shown = indent_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only))
    assert shown is not None
    assert json.loads(shown) == value
    assert shown == json.dumps(json.loads(shown), indent=2, ensure_ascii=False)


@pytest.mark.parametrize("text", ["", "{", '{"a":1} x', "[" * 100_000])
def test_what_is_not_json_is_not_indented(text: str) -> None:
    assert indent_json(text) is None
    assert format_body("application/json", text) == text


def test_a_form_has_one_parameter_a_line() -> None:
    body = "event=scanned&user=J%C3%BCrgen+%26+co&empty=&list%5B%5D=1&note=a%0Ab%1B%5B2J"
    assert format_body("application/x-www-form-urlencoded; charset=utf-8", body) == "\n".join(  # noqa: FLY002  lines
        ["event  = scanned", "user   = Jürgen & co", "empty  =", "list[] = 1", "note   = a\\nb\\x1b[2J"]
    )


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    assert make_visible("a\x1b]0;x\x07\x9b2J\r\n\tb\u202e") == "a\\x1b]0;x\\x07\\x9b2J\\r\n\tb\\u202e"
    assert make_visible("a\nb", one_line=True) == "a\\nb"
    assert "\x1b" not in format_body("text/plain", "\x1b[2J")
    assert "\x9b" not in format_body("application/json", '"\x9b"')
    assert format_body("x", {"base64": "/w=="}) == '{"base64": "/w=="}'


def test_columns_stand_under_each_other() -> None:
    assert align([["A", "LONG", "C"], ["aaa", "b", ""]]) == ["A    LONG  C", "aaa  b"]


# --------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"a","id":"1"}',
        b'{"type":"a","id":null}',
        b'{"type":"a","type":"b"}',
        b'{"type":"a","data":NaN}',
        b'{"type":"a","data":1e400}',
        b'{"type":"a","data":"\\ud800"}',
        b'\xef\xbb\xbf{"type":"a"}',
        b'{"type":"\xff"}',
        b'{"type":"a"',
        b"[]",
        b"7",
        b"{}",
        b"{ }",
        b"not json",
        b"[" * 200_000,
        b'{"specversion":"1.0","type":"a","source":"s"}',
    ],
)
def test_a_line_that_has_an_id_or_is_no_event_is_left_as_it_is(line: bytes) -> None:
    assert with_id(line) == line


@pytest.mark.parametrize("line", [b'{"type":"a"}', b' \t{ "type" : "a", "data": {"id": 7, "n": 1E2} }\r'])
def test_an_event_without_an_id_gets_one_and_keeps_its_bytes(line: bytes) -> None:
    ready = with_id(line)
    before = parse_json(line)
    after = parse_json(ready)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert {name: value for name, value in after.items() if name != "id"} == before
    assert ready.endswith(line[line.index(b"{") + 1 :])
    assert with_id(line) != ready


def test_ids_of_one_millisecond_differ() -> None:
    assert len({make_id() for _ in range(1_000)}) == 1_000


def test_an_event_of_the_command_line_keeps_the_bytes_of_its_data() -> None:
    data = read_data('{"n":1E2,"u":"\\u00e9\\/","big":12345678901234567890}')
    line = write_event({"type": "é", "id": None, "tenant": "a"}, data)
    assert line == b'{"type": "\\u00e9", "tenant": "a", "data": ' + data + b"}"
    assert write_event({"type": "x", "id": None}, None) == b'{"type": "x"}'


def test_data_is_json_or_a_file_of_json(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(b'{\r\n  "a": 0.10\r\n}\n')
    assert read_data(str(file)) == b'{    "a": 0.10  }'
    assert parse_json(as_one_line(file.read_bytes())) == {"a": 0.1}
    assert read_data("7") == b"7"


@pytest.mark.parametrize(
    "text", ["nofile", '{"secret":1', '{"a":"' + "s" * 10_000, "nul\0", "\udcff", '{"secret":1,"secret":2}']
)
def test_data_that_is_neither_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(CliError, match=r"--data(: | is neither)") as told:
        read_data(text)
    assert told.value.code is ExitCode.USAGE
    assert "secret" not in str(told.value)
    assert "sss" not in str(told.value)


# --------------------------------------------------------------------------- the rest


def test_the_daemon_section_is_found_in_a_file_that_is_broken_elsewhere() -> None:
    text = b"version: 1\ndaemon:\n  control:\n\n# here\n    unix: x\nwebhooks: [\n  daemon: y\n"
    assert cut_daemon_section(text) == b"daemon:\n  control:\n\n# here\n    unix: x\n"
    assert cut_daemon_section(b"\xff\x00") == b""


def test_of_a_group_of_errors_the_users_own_is_told() -> None:
    ours = CliError("x", ExitCode.TRY_AGAIN)
    deep = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [BrokenPipeError(), KeyboardInterrupt()])])
    assert isinstance(find_cause(deep), KeyboardInterrupt)
    assert find_cause(BaseExceptionGroup("", [deep, ours])) is ours
    assert isinstance(find_cause(BaseExceptionGroup("", [ValueError()])), ValueError)


def test_the_screen_begins_with_what_needs_a_look() -> None:
    rows = [
        {"webhook": name, "state": state, "pending": pending, "dead": 0}
        for name, state, pending in [
            ("a", "ok", 0),
            ("b", "ok", 5),
            ("c", "failing", 0),
            ("d", "suspended", 0),
            ("e", "paused", 1),
        ]
    ]
    assert "".join(row["webhook"] for row in sort_rows(rows)) == "dceba"


def failing(name: str, failures: int, *, state: str = "failing", breaker: str = "closed") -> dict[str, object]:
    return {"webhook": name, "state": state, "failures": failures, "breaker": breaker}


def test_who_keeps_failing_is_named_whatever_the_cause() -> None:
    rows = [
        failing("few", 3),
        failing("four", 4),
        failing("open", 1, breaker="open"),
        failing("late", 0, state="ok", breaker="open"),  # a success came late, and the breaker stays open
        failing("well", 0, state="ok"),
        failing("held", 9, state="suspended", breaker="open"),
        failing("paused", 9, state="paused"),
        failing("long", 70, breaker="open"),
        {**failing("ours", 9), "needs_person": "render_failed"},  # it is named for that
    ]
    assert find_failing(rows) == ["long", "four", "open", "late"]


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, None),
        (1, "1 webhook failing: w0"),
        (2, "2 webhooks failing: w0, w1"),
        (7, "7 webhooks failing: w0, w1, w2, w3, w4 and 2 more"),
    ],
)
def test_nobody_is_told_healthy_while_webhooks_fail(count: int, line: str | None) -> None:
    whole: dict[str, object] = {"version": "1", "pid": 1, "started_at": "2026-11-21T16:00:00Z", "revision": "abc"}
    whole |= {"healthy": True, "webhooks": 9, "applied_at": "2026-11-21T16:00:00Z", "config_rejected": None}
    whole |= {"last_good": False, "restart_required": [], "store_silent": None}
    whole |= dict.fromkeys(("pending", "held", "dead", "delivered", "in_flight"), 0)
    whole["backlog"] = [failing(f"w{number}", 9) for number in range(count)]
    lines = render_head(whole)
    assert lines[0].endswith(": webhooks are failing" if count else ": healthy")
    assert lines[3:] == ([] if line is None else [line])
    assert render_head({**whole, "healthy": False})[0].endswith(": needs a person")
    needs = [{"reason": "missing", "webhooks": ["crm"], "message": "2 deliveries are held", "advice": "put it back"}]
    needy = render_head({**whole, "healthy": False, "needs": needs})
    assert needy[3:] == ["2 deliveries are held", "  put it back", *lines[3:]]


def test_of_a_store_that_is_silent_no_figures_are_made_up() -> None:
    whole = {"version": "1", "pid": 1, "started_at": "2026-11-21T16:00:00Z", "healthy": False, "revision": "abc"}
    whole |= {"webhooks": 1, "applied_at": "2026-11-21T16:00:00Z", "in_flight": 3, "config_rejected": None}
    whole |= {"last_good": False, "restart_required": [], "backlog": [], "store_silent": "it does not answer"}
    whole |= dict.fromkeys(("pending", "held", "dead", "delivered"))
    lines = render_head(whole)
    assert lines[0].endswith("needs a person")
    assert lines[2:] == ["in flight 3; the backlog is not known", "it does not answer"]


@pytest.mark.parametrize("count", [0, 1, MOST_PROBLEMS, 1200])
def test_a_screen_has_room_for_so_many_problems_only(count: int) -> None:
    problem = {"file": "hookd.yaml", "line": 1, "column": 2, "message": "no"}
    whole = {"version": "1", "pid": 1, "started_at": "2026-11-21T16:00:00Z", "healthy": not count, "revision": "abc"}
    whole |= {"webhooks": 1, "applied_at": "2026-11-21T16:00:00Z", "pending": 0, "held": 0, "in_flight": 0}
    whole |= {
        "delivered": 0,
        "dead": 0,
        "last_good": False,
        "restart_required": [],
        "backlog": [],
        "store_silent": None,
    }
    lines = render_head({**whole, "config_rejected": {"problems": [problem] * count} if count else None})
    assert ", 1 webhook, " in lines[1]
    assert lines.count("  hookd.yaml:1:2: no") == min(count, MOST_PROBLEMS)
    more = [line for line in lines if "more: `hookd check`" in line]
    assert more == ([f"  … and {count - MOST_PROBLEMS} more: `hookd check`"] if count > MOST_PROBLEMS else [])


def test_what_is_due_already_is_next_now() -> None:
    assert next_of(None) is None
    assert next_of("2026-01-01T00:00:00.000Z") == "now"
    assert next_of("2999-01-01T00:00:00.000Z") == "2999-01-01T00:00:00.000Z"
