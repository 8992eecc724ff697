"""An intake on a memory store that can be held up or lost, for the tests of the ways in."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import trio

from hookd.core.config import Body, Config, EventType, Place, Revision, Trigger, Webhook
from hookd.core.routing import build_index
from hookd.core.template import compile_template
from hookd.inlet.intake import Intake
from hookd.store.base import Bind, Binding, EntryResult, StoreUnavailable
from hookd.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from hookd.core.model import Claim, Event
    from hookd.store.base import Entry

NOW = 1_700_000_000_000


class HeldStore(MemoryStore):
    """Accepts when `gate` is open, and tells what it was given. `lost`: whether it happened is unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.gate.set()
        self.lost = False
        self.began = trio.Event()
        self.batches: list[list[Event]] = []

    async def accept(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> Sequence[EntryResult]:
        self.batches.append([entry.event for entry in entries])
        self.began.set()
        await self.gate.wait()
        if self.lost:
            raise StoreUnavailable("the disk is gone")
        return await super().accept(entries, room, now)

    def hold(self) -> None:
        self.gate = trio.Event()
        self.began = trio.Event()

    @property
    def given(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]


class Door:
    """An intake and what surrounds it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.store = HeldStore()
        self.claims: list[Claim] = []
        self.rooms: list[set[str]] = []
        ids = count(1)
        self.intake = Intake(
            self.store,
            current_config=lambda: self.config,
            now=lambda: NOW,
            new_id=lambda: f"made-{next(ids)}",
            room=self._room,
            hand_over=self.claims.extend,
        )

    def _room(self, webhooks: Iterable[str]) -> Mapping[str, int]:
        self.rooms.append(set(webhooks))
        return dict.fromkeys(self.rooms[-1], 1000)


def make_webhook(name: str, *patterns: str, tenant: str | None = None) -> Webhook:
    """Give a webhook that listens to `patterns`."""
    return Webhook(
        id=name,
        place=Place(file="hookd.yaml"),
        url="https://example.com/",
        triggers=tuple(Trigger(pattern=pattern) for pattern in patterns),
        body=Body(template=compile_template("$(data?)")),
        tenant=tenant,
    )


def make_config(*webhooks: Webhook, types: Sequence[EventType] = ()) -> Config:
    """Give a config of these webhooks and event types."""
    return Config(
        revision=Revision(hash="0" * 12),
        event_types={one.name: one for one in types},
        webhooks={one.id: one for one in webhooks},
        index=build_index(webhooks),
    )


@asynccontextmanager
async def open_door(config: Config | None = None) -> AsyncIterator[Door]:
    """Run an intake while the block lasts."""
    door = Door(config or make_config())
    bind = Bind(webhooks={name: Binding(fingerprint="f", rules="r") for name in door.config.webhooks})
    await door.store.revise(bind, 1000, NOW)
    async with trio.open_nursery() as nursery:
        await nursery.start(door.intake.serve)
        yield door
        nursery.cancel_scope.cancel()


def make_line(event_id: str | None = None, **attributes: object) -> bytes:
    """Give the line of an event, without its end."""
    identity = {} if event_id is None else {"id": event_id}
    return json.dumps({"type": "user.updated", **identity, **attributes}).encode()
