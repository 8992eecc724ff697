"""What the causes mean, for people: why an attempt failed, why a delivery is dead, and why one is held.

Rules of this module:

1. Every cause has an entry, with its kind: what is known of the request, or what became of the delivery. It says what
   happened, what hookd does now, and what a person can do.
2. It describes what `retry`, `breaker` and the senders decide, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hookd.core.model import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A cause in a sentence, and what follows from it. `kind`: rejected, not_sent, unknown, dead or held."""

    kind: str
    means: str
    more: str


_AGAIN: Final = "It is tried again on the schedule."
_MENDED: Final = "It is tried again on the schedule, so what is mended heals by itself; the endpoint is not blamed."


def _of(kind: str, means: str, more: str) -> Meaning:
    return Meaning(kind=kind, means=means, more=more)


#: In the order of the screen: the receiver said no, nothing was sent, nobody knows, dead, held.
CAUSES: Final[Mapping[Cause, Meaning]] = MappingProxyType(
    {
        Cause.STATUS: _of(
            "rejected",
            "The receiver answered with a status that is not 2xx.",
            f"{_AGAIN} Not if `retry.permanent` lists the status, or the response has"
            " `webhook-delivery: abort-message`: then the delivery is dead. 429 and 503 with a Retry-After pause the"
            " whole webhook, for a day at most. 408, 429 and 5xx weigh against the endpoint, which is left alone for a"
            " while after five in a row; other statuses do not. `hookd attempts WEBHOOK --full` shows what the receiver"
            " wrote.",
        ),
        Cause.GONE: _of(
            "rejected",
            "The receiver answered 410: it is gone, and says that it will not be back.",
            "The webhook is suspended and its deliveries are held, this one too, until `hookd resume WEBHOOK`, or until"
            " its URL, headers, secrets or body change.",
        ),
        Cause.REDIRECT: _of(
            "rejected",
            "The receiver answered 3xx. Redirects are never followed.",
            f"{_AGAIN} `detail` names the host that it points to: if that is right, put it into `url`.",
        ),
        Cause.DNS: _of(
            "not_sent", "The host's name could not be looked up.", f"{_AGAIN} Check `url`, and the resolver."
        ),
        Cause.CONNECT_REFUSED: _of("not_sent", "Nothing listens at that address and port.", _AGAIN),
        Cause.CONNECT_TIMEOUT: _of(
            "not_sent",
            "No connection came about before `timeout`: look-up, TCP, TLS or tunnel did not end.",
            f"{_AGAIN} `detail` says which. Often a firewall that drops packets.",
        ),
        Cause.CONNECT_FAILED: _of(
            "not_sent",
            "The connection failed otherwise: no route, or a proxy that gave no tunnel.",
            f"{_AGAIN} `detail` says which.",
        ),
        Cause.TLS: _of(
            "not_sent",
            "The TLS handshake failed: a certificate that is not trusted, expired or of another name, or no TLS.",
            f"{_AGAIN} `detail` says which. `tls: {{ca: …}}` trusts a private authority; nothing switches the check"
            " off. A receiver that turns our certificate down may do so after bytes went out: then it is `unknown`.",
        ),
        Cause.BLOCKED_ADDRESS: _of(
            "not_sent",
            "The address is not a public one, and was not connected to.",
            f"{_AGAIN} If the webhook is meant to go there, open exactly that network with `allow_networks`.",
        ),
        Cause.RENDER_FAILED: _of(
            "not_sent",
            "The body's template could not be filled in: a path is missing in the event.",
            f"{_MENDED} `detail` names the path; with a `?` behind it, it may be missing.",
        ),
        Cause.BODY_SCHEMA: _of(
            "not_sent", "The body does not fit `body.schema`.", f"{_MENDED} `detail` says where and why."
        ),
        Cause.SECRET_UNREADABLE: _of(
            "not_sent",
            "A credential, file or environment variable that the webhook refers to cannot be read.",
            f"{_MENDED} `hookd check --environment`, as hookd's user, finds these.",
        ),
        Cause.REQUEST_INVALID: _of(
            "not_sent",
            "A URL or header that came out of a secret cannot be sent.",
            f"{_MENDED} Look for a line break in it, or an address that is not written plainly.",
        ),
        Cause.TIMEOUT: _of(
            "unknown",
            "The request went out, at least in part, and no whole head of a response came before `timeout`.",
            f"{_AGAIN} The receiver may have acted on it: it should know a repetition by its `webhook-id`.",
        ),
        Cause.RESET: _of(
            "unknown",
            "The connection ended before a whole head of a response was there.",
            f"{_AGAIN} The receiver may have acted on it: it should know a repetition by its `webhook-id`.",
        ),
        Cause.RESPONSE_MALFORMED: _of(
            "unknown", "What came back is no HTTP response.", f"{_AGAIN} Check scheme and port in `url`."
        ),
        Cause.INTERNAL: _of(
            "unknown", "A mistake in hookd.", f"{_AGAIN} The log has a line `attempt.failed`: please report it."
        ),
        Cause.EXHAUSTED: _of(
            "dead", "The last attempt of the schedule failed.", "`hookd redrive WEBHOOK` gives it a fresh schedule."
        ),
        Cause.EXPIRED: _of(
            "dead",
            "Its next attempt would have come later than `retry.max_age`.",
            "`hookd redrive WEBHOOK` gives it a fresh schedule and a new age.",
        ),
        Cause.PERMANENT: _of(
            "dead",
            "The receiver answered with a status that `retry.permanent` lists.",
            "`hookd redrive WEBHOOK` retries.",
        ),
        Cause.OVERFLOW: _of(
            "dead",
            "The webhook had `max_pending` deliveries already when the event was accepted.",
            "When the backlog is smaller: `hookd redrive WEBHOOK`.",
        ),
        Cause.ABORTED: _of(
            "dead",
            "The receiver ended it: a failure with the response header `webhook-delivery: abort-message`.",
            "`hookd redrive WEBHOOK` retries.",
        ),
        Cause.TEST: _of("dead", "A `hookd test` failed; it is attempted once.", "Nothing is left to do."),
        Cause.WEBHOOK_DELETED: _of(
            "dead",
            "Its webhook was deleted through the API, or its backlog was given up with `hookd remove`.",
            "`hookd replay` to another webhook; or bring it back, and `hookd redrive WEBHOOK`.",
        ),
        Cause.HELD_TOO_LONG: _of(
            "dead", "It was held for longer than `retention.held`.", "`hookd redrive WEBHOOK` makes it due again."
        ),
        Cause.TENANT_CHANGED: _of(
            "held",
            "The webhook no longer takes events of this event's tenant.",
            "It is kept and goes out when the webhook is that tenant's again.",
        ),
        Cause.TRIGGER_OFF: _of(
            "held",
            "The webhook no longer listens to this event type.",
            "It is kept and goes out when the trigger is on again.",
        ),
    }
)
