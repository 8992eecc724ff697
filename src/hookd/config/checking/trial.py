"""The `tests:` of webhooks: an event through the door, past the triggers and the filter, into a body.

Rules of this module:

1. A test takes the road of a real event, with the same code: strict parsing, the catalogue, routing, the template,
   the schema of the body. Only the network and the store are left out.
2. It reads no secret: in a body the secret `token` is `<secrets.token>`, so a config can be tested anywhere.
3. What a test shows comes out of the config itself, so it may be shown, shortened.
4. Why an event was ignored is told in the words of `hookd route --explain`.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from hookd.config.comparing.origins import find_places
from hookd.config.problems import Problem
from hookd.core.encoding import encode_form
from hookd.core.explaining import explain, read_event
from hookd.core.jsonvalues import same_json
from hookd.core.model import Refusal
from hookd.core.routing import route
from hookd.core.template import RenderFailed, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.config.building.merge import Path
    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, Place, Webhook, WebhookTest
    from hookd.core.explaining import Clause
    from hookd.core.model import Event

_SHOWN: Final = 60
#: Of a difference between bodies: lines before and after what differs, and lines in all.
_AROUND: Final = 2
_MOST_LINES: Final = 60
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a test did not pass.

    `difference` are lines: how the body differs from the expected one, or what in the filter kept the event out. `at`
    leads to the value of the test that does not hold: `expect`, or what differs in `body`.
    """

    message: str
    at: Path = ("expect",)
    difference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What a test came to: `number` counts from 1 within its webhook, `message` says why it did not pass.

    `difference` are the lines of a unified diff from the body that was expected to the one that would be sent, or what
    each line of a filter came to. `at` leads from the test, which stands at `place`, to the value that does not hold,
    and `fault_place` is where that stands, if that was looked up.
    """

    webhook: str
    number: int
    name: str | None = None
    place: Place
    passed: bool
    message: str = ""
    at: Path = ()
    fault_place: Place | None = None
    difference: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the test is called in reports, and by a pattern: `crm/3`, or `crm/NAME`."""
        return f"{self.webhook}/{self.name or self.number}"

    @property
    def problem(self) -> Problem | None:
        """The problem that a failed test is."""
        if self.passed:
            return None
        named = f"`{self.name}`" if self.name else str(self.number)
        message = f"test {named} of webhook `{self.webhook}`: {self.message}"
        return Problem(self.fault_place or self.place, message, "test_failed", notes=self.difference)


def run_trials(config: Config, *, now: int, pattern: str | None = None) -> tuple[TrialResult, ...]:
    """Run the tests of a config. `now` (milliseconds) is when their events are accepted.

    `pattern` leaves those alone that it does not name: `crm*` by webhook, `*country*` by name, `crm/2` by both.
    """
    results: list[TrialResult] = []
    for webhook in config.webhooks.values():
        for number, test in enumerate(webhook.tests, 1):
            if pattern is not None and not _is_named(pattern, webhook.id, number, test.name):
                continue
            fault = _run(config, webhook, test, now)
            results.append(
                TrialResult(
                    webhook=webhook.id,
                    number=number,
                    name=test.name,
                    place=test.place,
                    passed=fault is None,
                    message=fault.message if fault else "",
                    at=fault.at if fault else (),
                    difference=fault.difference if fault else (),
                )
            )
    return tuple(results)


def place_faults(results: Sequence[TrialResult], config: Config, snapshot: Snapshot) -> tuple[TrialResult, ...]:
    """Give the results, those that did not pass with the places of what does not hold.

    `snapshot` is what the config was made of.
    """
    failed = [result for result in results if not result.passed]
    wanted = ((config.webhooks[it.webhook], ("tests", it.number - 1, *it.at)) for it in failed)
    places = iter(find_places(snapshot, wanted))
    return tuple(result if result.passed else replace(result, fault_place=next(places)) for result in results)


def _is_named(pattern: str, webhook: str, number: int, name: str | None) -> bool:
    names = [webhook, f"{webhook}/{number}", *((name, f"{webhook}/{name}") if name else ())]
    return any(fnmatchcase(each, pattern) for each in names)


def _run(config: Config, webhook: Webhook, test: WebhookTest, now: int) -> _Fault | None:
    """Give what is wrong with what became of a test's event; None if it is as expected."""
    incoming = read_event(config, json.dumps(test.event).encode("ascii"), now=now, new_id=lambda: "test")
    if isinstance(incoming, Refusal):
        where = f" at {incoming.path}" if incoming.path else ""
        said = f"refused ({incoming.code}{where}: {incoming.told})"
        return None if test.expect == "refused" else _Fault(f"expected {test.expect}, but the event was {said}")
    owed = any(owed.webhook == webhook.id for owed in route(config.index, incoming.event, incoming.data))
    found = "delivered" if owed else "ignored"
    if found == test.expect:
        return _judge_body(webhook, test, incoming.event) if owed else None
    message = f"expected {test.expect}, but the event was {found}"
    if owed:
        return _Fault(message)
    explained = explain(webhook, incoming.event, incoming.data)
    clauses = explained.clauses
    subject = "the filter does not hold: " if explained.reason == "filter" else ""
    lines = _list_clauses(clauses) if len(clauses) > 1 else ()
    return _Fault(f"{message}: {subject}{clauses[0].text}", difference=lines)


def _list_clauses(clauses: Sequence[Clause]) -> tuple[str, ...]:
    """Give a line for each clause of a filter, those that stand inside of others further in."""
    lines: list[str] = []
    for number, clause in enumerate(clauses[:_MOST_LINES]):
        depth = sum(clause.at[: len(outer.at)] == outer.at for outer in clauses[:number])
        lines.append(f"{'✓' if clause.holds else '✗'} {'  ' * depth}{clause.text}")
    return tuple(lines)


def _judge_body(webhook: Webhook, test: WebhookTest, event: Event) -> _Fault | None:
    template = webhook.body.template
    scope = Scope(event, {name: f"<secrets.{name}>" for name in template.secret_names})
    try:
        sent: object = json.loads(template.render_json(scope))
        form = template.render_form(scope) if webhook.body.format == "form" else None
    except RenderFailed as error:
        return _Fault(f"the body cannot be rendered: {error}")
    fault = None if webhook.body.validator is None else webhook.body.validator.fault(sent)
    if fault is not None:
        return _Fault(f"the body does not fit its schema: {fault.path or 'it'} {fault.told}")
    if not test.expects_body:
        return None
    expected = test.body
    if form is not None:
        # Both as a form, so that numbers and nested values may be written either way.
        expected = _parameters(encode_form(expected)) if isinstance(expected, dict) else expected
        sent = _parameters(form)
    first = _difference(expected, sent, ("body",))
    return None if first is None else _Fault(first[1], first[0], _compare(expected, sent))


def _compare(expected: object, sent: object) -> tuple[str, ...]:
    """Give the lines of a unified diff between two JSON values, whose members are put in one order."""
    wanted, given = (
        json.dumps(it, ensure_ascii=False, indent=2, sort_keys=True).split("\n") for it in (expected, sent)
    )
    lines = list(difflib.unified_diff(wanted, given, "expected", "sent", lineterm="", n=_AROUND))
    left_out = [f"… {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return (*lines[:_MOST_LINES], *left_out)


def _parameters(form: bytes) -> dict[str, str]:
    return dict(parse_qsl(form.decode("ascii"), keep_blank_values=True))


def _difference(expected: object, sent: object, at: Path) -> tuple[Path, str] | None:
    """Say where two JSON values differ first, which stand at `at`."""
    if expected is _ABSENT:
        return at, f"`{_spell(at)}` is in the body, {_shorten(sent)}, and is not expected"
    if sent is _ABSENT:
        return at, f"`{_spell(at)}` is not in the body"
    inner: list[tuple[object, object, str | int]] = []
    if isinstance(expected, dict) and isinstance(sent, dict):
        keys = (*expected, *(key for key in sent if key not in expected))
        inner = [(expected.get(key, _ABSENT), sent.get(key, _ABSENT), key) for key in keys]
    elif isinstance(expected, list) and isinstance(sent, list) and len(expected) == len(sent):
        inner = [(expected[step], sent[step], step) for step in range(len(sent))]
    elif not same_json(expected, sent):
        return at, f"`{_spell(at)}` is {_shorten(sent)} instead of {_shorten(expected)}"
    found = (_difference(one, other, (*at, step)) for one, other, step in inner)
    return next((each for each in found if each is not None), None)


def _spell(at: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def _shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
