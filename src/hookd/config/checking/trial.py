"""The `tests:` of webhooks: an event through the door, past the triggers and the filter, into a body.

Rules of this module:

1. A test takes the road of a real event, with the same code: strict parsing, the catalogue, routing, the template,
   the schema of the body. Only the network and the store are left out.
2. It reads no secret: in a body the secret `token` is `<secrets.token>`, so a config can be tested anywhere.
3. What a test shows comes out of the config itself, so it may be shown, shortened.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from msgspec.structs import replace

from hookd.config.problems import Problem
from hookd.core.catalogue import judge
from hookd.core.encoding import encode_form
from hookd.core.jsonvalues import same_json
from hookd.core.model import Refusal
from hookd.core.routing import OWN, route, tenant_allows, trigger_for
from hookd.core.template import RenderFailed, Scope
from hookd.core.wire import parse_event

if TYPE_CHECKING:
    from hookd.core.config import Config, Place, Webhook, WebhookTest
    from hookd.core.model import Event
    from hookd.core.wire import Incoming

_SHOWN: Final = 60
#: Of a difference between bodies: lines before and after what differs, and lines in all.
_AROUND: Final = 2
_MOST_LINES: Final = 60
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a test did not pass, and how the body differs from the expected one, line by line."""

    message: str
    difference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What a test came to: `number` counts from 1 within its webhook, `message` says why it did not pass.

    `difference` are the lines of a unified diff from the body that was expected to the one that would be sent.
    """

    webhook: str
    number: int
    name: str | None = None
    place: Place
    passed: bool
    message: str = ""
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
        return Problem(self.place, message, "test_failed", notes=self.difference)


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
                    difference=fault.difference if fault else (),
                )
            )
    return tuple(results)


def _is_named(pattern: str, webhook: str, number: int, name: str | None) -> bool:
    names = [webhook, f"{webhook}/{number}", *((name, f"{webhook}/{name}") if name else ())]
    return any(fnmatchcase(each, pattern) for each in names)


def _run(config: Config, webhook: Webhook, test: WebhookTest, now: int) -> _Fault | None:
    """Give what is wrong with what became of a test's event; None if it is as expected."""
    incoming = _take(config, test, now)
    if isinstance(incoming, Refusal):
        where = f" at {incoming.path}" if incoming.path else ""
        said = f"refused ({incoming.code}{where}: {incoming.message})"
        return None if test.expect == "refused" else _Fault(f"expected {test.expect}, but the event was {said}")
    owed = any(owed.webhook == webhook.id for owed in route(config.index, incoming.event, incoming.data))
    found = "delivered" if owed else "ignored"
    if found != test.expect:
        why = "" if owed else f": {_why_ignored(webhook, incoming)}"
        return _Fault(f"expected {test.expect}, but the event was {found}{why}")
    return _judge_body(webhook, test, incoming.event) if owed else None


def _take(config: Config, test: WebhookTest, now: int) -> Incoming | Refusal:
    """Let the event in as an inlet would. hookd's own events, which no producer may send, come in by themselves."""
    kind = test.event.get("type")
    own = isinstance(kind, str) and kind.startswith(OWN)
    written = {**test.event, "type": "own"} if own else test.event
    limit = config.daemon.limits.event_bytes
    incoming = parse_event(json.dumps(written).encode("ascii"), limit=limit, now=now, new_id=lambda: "test")
    if isinstance(incoming, Refusal):
        return incoming
    if own:
        return replace(incoming, event=replace(incoming.event, type=str(kind)))
    return judge(config, incoming) or incoming


def _why_ignored(webhook: Webhook, incoming: Incoming) -> str:
    if not webhook.active:
        return "the webhook is not active"
    if not tenant_allows(webhook, incoming.event.tenant):
        return "it belongs to another tenant than the webhook"
    trigger = trigger_for(webhook, incoming.event.type)
    if trigger is None:
        return "no entry of `events` matches its type"
    if not trigger.active:
        return f"`{trigger.pattern}` in `events` is not active"
    if webhook.filter is None:
        return "the filter does not hold"
    # The clauses of the filter itself: what stands inside of `any` and `not` may well be false.
    event, data = incoming.event, incoming.data
    at = next((clause.at for clause in webhook.filter.clauses if not clause.matches(event, data)), ())
    return f"the filter does not hold at `{'.'.join(map(str, at))}`"


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
        return _Fault(f"the body does not fit its schema: {fault.path or 'it'} {fault.message}")
    if not test.expects_body:
        return None
    expected = test.body
    if form is not None:
        # Both as a form, so that numbers and nested values may be written either way.
        expected = _parameters(encode_form(expected)) if isinstance(expected, dict) else expected
        sent = _parameters(form)
    first = _difference(expected, sent, "body")
    return None if first is None else _Fault(first, _compare(expected, sent))


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


def _difference(expected: object, sent: object, path: str) -> str | None:
    """Say where two JSON values differ first."""
    if expected is _ABSENT:
        return f"`{path}` is in the body, {_shorten(sent)}, and is not expected"
    if sent is _ABSENT:
        return f"`{path}` is not in the body"
    inner: list[tuple[object, object, str]] = []
    if isinstance(expected, dict) and isinstance(sent, dict):
        keys = (*expected, *(key for key in sent if key not in expected))
        inner = [(expected.get(key, _ABSENT), sent.get(key, _ABSENT), f"{path}.{key}") for key in keys]
    elif isinstance(expected, list) and isinstance(sent, list) and len(expected) == len(sent):
        inner = [(expected[at], sent[at], f"{path}[{at}]") for at in range(len(sent))]
    elif not same_json(expected, sent):
        return f"`{path}` is {_shorten(sent)} instead of {_shorten(expected)}"
    return next((found for parts in inner if (found := _difference(*parts)) is not None), None)


def _shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
