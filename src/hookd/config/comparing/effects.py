"""What a change of the config does to what is waiting, in words: before it is made.

Rules of this module:

1. It says what the store and the dispatcher will do (DESIGN decision 1, `store.binding`, `delivery`): what happened is
   stored, what to do about it is config. So pending deliveries follow the new definition at their next attempt.
2. Only what is there counts: a webhook with nothing pending has no effect to tell, but for what surprises later (a new
   pattern says nothing about events that were accepted before).
3. One sentence for each thing that happens, the number first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.comparing.compare import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hookd.config.comparing.compare import Change, Difference

#: What decides a request (DESIGN 2.1): when one of these changes, what keeps a webhook waiting is lifted.
_DECISIVE: Final = ("url", "auth", "sign", "headers", "body", "secrets", "tls", "proxy", "allow_networks")
#: How it is said of what waits.
_SENT_WITH: Final = {
    "auth": "the new credentials",
    "sign": "the new signing secrets",
    "headers": "the new headers",
    "body": "the new body",
    "secrets": "the new secrets",
    "tls": "the new TLS settings",
    "proxy": "the new proxy",
    "allow_networks": "the new networks",
    "method": "the new method",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a webhook stands in the store: its deliveries, and whether it is suspended."""

    pending: int = 0
    held: int = 0
    dead: int = 0
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change does to the backlog of a webhook."""

    webhook: str
    text: str


def tell_effects(difference: Difference, standing: Mapping[str, Standing]) -> list[Effect]:
    """Tell the effects of a difference on a store that stands like this, in the order of the difference."""
    told: list[tuple[str, list[str]]] = []
    nothing = Standing()
    for source, target in difference.moved.items():
        if source in standing:  # else the store knows nothing that could move: it has moved already
            told.append((source, _tell_moved(target, standing[source], standing.get(target, nothing))))
    told.extend((name, _tell_added(standing.get(name, nothing))) for name in difference.added)
    sources = {target: source for source, target in difference.moved.items()}
    for name, changes in difference.changed.items():
        stands = standing.get(name, nothing)
        moved = standing.get(sources.get(name, ""), nothing)
        told.append((name, _tell_changed(changes, stands if stands.pending else moved)))
    told.extend((name, _tell_removed(standing.get(name, nothing))) for name in difference.removed)
    return [Effect(webhook=name, text=text) for name, texts in told for text in texts]


def _tell_moved(target: str, source: Standing, own: Standing) -> list[str]:
    if own.pending or own.dead:
        has = f"{own.pending} pending and {own.dead} dead" if own.dead else f"{own.pending} pending"
        return [f"cannot move: {target} has {has} of its own; these {source.pending} will be held"]
    return [f"{source.pending} pending move to {target}"] if source.pending else []


def _tell_added(stands: Standing) -> list[str]:
    if not stands.pending:
        return []
    return [f"{stands.pending} pending, held since it was gone from the files, will be due again"]


def _tell_removed(stands: Standing) -> list[str]:
    if not stands.pending:
        return []
    return [f"{stands.pending} pending will be held: kept, not attempted, until it is in the files again"]


def _tell_changed(changes: Sequence[Change], stands: Standing) -> list[str]:
    by_key: dict[str, list[Change]] = {}
    for change in changes:
        by_key.setdefault(change.path[0], []).append(change)
    return [*_tell_pending(by_key, stands), *_tell_matching(by_key, stands)]


def _tell_pending(by_key: Mapping[str, Sequence[Change]], stands: Standing) -> list[str]:
    """Tell what becomes of the pending deliveries."""
    if not stands.pending:
        return []
    many = f"{stands.pending} pending"
    held = _will_be_held(by_key)
    if held is not None:
        return [f"{many} will be held {held}"]
    parts = _tell_request(by_key, stands, many)
    if _is_held_by_definition(by_key) is False:
        parts.append(f"{many}, held until now, will be due")
    if "tenant" in by_key:
        parts.append("those of them that are of another tenant will be held")
    gone = _patterns_gone(by_key)
    if gone:
        parts.append(f"those of them that came by {_join(gone)} alone will be held")
    if "retry" in by_key and not parts:
        parts.append(f"{many} will follow the new schedule after their next attempt")
    most = next((change.new for change in by_key.get("max_pending", ()) if isinstance(change.new, int)), None)
    if most is not None and stands.pending >= most:
        parts.append(f"{many} are more than max_pending: new deliveries will be dead at once, cause overflow")
    return parts


def _tell_request(by_key: Mapping[str, Sequence[Change]], stands: Standing, many: str) -> list[str]:
    """Tell how what is pending will be sent."""
    decisive = [key for key in _DECISIVE if key in by_key]
    changed = [_SENT_WITH[key] for key in (*decisive, "method") if key in by_key and key in _SENT_WITH]
    if "url" in by_key:
        text = f"{many} will go to the new URL" + (f", with {_join(changed)}" if changed else "")
    elif changed:
        text = f"{many} will be sent with {_join(changed)}"
    else:
        return []
    if decisive:
        text += ", due now: its suspension is lifted" if stands.suspended else ", due now"
    return [text]


def _will_be_held(by_key: Mapping[str, Sequence[Change]]) -> str | None:
    for change in by_key.get("active", ()):
        if change.new is False:
            return "until it is active again"
    for change in by_key.get("paused", ()):
        if change.new is True:
            return "until it is no longer paused"
    return None


def _is_held_by_definition(by_key: Mapping[str, Sequence[Change]]) -> bool | None:
    """Whether a change begins (True) or ends (False) that the definition holds the backlog; None: neither."""
    if _will_be_held(by_key) is not None:
        return True
    ended = any(change.new is True for change in by_key.get("active", ()))
    return False if ended or any(change.new is False for change in by_key.get("paused", ())) else None


def _tell_matching(by_key: Mapping[str, Sequence[Change]], stands: Standing) -> list[str]:
    """Tell what is decided when an event is accepted, and so does not look back."""
    parts: list[str] = []
    new = _patterns_new(by_key)
    if new:
        parts.append(f"{_join(new)}: from the reload on; `hookd replay` gives it the events that are kept")
    if "filter" in by_key and stands.pending:
        parts.append(f"the {stands.pending} pending stay owed: the new filter is asked of new events only")
    if "ordered" in by_key and stands.pending:
        parts.append(f"the {stands.pending} pending keep their order: the new one is of new events only")
    return parts


def _entries(value: object) -> dict[str, bool]:
    entries: dict[str, bool] = {}
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, str):
            entries[entry] = True
        elif isinstance(entry, dict):
            entries[str(entry.get("event"))] = entry.get("active") is not False
    return entries


def _patterns_gone(by_key: Mapping[str, Sequence[Change]]) -> list[str]:
    return _only_in_first(by_key, "old", "new")


def _patterns_new(by_key: Mapping[str, Sequence[Change]]) -> list[str]:
    return _only_in_first(by_key, "new", "old")


def _only_in_first(by_key: Mapping[str, Sequence[Change]], first: str, second: str) -> list[str]:
    found: list[str] = []
    for change in by_key.get("events", ()):
        has, other = _entries(getattr(change, first)), _entries(getattr(change, second))
        found += [show(pattern) for pattern, active in has.items() if active and not other.get(pattern)]
    return found


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
