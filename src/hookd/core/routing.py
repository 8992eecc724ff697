"""Routing: which webhooks an event is owed to.

Rules of this module:

1. An exact pattern beats a prefix, and the longest prefix beats the others. What wins decides alone: an inactive
   trigger that wins stops the event and does not fall back to a shorter pattern. So a webhook is owed an event once.
2. A webhook without a tenant takes events without one; `*` takes all; else the two must be equal.
3. hookd's own events (`hookd.…`) reach only those who name them: exactly, or by a prefix that begins with `hookd.`.
   A webhook for `*` must not learn of other webhooks' troubles.
4. An inactive webhook is owed nothing. A paused one is: the store holds what it is owed.
5. Cost follows the webhooks that match, not those that exist: an index by pattern and tenant, probed once for each
   length of prefix that occurs, and remembered per (type, tenant). Types and tenants may be made up by producers,
   so what is remembered is bounded, in entries and in the routes that they hold together.
6. What is owed is frozen at acceptance, with its order key: partition key, else subject, else the empty key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from hookd.core.model import Owed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hookd.core.config import Trigger, Webhook
    from hookd.core.model import Event

#: The prefix of hookd's own event types.
OWN: Final = "hookd."
#: The tenant of a webhook that takes the events of every tenant, and of none.
EVERY_TENANT: Final = "*"
#: Remembered answers: 4096 types are more than a catalogue holds, and 65,536 references are half a megabyte.
MEMO_ENTRIES: Final = 4096
MEMO_ROUTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A webhook and the trigger of it that wins for a type. `owed` is ready unless deliveries go in order."""

    webhook: Webhook
    trigger: Trigger
    wants: Callable[[Event, object], bool] | None
    owed: Owed | None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The routes of one pattern, as they stand in the config, by the tenant whose events they take."""

    every: list[Route] = field(default_factory=list)
    by_tenant: dict[str | None, list[Route]] = field(default_factory=dict)

    def add(self, route: Route) -> None:
        tenant = route.webhook.tenant
        (self.every if tenant == EVERY_TENANT else self.by_tenant.setdefault(tenant, [])).append(route)

    def routes(self, tenant: str | None) -> Iterator[Route]:
        yield from self.by_tenant.get(tenant, ())
        yield from self.every

    def all(self) -> Iterator[Route]:
        for routes in self.by_tenant.values():
            yield from routes
        yield from self.every


_Patterns: TypeAlias = "dict[str, _Pattern]"


class Index:
    """The webhooks of one config by what they listen to; made by `build_index`."""

    __slots__ = ("_exact", "_lengths", "_memo", "_memo_routes", "_prefixes")

    def __init__(self, exact: _Patterns, prefixes: _Patterns) -> None:
        self._exact = exact
        self._prefixes = prefixes
        self._lengths = sorted({len(prefix) for prefix in prefixes}, reverse=True)
        self._memo: dict[tuple[str, str | None], tuple[Route, ...]] = {}
        self._memo_routes = 0

    def routes_for(self, event_type: str, tenant: str | None) -> tuple[Route, ...]:
        """Give the routes of a type that take the events of `tenant`, filters not asked."""
        key = (event_type, tenant)
        routes = self._memo.get(key)
        if routes is None:
            routes = _winners(route for pattern in self._patterns(event_type) for route in pattern.routes(tenant))
            self._remember(key, routes)
        return routes

    def patterns(self) -> _Patterns:
        """Give the patterns by what is written, for an index that differs in some of them."""
        return {**self._exact, **{f"{prefix}*": pattern for prefix, pattern in self._prefixes.items()}}

    def _remember(self, key: tuple[str, str | None], routes: tuple[Route, ...]) -> None:
        self._memo_routes += len(routes)
        if len(self._memo) >= MEMO_ENTRIES or self._memo_routes > MEMO_ROUTES:
            self._memo.clear()  # to begin anew is cheap, and needs no bookkeeping on a hit
            self._memo_routes = len(routes)
        self._memo[key] = routes

    def _patterns(self, event_type: str) -> Iterator[_Pattern]:
        """Give the patterns that match a type, the strongest first."""
        exact = self._exact.get(event_type)
        if exact is not None:
            yield exact
        least = len(OWN) if event_type.startswith(OWN) else 0
        longest = len(event_type)
        for length in self._lengths:
            if least <= length <= longest:
                pattern = self._prefixes.get(event_type[:length])
                if pattern is not None:
                    yield pattern


def _winners(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Keep the first route of each webhook, and of these the active ones."""
    first: dict[str, Route] = {}
    for route in routes:
        first.setdefault(route.webhook.id, route)
    return tuple(route for route in first.values() if route.trigger.active)


def build_index(webhooks: Iterable[Webhook]) -> Index:
    """Give the index of a config's webhooks; the routes of one pattern keep their order."""
    patterns: _Patterns = {}
    for webhook in webhooks:
        for route in _routes_of(webhook):
            key = route.trigger.pattern
            pattern = patterns.get(key)
            if pattern is None:
                pattern = patterns[key] = _Pattern()
            pattern.add(route)
    return _index_of(patterns)


def revise_index(index: Index, before: Mapping[str, Webhook], after: Mapping[str, Webhook]) -> Index:
    """Give the index of `after`, by id, out of that of `before`: only patterns of webhooks that differ are made anew.

    A webhook is the same if it is the same object.
    """
    gone = {name: webhook for name, webhook in before.items() if after.get(name) is not webhook}
    came = {name: webhook for name, webhook in after.items() if before.get(name) is not webhook}
    stayed = [name for name in before if name not in gone]
    if (len(gone) + len(came)) * 4 > len(after) or stayed != [name for name in after if name not in came]:
        return build_index(after.values())
    places = {name: number for number, name in enumerate(after)}
    patterns = index.patterns()
    new: dict[str, list[Route]] = {trigger.pattern: [] for webhook in gone.values() for trigger in webhook.triggers}
    for webhook in came.values():
        for route in _routes_of(webhook):
            new.setdefault(route.trigger.pattern, []).append(route)
    for key, routes in new.items():
        old = patterns.pop(key, None)
        if old is not None:
            routes += [route for route in old.all() if route.webhook.id not in gone]
        for route in sorted(routes, key=lambda route: places[route.webhook.id]):
            patterns.setdefault(key, _Pattern()).add(route)
    return _index_of(patterns)


def _routes_of(webhook: Webhook) -> Iterator[Route]:
    if not webhook.active:
        return
    wants = None if webhook.filter is None else webhook.filter.matches
    owed = None if webhook.ordered else Owed(webhook=webhook.id, max_pending=webhook.max_pending)
    for trigger in webhook.triggers:
        yield Route(webhook=webhook, trigger=trigger, wants=wants, owed=owed)


def _index_of(patterns: _Patterns) -> Index:
    exact: _Patterns = {}
    prefixes: _Patterns = {}
    for key, pattern in patterns.items():
        prefix = _prefix_of(key)
        if prefix is None:
            exact[key] = pattern
        else:
            prefixes[prefix] = pattern
    return Index(exact, prefixes)


def route(index: Index, event: Event, data: object) -> tuple[Owed, ...]:
    """Decide to whom an event is owed. `data` is `event.data` parsed, or `ABSENT` when the event has none."""
    return tuple(
        [
            found.owed or _owed_in_order(found.webhook, event)
            for found in index.routes_for(event.type, event.tenant)
            if found.wants is None or found.wants(event, data)
        ]
    )


def _owed_in_order(webhook: Webhook, event: Event) -> Owed:
    key = event.partitionkey if event.partitionkey is not None else event.subject
    return Owed(webhook=webhook.id, order_key="" if key is None else key, max_pending=webhook.max_pending)


def trigger_for(webhook: Webhook, event_type: str) -> Trigger | None:
    """Give the trigger of a webhook that decides about a type (it may be inactive); None: the webhook has none."""
    best: Trigger | None = None
    strength = -1
    for trigger in webhook.triggers:
        if pattern_takes(trigger.pattern, event_type):
            prefix = _prefix_of(trigger.pattern)
            if prefix is None:
                return trigger
            if len(prefix) > strength:
                best = trigger
                strength = len(prefix)
    return best


def pattern_takes(pattern: str, event_type: str) -> bool:
    """Tell whether a pattern, as in `events`, matches a type."""
    prefix = _prefix_of(pattern)
    if prefix is None:
        return pattern == event_type
    return event_type.startswith(prefix) and (prefix.startswith(OWN) or not event_type.startswith(OWN))


def _prefix_of(pattern: str) -> str | None:
    return pattern[:-1] if pattern.endswith("*") else None


def tenant_allows(webhook: Webhook, tenant: str | None) -> bool:
    """Tell whether a webhook may be given events of `tenant` (None: events without one)."""
    return webhook.tenant in (EVERY_TENANT, tenant)
