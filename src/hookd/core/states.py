"""The words for how something stands, for people: events, deliveries, attempts and webhooks.

Rules of this module:

1. Every word that a reply, the log, `hookd attempts` or `hookd status` shows as a state or an outcome has an entry,
   once for each thing that it is said of.
2. It describes, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: How a webhook stands, as `hookd status` tells it.
Standing: TypeAlias = Literal["ok", "failing", "suspended", "paused", "inactive", "missing"]
#: What a reply to an event says first.
Status: TypeAlias = Literal["accepted", "duplicate", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word in a sentence, and what follows from it. `of` is what it is said of."""

    word: str
    of: Literal["event", "delivery", "attempt", "webhook", "breaker"]
    means: str
    more: str


def _event(word: str, means: str, more: str) -> Word:
    return Word(word=word, of="event", means=means, more=more)


def _delivery(word: str, means: str, more: str) -> Word:
    return Word(word=word, of="delivery", means=means, more=more)


def _attempt(word: str, means: str, more: str) -> Word:
    return Word(word=word, of="attempt", means=means, more=more)


def _webhook(word: str, means: str, more: str) -> Word:
    return Word(word=word, of="webhook", means=means, more=more)


def _breaker(word: str, means: str, more: str) -> Word:
    return Word(word=word, of="breaker", means=means, more=more)


#: In the order of the road: an event, what is owed of it, each attempt, the webhook that it goes to.
STATES: Final = (
    _event(
        "accepted",
        "It is on disk, and will be delivered at least once.",
        "`deliveries` is how many webhooks it goes to. 0: none matched; `hookd route EVENT --explain` says why.",
    ),
    _event(
        "duplicate",
        "The same event was accepted before; nothing was done.",
        "The same is: tenant, source, id and content. So sending again is always safe.",
    ),
    _event(
        "refused",
        "It was not taken, and nothing was stored.",
        "`code` says why (`hookd explain CODE`), `path` where, `retry` whether the same line may succeed later.",
    ),
    _delivery(
        "pending",
        "It is owed to a webhook, and waits for its first attempt or for the next one.",
        "It goes out by itself when it is due. `hookd status WEBHOOK` says when that is, and what it waits for.",
    ),
    _delivery(
        "held",
        "It is pending and not attempted: its webhook is suspended, paused, inactive or gone from the files, or no"
        " longer takes its tenant or type.",
        "Nothing is lost, and it does not age, for as long as `retention.held`; then it is dead. `hookd status WEBHOOK`"
        " says which it is and what ends it.",
    ),
    _delivery(
        "delivered", "The receiver answered 2xx.", "Nothing is left to do. `hookd replay` can send the event again."
    ),
    _delivery(
        "dead",
        "It is given up: `cause` says why.",
        "Nothing more happens by itself. Mend what `hookd attempts WEBHOOK` shows; `hookd redrive WEBHOOK` makes it due"
        " again, under its own id, while its event is kept (`retention.events`).",
    ),
    _attempt("delivered", "A 2xx came back.", "Nothing is left to do."),
    _attempt(
        "rejected",
        "A response came back that is not 2xx.",
        "It is tried again on the schedule, unless `retry.permanent` or the receiver says otherwise. `hookd attempts"
        " WEBHOOK --full` shows what it wrote.",
    ),
    _attempt(
        "not_sent",
        "No byte of the request left: the receiver does not have it.",
        "It is tried again on the schedule. `cause` says why, and `hookd explain CAUSE` what to do.",
    ),
    _attempt(
        "unknown",
        "The request went out, at least in part, and no response came: the receiver may have it, or not.",
        "It is tried again on the schedule, under the same `webhook-id`, by which the receiver knows a repetition.",
    ),
    _webhook("ok", "Its last attempt was delivered, or there was none yet.", "Nothing is to be done."),
    _webhook(
        "failing",
        "Its last attempts failed, and are being retried.",
        "A success ends it. When nothing succeeds for `suspend_after`, it is suspended. `hookd attempts WEBHOOK` says"
        " what fails, `hookd test WEBHOOK` tries it now. No retry mends what is at fault on our side (a secret, the"
        " template, a blocked address): then `hookd status` ends with 1.",
    ),
    _webhook(
        "suspended",
        "Nothing is attempted until a person says so: the receiver answered 410, it failed for `suspend_after`, or it"
        " was suspended by hand.",
        "Its events are matched and held. Once it is mended: `hookd resume WEBHOOK`; a change of its URL, headers,"
        " secrets or body lifts it too.",
    ),
    _webhook(
        "paused",
        "Its definition says `paused: true`.",
        "Its events are matched and held. Take the line out and they go out.",
    ),
    _webhook(
        "inactive",
        "Its definition says `active: false`.",
        "It matches no events any more: what happens meanwhile is not kept for it. What was pending is held.",
    ),
    _webhook(
        "missing",
        "It is not in the running config, and the store has something of it.",
        "What was pending is held. Put it back, or name its successor under `moved:`, or give it up with `hookd remove"
        " WEBHOOK`; after `retention.held` it is dead.",
    ),
    _breaker("closed", "Attempts go out.", "Nothing is to be done."),
    _breaker(
        "open",
        "The endpoint failed five times in a row, or half of twenty times, and is left alone.",
        "A single delivery probes it after 30 s, then at ever longer intervals up to 15 min; a success closes it."
        " `hookd resume WEBHOOK` does that now.",
    ),
)
