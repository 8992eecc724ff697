"""How a webhook stands in a store: whether it is held, how long it was, and how much it is owed.

Rules of this module:

1. A webhook is held while it is unbound (not in the files), paused by its definition, or suspended in its state.
2. Held time does not age anything. Each webhook has a clock that stands still while it is held; a delivery keeps
   the reading of that clock when it was born, so that a hold costs nothing per delivery, however long the backlog.
3. What lifts a suspension lifts everything that the world taught us of a failing endpoint, `failing_since` too: else
   the next failure would suspend a mended webhook at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from hookd.core.model import WebhookState

if TYPE_CHECKING:
    from hookd.store.base import Binding


class Standing(msgspec.Struct):
    """One webhook, known by `key` below the protocol and by `name` above it. `now` is milliseconds since the epoch."""

    key: int
    name: str
    state: WebhookState
    fingerprint: str = ""  # empty: it was never bound
    rules: str = ""
    bound: bool = False
    paused: bool = False  # held by its definition
    held_since: int | None = None
    held_total: int = 0  # of holds that ended, in milliseconds
    pending: int = 0
    withheld: int = 0  # those of `pending` that are held one by one
    dead: int = 0
    delivered: int = 0

    @property
    def held(self) -> bool:
        """Whether nothing of it may be attempted."""
        return self.held_since is not None

    def settle(self, now: int) -> None:
        """Begin or end a hold, after anything that decides it has changed."""
        held = not self.bound or self.paused or self.state.suspended_at is not None
        if held and self.held_since is None:
            self.held_since = now
        elif not held and self.held_since is not None:
            self.held_total += max(0, now - self.held_since)
            self.held_since = None

    def held_ms(self, now: int) -> int:
        """Give how long it was held, all in all, the running hold included."""
        if self.held_since is None:
            return self.held_total
        return self.held_total + max(0, now - self.held_since)

    def clock(self, now: int) -> int:
        """Read the clock that stands still while the webhook is held."""
        return now - self.held_ms(now)

    def learn(self, state: WebhookState, now: int) -> None:
        """Take over what the world taught us."""
        self.state = state
        self.settle(now)

    def forgive(self, now: int) -> None:
        """Lift suspension, pause, breaker and the count of failures; keep what a person reads."""
        state = self.state
        self.learn(
            WebhookState(webhook=self.name, last_error=state.last_error, last_success_at=state.last_success_at), now
        )

    def suspend(self, cause: str, now: int) -> None:
        """Hold it until it is resumed."""
        self.learn(replace(self.state, suspended_at=now, suspended_cause=cause), now)

    def agrees(self, binding: Binding) -> bool:
        """Whether a binding says nothing new."""
        return (
            self.bound
            and self.paused == binding.held
            and self.fingerprint == binding.fingerprint
            and self.rules == binding.rules
        )

    def rules_change(self, binding: Binding) -> bool:
        """Whether what was held for its tenant or trigger has to be judged again."""
        return self.fingerprint != "" and self.rules != binding.rules

    def heals(self, binding: Binding) -> bool:
        """Whether the request itself has changed, so that what failed may work now. The first binding is no change."""
        return self.fingerprint not in ("", binding.fingerprint)

    def bind(self, binding: Binding, now: int) -> None:
        """Take over what the definition says; a change of the request lifts what failures had led to."""
        if self.heals(binding):
            self.forgive(now)
        self.fingerprint, self.rules = binding.fingerprint, binding.rules
        self.bound, self.paused = True, binding.held
        self.settle(now)

    def backlog_refusal(self) -> str:
        """Say why nothing may be moved here."""
        return f"{self.name} has a backlog of its own: {self.pending} pending, {self.dead} dead"

    def rename(self, name: str) -> None:
        """Carry everything over to another name."""
        self.name = name
        self.state = replace(self.state, webhook=name)


def new_standing(key: int, name: str, now: int) -> Standing:
    """Give a webhook that nothing is known of: unbound, and so held."""
    return Standing(key=key, name=name, state=WebhookState(webhook=name), held_since=now)
