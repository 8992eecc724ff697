"""A difference of two configs, for people and for programs.

What is masked was compared by marks; here they are taken off, so that none is ever printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

from hookd.cli.output import styled
from hookd.cli.readable import make_visible
from hookd.config.comparing.compare import Change, gather, name_path, show
from hookd.core.definition import strip_marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hookd.config.comparing.compare import Difference
    from hookd.config.comparing.effects import Effect

#: Webhooks that are named when many change in the same way.
_NAMED: Final = 6


class Sides(TypedDict):
    """What is compared, in words, and the revisions of both."""

    old: str
    new: str
    revisions: tuple[str, str]
    note: NotRequired[str]


def describe_difference(
    sides: Sides, difference: Difference, effects: Sequence[Effect], warning: str | None
) -> dict[str, object]:
    """Give a difference for programs."""
    return {
        "from": {"name": sides["old"], "revision": sides["revisions"][0]},
        "to": {"name": sides["new"], "revision": sides["revisions"][1]},
        "changes": not difference.empty,
        "added": list(difference.added),
        "removed": list(difference.removed),
        "moved": dict(difference.moved),
        "changed": {name: _describe(changes) for name, changes in difference.changed.items()},
        "event_types": {
            "added": list(difference.event_types_added),
            "removed": list(difference.event_types_removed),
            "changed": {name: _describe(changes) for name, changes in difference.event_types.items()},
        },
        "restart_required": _describe(difference.restart),
        "effects": [{"webhook": each.webhook, "effect": each.text} for each in effects],
        "warning": warning,
    }


def _describe(changes: Iterable[Change]) -> list[dict[str, object]]:
    return [
        {"key": name_path(change.path), "old": _unmarked(change.old), "new": _unmarked(change.new)}
        for change in changes
    ]


def _unmarked(value: object) -> object:
    if isinstance(value, dict):
        return {key: _unmarked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unmarked(inner) for inner in value]
    return strip_marks(value) if isinstance(value, str) else value


def print_difference(sides: Sides, difference: Difference, effects: Sequence[Effect], warning: str | None) -> None:
    """Print a difference for people: what comes is green, what goes is red."""
    old, new = sides["revisions"]
    if "note" in sides:
        print(styled(f"note: {sides['note']}", "bad"))
    if difference.empty:
        print(f"no changes: {sides['old']} ({old}) and {sides['new']} ({new}) say the same")
        return
    print(styled(f"from {sides['old']} ({old})", "faint"))
    print(styled(f"to   {sides['new']} ({new})", "faint"))
    _print_webhooks(difference)
    _print_event_types(difference)
    if difference.restart:
        print("\nneeds a restart:")
        _print_changes(difference.restart)
    if effects:
        print("\nbacklog:")
        for effect in effects:
            print(_visible(f"  {effect.webhook}: {effect.text}"))
    if warning is not None:
        print(f"\n{styled(warning, 'bad')}")


def _print_webhooks(difference: Difference) -> None:
    if difference.added or difference.removed or difference.moved or difference.changed:
        print("\nwebhooks:")
    for source, target in difference.moved.items():
        print(f"  {styled('→', 'good')} {_visible(f'{source} moves to {target}')}")
    for name in difference.added:
        print(f"  {styled(_visible(f'+ {name}'), 'good')}")
    for name in difference.removed:
        print(f"  {styled(_visible(f'- {name}'), 'bad')}")
    for names, changes in gather(difference.changed):
        print(f"  ~ {styled(_visible(_name(names)), 'strong')}")
        _print_changes(changes, indent="      ")


def _name(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _print_event_types(difference: Difference) -> None:
    if difference.event_types or difference.event_types_added or difference.event_types_removed:
        print("\nevent types:")
    for name in difference.event_types_added:
        print(f"  {styled(_visible(f'+ {name}'), 'good')}")
    for name in difference.event_types_removed:
        print(f"  {styled(_visible(f'- {name}'), 'bad')}")
    for name, changes in difference.event_types.items():
        print(f"  ~ {styled(_visible(name), 'strong')}")
        _print_changes(changes, indent="      ")


def _print_changes(changes: Iterable[Change], *, indent: str = "  ") -> None:
    for change in changes:
        name = _visible(change.name)
        if change.path == ("events",):
            _print_entries(change, indent)
            continue
        old, new = _visible(show(change.old)), _visible(show(change.new))
        same = " (another one)" if old == new else ""
        print(f"{indent}{name}: {styled(old, 'bad')} → {styled(new, 'good')}{same}")


def _print_entries(change: Change, indent: str) -> None:
    """Print which entries of a list came and went."""
    old = [show(each) for each in change.old] if isinstance(change.old, list) else []
    new = [show(each) for each in change.new] if isinstance(change.new, list) else []
    gone = [styled(f"-{_visible(each)}", "bad") for each in old if each not in new]
    come = [styled(f"+{_visible(each)}", "good") for each in new if each not in old]
    print(f"{indent}{change.name}: {' '.join([*gone, *come]) or 'in another order'}")


def _visible(text: Any) -> str:
    return make_visible(str(text), one_line=True)
