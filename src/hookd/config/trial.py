"""The `tests:` of webhooks: an event through the door, past the triggers and the filter, into a body.

Rules of this module:

1. A test takes the road of a real event, with the same code: strict parsing, the catalogue, routing, the template,
   the schema of the body. Only the network and the store are left out.
2. It reads no secret: in a body the secret `token` is `<secrets.token>`, so a config can be tested anywhere.
3. What a test shows comes out of the config itself, so it may be shown, shortened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

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
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What a test came to: `number` counts from 1 within its webhook, `message` says why it did not pass."""

    webhook: str
    number: int
    place: Place
    passed: bool
    message: str = ""

    @property
    def problem(self) -> Problem | None:
        """The problem that a failed test is."""
        if self.passed:
            return None
        return Problem(self.place, f"test {self.number} of webhook `{self.webhook}`: {self.message}", "test_failed")


def run_trials(config: Config, *, now: int) -> tuple[TrialResult, ...]:
    """Run all the tests of a config. `now` (milliseconds) is when their events are accepted."""
    results: list[TrialResult] = []
    for webhook in config.webhooks.values():
        for number, test in enumerate(webhook.tests, 1):
            fault = _run(config, webhook, test, now)
            results.append(
                TrialResult(
                    webhook=webhook.id, number=number, place=test.place, passed=fault is None, message=fault or ""
                )
            )
    return tuple(results)


def _run(config: Config, webhook: Webhook, test: WebhookTest, now: int) -> str | None:
    """Give what is wrong with what became of a test's event; None if it is as expected."""
    incoming = _take(config, test, now)
    if isinstance(incoming, Refusal):
        where = f" at {incoming.path}" if incoming.path else ""
        said = f"refused ({incoming.code}{where}: {incoming.message})"
        return None if test.expect == "refused" else f"expected {test.expect}, but the event was {said}"
    owed = any(owed.webhook == webhook.id for owed in route(config.index, incoming.event, incoming.data))
    found = "delivered" if owed else "ignored"
    if found != test.expect:
        why = "" if owed else f": {_why_ignored(webhook, incoming)}"
        return f"expected {test.expect}, but the event was {found}{why}"
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


def _judge_body(webhook: Webhook, test: WebhookTest, event: Event) -> str | None:
    template = webhook.body.template
    scope = Scope(event, {name: f"<secrets.{name}>" for name in template.secret_names})
    try:
        sent: object = json.loads(template.render_json(scope))
        form = template.render_form(scope) if webhook.body.format == "form" else None
    except RenderFailed as error:
        return f"the body cannot be rendered: {error}"
    fault = None if webhook.body.validator is None else webhook.body.validator.fault(sent)
    if fault is not None:
        return f"the body does not fit its schema: {fault.path or 'it'} {fault.message}"
    if not test.expects_body:
        return None
    expected = test.body
    if form is not None:
        # Both as a form, so that numbers and nested values may be written either way.
        expected = _parameters(encode_form(expected)) if isinstance(expected, dict) else expected
        sent = _parameters(form)
    return _difference(expected, sent, "body")


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
