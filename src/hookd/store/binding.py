"""What the store must know of a config: which webhooks there are, and what of theirs, when it changes, heals them.

Rules: a config is bound before it runs, so that what it owes can be claimed from its first moment; `moved:` comes
first, since a webhook that is bound under its new name would begin a backlog of its own; binding what is bound
already changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hookd.store.base import Bind, Binding, MoveWebhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.core.config import Config, Webhook
    from hookd.store.base import Change, Store

#: Rows of one chunk: a few milliseconds of the writer, so that events flow between the chunks.
CHUNK: Final = 500


async def bind_config(store: Store, config: Config, now: Callable[[], int]) -> tuple[tuple[str, str], ...]:
    """Tell the store what a config says; give the moves that it refused, as webhook and reason."""
    refused = []
    for move in config.moved:
        reason = await revise_all(store, MoveWebhook(source=move.source, target=move.target), now)
        if reason is not None:
            refused.append((move.source, reason))
    bindings = {
        webhook.id: Binding(fingerprint=webhook.fingerprint, rules=_rules_of(webhook), held=webhook.held)
        for webhook in config.webhooks.values()
    }
    await revise_all(store, Bind(webhooks=bindings), now)
    return tuple(refused)


async def revise_all(store: Store, change: Change, now: Callable[[], int]) -> str | None:
    """Do a change to its end, chunk by chunk; give why it was refused, if it was."""
    while True:
        revised = await store.revise(change, CHUNK, now())
        if revised.refused is not None or revised.done:
            return revised.refused


def _rules_of(webhook: Webhook) -> str:
    """Give what decides whether a single delivery is held, as one text to compare."""
    triggers = " ".join(f"{each.pattern}:{each.active:d}" for each in webhook.triggers)
    return f"{webhook.tenant!r} {triggers}"
