"""Values of the road as JSON for people and programs that ask: definitions, attempts, exchanges, backlogs.

Rules: instants are RFC 3339 in UTC; what is secret is masked as everywhere (`core.definition`); keys are those of the
YAML and of the log, and where a quantity is a number its key says the unit (`timeout_s`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from hookd.control.needs import find_need
from hookd.core.breaker import open_for
from hookd.core.definition import plain_mask, write_auth, write_header, write_proxy, write_text, write_url
from hookd.core.instants import format_instant
from hookd.core.retry import PAUSE_CAP

if TYPE_CHECKING:
    from hookd.core.config import Webhook
    from hookd.core.model import Exchange, Phases, WebhookState
    from hookd.core.states import Standing
    from hookd.store.queries import AttemptRow, BacklogRow, ExchangeRow


def describe_webhook(webhook: Webhook) -> dict[str, object]:
    """Give a definition as it is in force, defaults and profile merged in, secrets masked."""
    sign = webhook.sign and {
        "scheme": webhook.sign.scheme,
        "secrets": [write_text(secret, plain_mask) for secret in webhook.sign.secrets],
    }
    return {
        "id": webhook.id,
        "defined_at": str(webhook.place),
        "name": webhook.name,
        "profile": webhook.profile,
        "active": webhook.active,
        "paused": webhook.paused,
        "tenant": webhook.tenant,
        "url": write_url(webhook.url, plain_mask),
        "require_https": webhook.require_https,
        "method": webhook.method,
        "events": [{"event": trigger.pattern, "active": trigger.active} for trigger in webhook.triggers],
        "filter": None if webhook.filter is None else webhook.filter.spec,
        "body": {"format": webhook.body.format, "template": webhook.body.template.written},
        "headers": {name: write_header(name, value, plain_mask) for name, value in webhook.headers},
        "auth": write_auth(webhook.auth, plain_mask),
        "sign": sign,
        "secrets": {name: write_text(value, plain_mask) for name, value in webhook.secrets.items()},
        "timeout_s": webhook.timeout,
        "retry": {
            "schedule_s": list(webhook.retry.schedule),
            "jitter": webhook.retry.jitter,
            "max_age_s": webhook.retry.max_age,
            "permanent": sorted(webhook.retry.permanent),
        },
        "rate_per_s": webhook.rate,
        "concurrency": webhook.concurrency,
        "ordered": webhook.ordered,
        "max_pending": webhook.max_pending,
        "suspend_after_s": webhook.suspend_after,
        "allow_networks": [str(network) for network in webhook.allow_networks],
        "proxy": write_proxy(webhook.proxy, plain_mask),
        "http2": webhook.http2,
        "tls": webhook.tls
        and {
            "ca": webhook.tls.ca,
            "certificate": webhook.tls.certificate,
            "key": None if webhook.tls.key is None else write_text(webhook.tls.key, plain_mask),
        },
        "test_event": None if webhook.test_event is None else dict(webhook.test_event),
        "tests": len(webhook.tests),
        "fingerprint": webhook.fingerprint,
    }


def describe_attempt(row: AttemptRow) -> dict[str, object]:
    """Give a line of the request log."""
    attempt = row.attempt
    return {
        "seq": row.seq,
        "webhook": row.webhook,
        "tenant": row.tenant,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "delivery_id": row.delivery_id,
        "attempt": attempt.number,
        "started_at": format_instant(attempt.started_at),
        "duration_ms": round(attempt.duration_ms, 1),
        "outcome": attempt.outcome,
        "cause": attempt.cause,
        "detail": attempt.detail,
        "status": attempt.status,
        "url": attempt.url,
        "revision": attempt.revision,
        "state": row.state,
        "next_attempt_at": _instant(row.next_attempt_at),
        "response_excerpt": describe_bytes(attempt.excerpt) if attempt.excerpt else None,
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def describe_bytes(content: bytes) -> object:
    """Give bytes as text if they are UTF-8, else as `{"base64": …}`."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def describe_exchange(exchange: Exchange) -> dict[str, object]:
    """Give a whole request and its response."""
    response: dict[str, object] | None = None
    if exchange.response_status is not None:
        response = {
            "status": exchange.response_status,
            "headers": [list(header) for header in exchange.response_headers],
            "body": describe_bytes(exchange.response_body),
        }
    return {
        "request": {
            "method": exchange.method,
            "url": exchange.url,
            "headers": [list(header) for header in exchange.request_headers],
            "body": describe_bytes(exchange.request_body),
        },
        "response": response,
    }


def describe_phases(phases: Phases) -> dict[str, float | None]:
    """Give how long each part of an attempt took, in milliseconds; None: it did not happen."""
    return {name: took if took is None else round(took, 1) for name, took in msgspec.structs.asdict(phases).items()}


def describe_log_line(row: AttemptRow, kept: ExchangeRow | None) -> dict[str, object]:
    """Give a line of the request log, with its request and response where they are kept."""
    line = describe_attempt(row)
    if kept is not None:
        line.update(describe_exchange(kept.exchange))
    return line


def state_word(webhook: Webhook | None, *, suspended: bool, failing: bool) -> Standing:
    """Give how a webhook stands, in a word; `webhook` None: it is not in the running config."""
    if webhook is None:
        return "missing"
    if suspended:
        return "suspended"
    if not webhook.active:
        return "inactive"
    if webhook.paused:
        return "paused"
    return "failing" if failing else "ok"


def next_attempt_at(due_at: int | None, state: WebhookState, now: int) -> int | None:
    """Give when an attempt may next go out: what is due waits for a pause and an open breaker; None: not by itself.

    A gate that stays closed longer than any can was written by a clock that was wrong, and is not waited for.
    """
    if due_at is None or state.suspended_at is not None:
        return None
    moments = [due_at]
    if state.open_until is not None and open_for(state.open_until, now):
        moments.append(state.open_until)
    if state.paused_until is not None and 0 < state.paused_until - now <= PAUSE_CAP * 1000.0:
        moments.append(state.paused_until)
    return max(moments)


def describe_backlog(row: BacklogRow, webhook: Webhook | None, *, in_flight: int, now: int) -> dict[str, object]:
    """Give how a webhook stands; `state` is one word for the screen."""
    state = row.state
    word = state_word(webhook, suspended=state.suspended_at is not None, failing=state.failures > 0)
    return {
        "webhook": row.webhook,
        "state": word,
        "needs_person": find_need(word, pending=row.pending, failing_cause=state.failing_cause),
        "pending": row.pending,
        "held": row.held,
        "dead": row.dead,
        "delivered": row.delivered,
        "in_flight": in_flight,
        "oldest_pending_at": _instant(row.oldest_pending_at),
        "next_due_at": _instant(next_attempt_at(row.next_due_at, state, now)),
        "breaker": "closed" if state.open_until is None else "open",
        "breaker_until": _instant(state.open_until),
        "breaker_opened": state.opened,
        "failures": state.failures,
        "failing_since": _instant(state.failing_since),
        "paused_until": _instant(state.paused_until),
        "suspended_at": _instant(state.suspended_at),
        "suspended_cause": state.suspended_cause,
        "last_error": state.last_error,
        "last_success_at": _instant(state.last_success_at),
    }
