"""How one webhook stands, on the screen."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.standing import print_standing
from hookd.cli.watching import watch_screen

NOW = datetime(2026, 11, 21, 16, 0, 0, tzinfo=UTC)
AT = "2026-11-21T15:{}Z".format
AHEAD = "2026-11-21T16:{}Z".format
QUIET: dict[str, Any] = {
    "webhook": "crm",
    "state": "ok",
    "pending": 0,
    "held": 0,
    "dead": 0,
    "delivered": 0,
    "in_flight": 0,
    "oldest_pending_at": None,
    "next_due_at": None,
    "breaker": "closed",
    "breaker_until": None,
    "breaker_opened": 0,
    "failures": 0,
    "failing_since": None,
    "paused_until": None,
    "suspended_at": None,
    "suspended_cause": None,
    "last_error": None,
    "last_success_at": None,
}
FAILING = {
    "state": "failing",
    "failures": 7,
    "failing_since": AT("00:00.000"),
    "last_error": "status 500",
    "pending": 3,
    "oldest_pending_at": AT("00:00.000"),
    "next_due_at": AT("59:00.000"),
}


def screen(capsys: pytest.CaptureFixture[str], **how: object) -> list[str]:
    print_standing({**QUIET, **how}, now=NOW)
    return capsys.readouterr().out.splitlines()


def test_all_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert screen(capsys) == ["crm: ok", "pending  0", "dead     0", "breaker  closed"]


def test_one_that_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen(capsys, delivered=12, last_success_at=AT("59:50.000"), last_error="old", pending=1, in_flight=1)
    assert lines == [
        "crm: ok",
        "pending       1 (1 in flight)",
        "next attempt  now",
        "delivered     12",
        "last success  2026-11-21T15:59:50.000Z (10s ago)",
        "dead          0",
        "breaker       closed",
    ]


def test_one_that_fails_behind_an_open_breaker(capsys: pytest.CaptureFixture[str]) -> None:
    how = {**FAILING, "breaker": "open", "breaker_until": AHEAD("00:40.000"), "breaker_opened": 2, "dead": 4}
    assert screen(capsys, **how) == [
        "crm: failing 7 times in a row, since 2026-11-21T15:00:00.000Z (1h ago)",
        "pending       3 (the oldest of 2026-11-21T15:00:00.000Z, 1h ago)",
        "next attempt  2026-11-21T16:00:40.000Z (in 40s): a probe",
        "dead          4: `hookd redrive crm` makes them due again",
        "breaker       open for the 2nd time in a row; a probe 2026-11-21T16:00:40.000Z (in 40s)",
        "last error    status 500",
    ]


def test_a_breaker_whose_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    how = {**FAILING, "failures": 1, "breaker": "open", "breaker_until": AT("59:40.000"), "breaker_opened": 1}
    lines = screen(capsys, **how)
    assert lines[0] == "crm: failing once, since 2026-11-21T15:00:00.000Z (1h ago)"
    assert "next attempt  now" in lines
    assert "breaker       open; a probe is next" in lines


def test_a_receiver_that_asked_to_wait(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen(capsys, **{**FAILING, "paused_until": AHEAD("10:00.000")})
    assert "next attempt  2026-11-21T16:10:00.000Z (in 10m): its receiver asked to wait until then" in lines


def test_one_that_is_suspended(capsys: pytest.CaptureFixture[str]) -> None:
    how = {"state": "suspended", "suspended_at": AT("58:00.000"), "suspended_cause": "gone", "held": 3}
    lines = screen(capsys, **{**FAILING, **how})
    assert lines[0] == "crm: suspended since 2026-11-21T15:58:00.000Z (2m ago): gone"
    assert lines[1].startswith("  once it is mended: `hookd resume crm`")
    assert lines[1].endswith("3 deliveries are held for it")
    assert not [line for line in lines if line.startswith("next attempt")]
    assert "last error  status 500" in lines


@pytest.mark.parametrize(
    ("state", "word"), [("paused", "`paused: true`"), ("inactive", "`active: false`"), ("missing", "`moved:`")]
)
def test_one_that_is_held_by_the_files(capsys: pytest.CaptureFixture[str], state: str, word: str) -> None:
    lines = screen(capsys, state=state, pending=2, held=2)
    assert lines[0].startswith(f"crm: {state}")
    assert word in lines[1]
    assert "pending  2 (2 held)" in lines


def test_one_that_is_gone_is_not_said_to_be_probed(capsys: pytest.CaptureFixture[str]) -> None:
    how = {**FAILING, "breaker": "open", "breaker_until": AHEAD("00:05.000"), "breaker_opened": 1, "dead": 4}
    advice = "put it back, name its successor under `moved:`, or give it up: `hookd remove crm`"
    assert screen(capsys, **{**how, "state": "missing", "held": 3, "needs_person": "missing"}) == [
        "crm: missing: it is not in the running config",
        f"  {advice}; 3 deliveries are held for it",
        "pending     3 (3 held, the oldest of 2026-11-21T15:00:00.000Z, 1h ago)",
        "dead        4: once it is back, `hookd redrive crm` makes them due again",
        "last error  status 500",
    ]


@pytest.mark.parametrize("state", ["suspended", "paused", "inactive"])
def test_one_that_is_held_is_not_said_to_be_probed(capsys: pytest.CaptureFixture[str], state: str) -> None:
    how = {**FAILING, "breaker": "open", "breaker_until": AHEAD("00:05.000"), "breaker_opened": 1}
    how |= {"state": state, "held": 3, "suspended_at": AT("58:00.000"), "suspended_cause": "gone"}
    assert "breaker     open; nothing probes while it is held" in screen(capsys, **how)


def test_one_that_fails_on_our_side_says_that_no_retry_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen(capsys, **{**FAILING, "needs_person": "secret_unreadable"})
    assert lines[1] == (
        "  nothing but a person mends that (`hookd explain secret_unreadable`); then `hookd resume crm` tries at once"
    )
    assert screen(capsys, **{**FAILING, "needs_person": None})[1].startswith("pending")
    assert screen(capsys, **FAILING)[1].startswith("pending")  # an older daemon says nothing of it


def test_one_that_is_well_and_holds_some_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen(capsys, state="ok", pending=5, held=1)
    assert lines[1] == "  it no longer takes the tenant or the type of some events; 1 delivery is held until it does"
    assert screen(capsys, state="paused", pending=1, held=1)[1].endswith("; 1 delivery is held for it")


def test_a_screen_is_shown_again_and_a_daemon_that_is_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    shows = iter([None, CliError("nobody is there", ExitCode.NO_DAEMON), None, CliError("no such", ExitCode.NOT_SO)])

    def show() -> None:
        wrong = next(shows)
        if wrong is not None:
            raise wrong
        sys.stdout.write("screen\n")

    with pytest.raises(CliError, match="no such"):
        watch_screen(show, sleep=lambda _: None)
    out, err = capsys.readouterr()
    assert out == "screen\nscreen\n"
    assert err == "hookd: nobody is there; waiting for it\n"
