"""What the store must know of a config: which webhooks there are, and what of theirs, when it changes, heals them.

Rules of this module:

1. A config is bound before it runs, so that what it owes can be claimed from its first moment; `moved:` comes first,
   since a webhook that is bound under its new name would begin a backlog of its own.
2. Binding what is bound already changes nothing. When the config before is known, only what differs from it is bound:
   with 10,000 webhooks of which ten changed, the store and the event loop hear of ten.
3. A move that is refused is no failure: the config runs, what waits under the old name is held, and the move is tried
   again whenever a config is bound.
4. It is done in chunks of a few milliseconds, so that events flow between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio.lowlevel

from hookd.core.config import NotMoved
from hookd.store.base import Bind, Binding, MoveWebhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hookd.core.config import Config, Move, Webhook
    from hookd.store.base import Change, Store

#: Rows of one chunk: a few milliseconds of the writer.
CHUNK: Final = 500


async def bind_config(
    store: Store, config: Config, now: Callable[[], int], before: Config | None = None
) -> tuple[NotMoved, ...]:
    """Tell the store what a config says; give the moves that it refused.

    `before` is the config that is bound, if one is.
    """
    refused = []
    for move in config.moved:
        reason = await revise_all(store, MoveWebhook(source=move.source, target=move.target), now)
        if reason is not None:
            refused.append(NotMoved(move=move, reason=f"{reason}; {_tell_way_out(move)}"))
    if before is None:
        await revise_all(store, Bind(webhooks=bindings_of(config.webhooks.values())), now)
    else:
        await _bind_changes(store, before, config, now)
    return tuple(refused)


def _tell_way_out(move: Move) -> str:
    return (
        f"what is pending for {move.source} is held until `hookd reload` finds {move.target} without one,"
        " or `to:` names another webhook"
    )


async def _bind_changes(store: Store, before: Config, config: Config, now: Callable[[], int]) -> None:
    moved = {move.target for move in config.moved}  # such a webhook may have come by another one's standing
    changed = [
        webhook
        for name, webhook in config.webhooks.items()
        if name in moved or not _binds_the_same(before.webhooks.get(name), webhook)
    ]
    gone = [name for name in before.webhooks if name not in config.webhooks]
    for start in range(0, max(len(changed), len(gone)), CHUNK):
        some = slice(start, start + CHUNK)
        await revise_all(store, Bind(webhooks=bindings_of(changed[some]), gone=gone[some]), now)
        await trio.lowlevel.checkpoint()


def _binds_the_same(old: Webhook | None, webhook: Webhook) -> bool:
    if old is None or old is webhook:
        return old is webhook
    return old.digest == webhook.digest != "" or _binding_of(old) == _binding_of(webhook)


def bindings_of(webhooks: Iterable[Webhook]) -> dict[str, Binding]:
    """Give what the store must know of these webhooks, by id."""
    return {webhook.id: _binding_of(webhook) for webhook in webhooks}


def _binding_of(webhook: Webhook) -> Binding:
    return Binding(fingerprint=webhook.fingerprint, rules=_rules_of(webhook), held=webhook.held)


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
