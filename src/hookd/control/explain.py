"""Why and how: where an event would go, what a definition comes to and where each value of it came from.

Rules of this module:

1. Questions only: nothing is stored, sent or changed, and no secret is read.
2. The answer is made of one config. Files are looked into only for the places that are asked for, in a thread, and
   they are the files that this config was made of, whatever the disk holds now.
3. Ten thousand webhooks are explained in slices, and others have their turn between them.
4. The verbs that work on files make the same answers with the same functions.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.lowlevel

from hookd.config.comparing.compare import describe_daemon, is_reference
from hookd.config.comparing.origins import walk_origins
from hookd.control.describe import describe_bytes
from hookd.control.service import ControlRefused
from hookd.core.definition import plain_mask, write_definition, write_event_type
from hookd.core.explaining import explain, read_event
from hookd.core.instants import format_instant
from hookd.core.model import Refusal
from hookd.core.paths import did_you_mean, shown
from hookd.core.preview import preview
from hookd.store.queries import EVERY_WEBHOOK, Backlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.config.comparing.origins import Origins
    from hookd.config.snapshot import Snapshot
    from hookd.control.service import Lent
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Event
    from hookd.core.wire import Incoming
    from hookd.store.queries import BacklogRow

#: Webhooks that are described before others have their turn: a millisecond or two.
TURN: Final = 50
#: Definitions that one answer holds.
MOST_DEFINITIONS: Final = 1_000
#: Instead of an id that is not made yet.
UNMADE: Final = "<made when it is accepted>"


class Explainer:
    """The answers."""

    def __init__(self, lent: Lent) -> None:
        self._lent = lent
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def route(self, written: bytes, *, explained: bool, webhook: str | None) -> dict[str, object]:
        """Give which webhooks an event would go to and their requests; `explained`: also why, and the others.

        `webhook` narrows it to one. An event that would be refused is an answer: `refused` says why.
        """
        lent = self._lent
        config, files = lent.current_config(), lent.files()
        if webhook is not None:
            _expect(config, [webhook])
        incoming = read_event(config, written, now=lent.now(), new_id=lambda: UNMADE)
        answer = describe_event(config, incoming)
        if isinstance(incoming, Refusal):
            return answer
        names = choose_webhooks(config, incoming, explained=explained, webhook=webhook)
        listed: list[dict[str, Any]] = []
        for number, name in enumerate(names):
            if number % TURN == TURN - 1:
                await trio.lowlevel.checkpoint()
            listed += describe_routed(config.webhooks[name], incoming, explained=explained)
        if explained and files is not None:
            await self._in_thread(add_places, files, config, {each["webhook"]: each for each in listed})
        await self._add_standing(config, listed)
        return {**answer, "webhooks": listed}

    async def _add_standing(self, config: Config, listed: Sequence[dict[str, Any]]) -> None:
        taken = {str(each["webhook"]): each for each in listed if each["taken"]}
        only = next(iter(taken)) if len(taken) == 1 else None
        if not taken:
            return
        for row in await self._lent.store.read(Backlog(webhook=only), EVERY_WEBHOOK):
            if row.webhook in taken:
                taken[row.webhook].update(_describe_standing(row, config.webhooks[row.webhook]))

    def definitions(self, mask: Callable[[str], str]) -> dict[str, object]:
        """Give the config as it runs, but for the webhooks, of which it gives the digests alone."""
        config, files, look = self._lent.current_config(), self._lent.files(), self._lent.last_look()
        refused = frozenset(each.move for each in (() if look is None else look.not_moved))
        stand_in: dict[str, list[str]] = {}
        for name, webhook in config.webhooks.items():
            stand_in.setdefault(webhook.place.file, []).append(name)
        return {
            "revision": str(config.revision),
            "main": None if files is None else _absolute(files.main),
            "daemon": describe_daemon(config.daemon, mask),
            "event_types": {name: write_event_type(entry) for name, entry in config.event_types.items()},
            # A move that was refused is tried again by a reload.
            "moved": {move.source: move.target for move in config.moved if move not in refused},
            "digests": {name: webhook.digest for name, webhook in config.webhooks.items()},
            "files": stand_in,
            "managed_dir": config.managed_dir,
        }

    async def definitions_of(
        self, names: Sequence[str], mask: Callable[[str], str], *, origins: bool
    ) -> dict[str, object]:
        """Give whole definitions as they are in force; `origins`: with the place that each value came from."""
        if len(names) > MOST_DEFINITIONS:
            raise ControlRefused(422, f"at most {MOST_DEFINITIONS} webhooks at once")
        config, files = self._lent.current_config(), self._lent.files()
        _expect(config, names)
        if origins and files is None:
            raise ControlRefused(409, "this daemon's config stands in no file")
        described: dict[str, dict[str, Any]] = {}
        for number, name in enumerate(names):
            if number % TURN == TURN - 1:
                await trio.lowlevel.checkpoint()
            described[name] = describe_definition(config.webhooks[name], mask)
        if origins and files is not None:
            await self._in_thread(add_origins, files, config, described)
        return {"revision": str(config.revision), "webhooks": described}

    async def _in_thread(
        self,
        add: Callable[[Snapshot, Config, Mapping[str, dict[str, Any]]], None],
        files: Snapshot,
        config: Config,
        described: Mapping[str, dict[str, Any]],
    ) -> None:
        """Add what stands in the files. If it is abandoned, so is what it adds to."""
        await trio.to_thread.run_sync(
            add, files, config, described, abandon_on_cancel=True, limiter=self._one_at_a_time
        )


def _expect(config: Config, names: Iterable[str]) -> None:
    for name in names:
        if name not in config.webhooks:
            hint = did_you_mean(name, config.webhooks)
            raise ControlRefused(404, f"there is no webhook `{shown(name)}` in the running config{hint}")


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  links stay: they are how it is named


# --------------------------------------------------------------------------- routing


def describe_event(config: Config, incoming: Incoming | Refusal) -> dict[str, object]:
    """Give the head of an answer: the config, the event, and why it would be refused."""
    if isinstance(incoming, Refusal):
        refused = {"code": incoming.code, "path": incoming.path, "message": incoming.told}
        event: dict[str, object] = {"id": incoming.id, "type": incoming.type}
        return {"revision": str(config.revision), "event": event, "refused": refused, "webhooks": []}
    return {"revision": str(config.revision), "event": _describe_attributes(incoming.event), "refused": None}


def _describe_attributes(event: Event) -> dict[str, object]:
    names = ("id", "type", "source", "subject", "time", "tenant", "partitionkey")
    return {name: getattr(event, name) for name in names if getattr(event, name) is not None}


def choose_webhooks(config: Config, incoming: Incoming, *, explained: bool, webhook: str | None) -> list[str]:
    """Give the webhooks that an answer is about: all if the rest is to be explained, else those that take the type."""
    if webhook is not None:
        return [webhook]
    if explained:
        return list(config.webhooks)
    event = incoming.event
    routes = {route.webhook.id for route in config.index.routes_for(event.type, event.tenant)}
    return [name for name in config.webhooks if name in routes]


def describe_routed(webhook: Webhook, incoming: Incoming, *, explained: bool) -> list[dict[str, Any]]:
    """Give what becomes of an event at one webhook; nothing if it does not get it and nobody asked why."""
    found = explain(webhook, incoming.event, incoming.data)
    if not (found.taken or explained):
        return []
    described: dict[str, Any] = {
        "webhook": webhook.id,
        "taken": found.taken,
        "reason": found.reason,
        "held": "paused" if found.paused else None,
        "defined_at": str(webhook.place),
    }
    if explained:
        described["clauses"] = [
            {"at": list(clause.at), "holds": clause.holds, "text": clause.text, "place": None}
            for clause in found.clauses
        ]
    if found.taken:
        described["request"] = _describe_request(webhook, incoming.event)
    return [described]


def add_places(files: Snapshot, config: Config, described: Mapping[str, dict[str, Any]]) -> None:
    """Add to the clauses of explained webhooks where they stand. Blocks."""
    for origins in walk_origins(files, _files_of(config, described)):
        for name in origins.webhooks:
            for clause in described[name]["clauses"] if name in described else ():
                clause["place"] = str(origins.place(name, tuple(clause["at"])))


def _files_of(config: Config, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(config.webhooks[name].place.file for name in names))


def _describe_request(webhook: Webhook, event: Event) -> dict[str, object]:
    shown_request = preview(webhook, event)
    return {
        "method": shown_request.method,
        "url": shown_request.url,
        "headers": [list(header) for header in shown_request.headers],
        "body": None if shown_request.body is None else describe_bytes(shown_request.body),
        "problem": shown_request.problem,
    }


def _describe_standing(row: BacklogRow, webhook: Webhook) -> dict[str, object]:
    described: dict[str, object] = {"pending": row.pending, "overflow": row.pending >= webhook.max_pending}
    if row.state.suspended_at is not None:
        described["held"] = "suspended"
        described["suspended_at"] = format_instant(row.state.suspended_at)
        described["suspended_cause"] = row.state.suspended_cause
    return described


# --------------------------------------------------------------------------- definitions


def describe_definition(webhook: Webhook, mask: Callable[[str], str] = plain_mask) -> dict[str, Any]:
    """Give a definition in force."""
    return {"definition": write_definition(webhook, mask), "defined_at": str(webhook.place)}


def add_origins(files: Snapshot, config: Config, described: Mapping[str, dict[str, Any]]) -> None:
    """Add to described definitions the layer and the place that each of their values came from. Blocks."""
    for origins in walk_origins(files, _files_of(config, described)):
        for name in origins.webhooks:
            if name in described:
                _add_origins(described[name], name, origins)


def _add_origins(described: dict[str, Any], name: str, origins: Origins) -> None:
    definition = described["definition"]
    written = origins.value(name, ("body", "schema"))
    if isinstance(written, str) and "body" in definition:
        definition["body"]["schema"] = written
    described["origins"] = []
    for path in leaf_paths(definition):
        origin = origins.origin(name, path)
        place = None if origin.place is None else str(origin.place)
        described["origins"].append({"path": list(path), "layer": origin.layer, "place": place})


def leaf_paths(value: Mapping[str, Any], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Give the paths of the values that come from one place each: all but mappings of settings."""
    found: list[tuple[str, ...]] = []
    for key, inner in value.items():
        path = (*at, key)
        if isinstance(inner, dict) and inner and not is_reference(inner):
            found.extend(leaf_paths(inner, path))
        else:
            found.append(path)
    return found
