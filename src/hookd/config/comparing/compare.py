"""What differs between two configs, key by key, in the words of the YAML.

Rules of this module:

1. Configs are compared as they are in force (`core.definition`), defaults and profiles merged in: a profile that
   changes shows at every webhook that builds on it, and what is only written in another way is no difference.
2. A reference is one value, and so are lists; mappings are compared key by key.
3. What is masked differs by its mark: that a secret is another one is told, and nothing else of it.
4. The same change of many webhooks is one line for people (`gather`), and one of each for programs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Final

from hookd.core.config import Reference, ReferenceKind
from hookd.core.definition import (
    format_duration,
    format_size,
    plain_mask,
    strip_marks,
    write_definition,
    write_event_type,
    write_text,
)
from hookd.core.jsonvalues import same_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.core.config import Config
    from hookd.core.daemonconfig import DaemonConfig

REFERENCE_KINDS: Final = frozenset(kind.value for kind in ReferenceKind)
#: What is data rather than settings: a mapping of one key that looks like a reference is none there.
_DATA: Final = frozenset({"filter", "test_event", "tests"})
_DURATIONS: Final = frozenset({"drain_timeout", "events", "attempts", "held"})
_SIZES: Final = frozenset({"event_bytes", "batch_bytes", "disk_free", "bytes"})
_SHOWN: Final = 200

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that differs. None: it is absent."""

    path: Path
    old: object
    new: object

    @property
    def name(self) -> str:
        """The path as a person writes it: `retry.schedule`, `filter["data.country"]`."""
        return name_path(self.path)

    def __str__(self) -> str:
        return f"{self.name}: {show(self.old)} → {show(self.new)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A config as plain values. `webhooks` may hold some of them only; `digests` are of all."""

    revision: str
    daemon: Mapping[str, object]
    event_types: Mapping[str, Mapping[str, object]]
    moved: Mapping[str, str]  # from -> to
    digests: Mapping[str, str]
    webhooks: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs. `moved` are the webhooks that go over to another id, and `changed` names them by their new one."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    event_types: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    event_types_added: tuple[str, ...] = ()
    event_types_removed: tuple[str, ...] = ()
    restart: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return self == Difference()


def describe_config(config: Config, mask: Callable[[str], str] = plain_mask) -> Described:
    """Give a whole config as plain values, secrets masked."""
    return Described(
        revision=str(config.revision),
        daemon=describe_daemon(config.daemon, mask),
        event_types={name: write_event_type(entry) for name, entry in config.event_types.items()},
        moved={move.source: move.target for move in config.moved},
        digests={name: webhook.digest for name, webhook in config.webhooks.items()},
        webhooks={name: write_definition(webhook, mask) for name, webhook in config.webhooks.items()},
    )


def describe_daemon(daemon: DaemonConfig, mask: Callable[[str], str] = plain_mask) -> dict[str, object]:
    """Give the `daemon:` section as plain values. A field that may hold a secret says so by its type, `Text`."""
    described = _describe_part(daemon, mask)
    if not isinstance(described, dict):
        return {}
    level = described.pop("log_level", None)
    return {**described, "log": {"level": level}}


def _describe_part(part: object, mask: Callable[[str], str]) -> object:
    if is_dataclass(part) and not isinstance(part, type | Reference):
        return {
            each.name: _describe_field(getattr(part, each.name), each.name, each.type, mask)
            for each in fields(part)
            if each.compare
        }
    if isinstance(part, tuple | frozenset):
        members = part if isinstance(part, tuple) else sorted(part)
        return [_describe_part(each, mask) for each in members]
    if isinstance(part, Reference):
        return write_text(part, mask)
    return part if part is None or isinstance(part, bool | int | float | str) else str(part)


def _describe_field(value: object, name: str, kind: object, mask: Callable[[str], str]) -> object:
    if isinstance(value, str) and "Text" in str(kind):
        return mask(value)
    if name in _DURATIONS and isinstance(value, int | float):
        return format_duration(float(value))
    if name in _SIZES and isinstance(value, int):
        return format_size(value)
    if name == "mode" and isinstance(value, int):
        return f"{value:04o}"
    return _describe_part(value, mask)


# --------------------------------------------------------------------------- comparing


def compare(old: Described, new: Described) -> Difference:
    """Compare two configs. Of webhooks with equal digests, and of those that one side does not give, no keys are."""
    # A move that was done before says nothing any more.
    moved = {
        source: target
        for source, target in new.moved.items()
        if source not in new.digests and target in new.digests and old.moved.get(source) != target
    }
    before = {target: source for source, target in moved.items() if source in old.digests and target not in old.digests}
    changed: dict[str, tuple[Change, ...]] = {}
    for name, digest in new.digests.items():
        source = before.get(name, name)
        if old.digests.get(source, digest) != digest and source in old.webhooks and name in new.webhooks:
            changes = compare_values(old.webhooks[source], new.webhooks[name])
            if changes:
                changed[name] = changes
    types = {
        name: compare_values(old.event_types[name], entry)
        for name, entry in new.event_types.items()
        if name in old.event_types
    }
    return Difference(
        added=tuple(name for name in new.digests if name not in old.digests and name not in before),
        removed=tuple(name for name in old.digests if name not in new.digests and name not in moved),
        moved=moved,
        changed=changed,
        event_types={name: changes for name, changes in types.items() if changes},
        event_types_added=tuple(name for name in new.event_types if name not in old.event_types),
        event_types_removed=tuple(name for name in old.event_types if name not in new.event_types),
        restart=compare_values(old.daemon, new.daemon, ("daemon",)),
    )


def compare_values(old: Mapping[str, object], new: Mapping[str, object], at: Path = ()) -> tuple[Change, ...]:
    """Compare two mappings key by key, in the order of the first, then of what the second has besides."""
    changes: list[Change] = []
    for key in (*old, *(key for key in new if key not in old)):
        path = (*at, key)
        one, other = old.get(key), new.get(key)
        if same_json(one, other) and (key in old) == (key in new):
            continue
        whole = not _is_data(path) and (is_reference(one) or is_reference(other))
        if isinstance(one, dict) and isinstance(other, dict) and not whole:
            changes.extend(compare_values(one, other, path))
        else:
            changes.append(Change(path=path, old=one, new=other))
    return tuple(changes)


def _is_data(path: Path) -> bool:
    return path[0] in _DATA or path[:2] == ("body", "template")


def is_reference(value: object) -> bool:
    """Whether a value looks like a reference, which is one value."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in REFERENCE_KINDS


def gather(changed: Mapping[str, Sequence[Change]]) -> list[tuple[list[str], Sequence[Change]]]:
    """Put together the webhooks that change in the same way, in the order of the first of them."""
    gathered: dict[str, tuple[list[str], Sequence[Change]]] = {}
    for name, changes in changed.items():
        same = json.dumps([(change.path, change.old, change.new) for change in changes], sort_keys=True)
        gathered.setdefault(same, ([], changes))[0].append(name)
    return list(gathered.values())


# --------------------------------------------------------------------------- words


def name_path(path: Iterable[str]) -> str:
    """Write a path: with dots, and in brackets what would be misread."""
    written = ""
    for step in path:
        if step and all(character.isalnum() or character in "_-" for character in step):
            written += f".{step}" if written else step
        else:
            written += f"[{json.dumps(step, ensure_ascii=False)}]"
    return written


def show(value: object) -> str:
    """Show a value on one line: a text as it is where that can be read, else JSON; what is absent as a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        plain = bool(value) and value == value.strip() and value.isprintable()
        text = value if plain else json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict) and is_reference(value):
        text = "".join(f"{{{kind}: {name}}}" for kind, name in value.items())
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        text = f"[{', '.join(value)}]"
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = strip_marks(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
