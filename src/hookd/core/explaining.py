"""Why a webhook gets an event, or does not: the clauses of its definition that decided, in the order of deciding.

Rules of this module:

1. The answer is routing's own: the same functions decide (`tenant_allows`, `trigger_for`, the clauses of a filter), and
   a test holds the two together. Here it is only told, so nothing here is fast or remembered.
2. A clause has a place inside the definition (`("filter", "data.amount", "gte")`). Which file and line that is, is
   looked up by whoever has the files.
3. What keeps a webhook out is told alone: the first of inactive, tenant, events, filter. What lets it in is told whole.
4. What the event holds is shown beside the line that asked for it, shortened: whoever asks has written the event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.core.catalogue import judge
from hookd.core.conditions import OPERATORS
from hookd.core.filters import value_at
from hookd.core.model import Refusal
from hookd.core.paths import ABSENT
from hookd.core.routing import EVERY_TENANT, OWN, pattern_takes, tenant_allows, trigger_for
from hookd.core.wire import parse_any_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hookd.core.config import Config, Webhook
    from hookd.core.filters import Clause as Part
    from hookd.core.filters import Filter
    from hookd.core.model import Event
    from hookd.core.paths import Steps
    from hookd.core.wire import Incoming

#: What is shown of a value; a document is not what one looks for here.
_SHOWN: Final = 60
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Something that a definition says: where (a path inside it), whether it let the event pass, and in words."""

    at: Steps
    holds: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What became of an event at one webhook.

    `reason` is one word: `taken`, or `inactive`, `tenant`, `events`, `filter` for what kept it out. `paused`: it is
    taken, and held by the definition.
    """

    webhook: str
    reason: str
    clauses: tuple[Clause, ...]
    paused: bool = False

    @property
    def taken(self) -> bool:
        """Whether the webhook gets the event."""
        return self.reason == "taken"


def read_event(config: Config, written: bytes, *, now: int, new_id: Callable[[], str]) -> Incoming | Refusal:
    """Let an event in as an inlet would, and the catalogue judge it. hookd's own types come in as hookd makes them."""
    incoming = parse_any_event(written, limit=config.daemon.limits.event_bytes, now=now, new_id=new_id)
    if isinstance(incoming, Refusal) or incoming.event.type.startswith(OWN):
        return incoming
    return judge(config, incoming) or incoming


def explain(webhook: Webhook, event: Event, data: object) -> Explained:
    """Explain one webhook. `data` is `event.data` parsed, or `ABSENT` when the event has none."""
    if not webhook.active:
        return _left(webhook, "inactive", Clause(at=("active",), holds=False, text="active: false"))
    clauses: list[Clause] = []
    tenant = _explain_tenant(webhook, event)
    if not tenant.holds:
        return _left(webhook, "tenant", tenant)
    if webhook.tenant is not None:
        clauses.append(tenant)
    entry = _explain_events(webhook, event.type)
    if not entry.holds:
        return _left(webhook, "events", entry)
    clauses.append(entry)
    if webhook.filter is not None:
        lines = explain_filter(webhook.filter, event, data)
        if not webhook.filter.matches(event, data):
            return _left(webhook, "filter", *_failing(lines))
        clauses.extend(lines)
    if webhook.paused:
        clauses.append(Clause(at=("paused",), holds=True, text="paused: true; it is kept and held, not attempted"))
    return Explained(webhook=webhook.id, reason="taken", clauses=tuple(clauses), paused=webhook.paused)


def _left(webhook: Webhook, reason: str, *clauses: Clause) -> Explained:
    return Explained(webhook=webhook.id, reason=reason, clauses=clauses)


def _explain_tenant(webhook: Webhook, event: Event) -> Clause:
    said = "no tenant" if webhook.tenant is None else f"tenant: {show_value(webhook.tenant)}"
    has = "has none" if event.tenant is None else f"is of {show_value(event.tenant)}"
    holds = tenant_allows(webhook, event.tenant)
    text = said
    if webhook.tenant is None:
        text = f"{said}, so it takes only events without one; this event {has}"
    elif not holds:
        text = f"{said}; this event {has}"
    elif webhook.tenant == EVERY_TENANT:
        text = f"{said}, so it takes the events of all"
    return Clause(at=("tenant",), holds=holds, text=text)


def _explain_events(webhook: Webhook, event_type: str) -> Clause:
    trigger = trigger_for(webhook, event_type)
    if trigger is None:
        patterns = ", ".join(each.pattern for each in webhook.triggers) or "nothing"
        text = f"no entry of `events` matches {show_value(event_type)}: {_cut(patterns)}"
        if event_type.startswith(OWN):
            text += f"; a prefix must begin with `{OWN}` to match hookd's own events"
        return Clause(at=("events",), holds=False, text=text)
    at: Steps = ("events", webhook.triggers.index(trigger))
    if trigger.active:
        return Clause(at=at, holds=True, text=f"events: {trigger.pattern}")
    others = any(each.active for each in webhook.triggers)
    several = sum(pattern_takes(each.pattern, event_type) for each in webhook.triggers) > 1
    beats = ", which beats the other entries that match" if others and several else ""
    return Clause(at=at, holds=False, text=f"events: {trigger.pattern} is not active{beats}")


# --------------------------------------------------------------------------- filters


def explain_filter(compiled: Filter, event: Event, data: object) -> list[Clause]:
    """Tell of every clause of a filter, in the order of the file, whether it holds and what it asked."""
    return [
        Clause(
            at=("filter", *clause.at), holds=holds, text=_describe(compiled.spec, clause.at, event, data, holds=holds)
        )
        for clause in _walk(compiled.clauses)
        for holds in [clause.matches(event, data)]
    ]


def _walk(clauses: Iterable[Part]) -> Iterator[Part]:
    for clause in clauses:
        # A branch of one line says what its line says.
        if not (isinstance(clause.at[-1], int) and len(clause.parts) == 1):
            yield clause
        yield from _walk(clause.parts)


def _failing(lines: list[Clause]) -> list[Clause]:
    """Keep the lines of the filter itself that fail, each with all that stands inside of it.

    What is inside of `not` and `any` may well be true: it is shown because it is the reason.
    """
    kept: list[Clause] = []
    failing: Steps | None = None
    for line in lines:
        inside = failing is not None and line.at[: len(failing)] == failing and len(line.at) > len(failing)
        if inside:
            kept.append(line)
        elif not line.holds:
            failing = line.at
            kept.append(line)
        else:
            failing = None
    return kept


def _describe(spec: Mapping[str, object], at: Steps, event: Event, data: object, *, holds: bool) -> str:
    """Say what stands at a place of a filter: a connective, a branch, or a line with its operator."""
    node: object = spec
    path: str | None = None  # of the line, once the walk is inside of one
    for number, step in enumerate(at):
        last = number == len(at) - 1
        if isinstance(step, int):
            node = node[step] if isinstance(node, list | tuple) else None
            if last:
                return f"branch {step + 1}"
            continue
        node = node.get(step) if isinstance(node, Mapping) else None
        if path is not None:
            return _describe_line(path, step, node, event, data)
        if step == "not":
            if last:
                return "not: what is in it does not hold" if holds else "not: what is in it holds"
        elif step in ("any", "all"):
            if last:
                return _describe_branches(step, node, holds=holds)
        elif last:
            name = "in" if isinstance(node, list | tuple) else "eq"
            return _describe_line(step, name, node, event, data)
        else:
            path = step
    return ".".join(map(str, at))


def _describe_branches(name: str, branches: object, *, holds: bool) -> str:
    count = len(branches) if isinstance(branches, list | tuple) else 0
    if name == "any":
        return f"any of {count}: {'at least one holds' if holds else 'none holds'}"
    return f"all of {count}: {'they hold' if holds else 'not all of them hold'}"


def _describe_line(path: str, name: str, operand: object, event: Event, data: object) -> str:
    found = value_at(path, event, data)
    has = "there is none in the event" if found is ABSENT else f"the event has {show_value(found)}"
    told = name if name in OPERATORS else f"operator {name}"
    return f"{path} {told} {show_value(operand)}; {has}"


def show_value(value: object) -> str:
    """Write a value as JSON on one line, cut where it is long; no more of it is written than is shown."""
    if isinstance(value, str):
        return _cut(json.dumps(value[: _SHOWN + 1], ensure_ascii=False))
    written = ""
    for piece in _ENCODER.iterencode(value):
        written += piece
        if len(written) > _SHOWN:
            break
    return _cut(written)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
