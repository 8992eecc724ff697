"""Checked files to one Config: what the files say together, cross-checked and compiled.

Rules of this module:

1. An id stands once in the whole tree: no file wins over another, and none is skipped.
2. Everything is built before anything is judged, so that all problems come at once.
3. Keys that begin with `x-` are the user's own, here as in the schema.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from hookd.config.daemonsection import build_daemon
from hookd.config.merge import Profiles, Section, merge_webhook, overlay
from hookd.config.outgoing import Templates
from hookd.config.problems import did_you_mean
from hookd.config.reader import Reader
from hookd.config.schemas import SchemaSet
from hookd.config.webhooks import Patterns, WebhookBuilder
from hookd.core.config import Config, DaemonConfig, EventType, Move
from hookd.core.routing import OWN, build_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hookd.config.reader import Findings
    from hookd.config.schemas import SchemaShelf
    from hookd.config.strictyaml import Document
    from hookd.core.config import Revision, Webhook

#: What a section of the files holds under its names.
_Entries = dict[str, tuple["Mapping[str, object]", Section]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The parsed files of a config, the main file first."""

    main: Document
    included: Sequence[Document]

    @property
    def documents(self) -> tuple[Document, ...]:
        """All of them."""
        return (self.main, *self.included)


def build_config(parsed: Parsed, shelf: SchemaShelf, revise: Callable[[], Revision], findings: Findings) -> Config:
    """Build the config. It is of use only if `findings` holds no problem then, those of the check included.

    `revise` is asked last, when every file that counts has been read.
    """
    tree = os.path.dirname(os.path.abspath(parsed.main.file))  # noqa: PTH100, PTH120  a text, as in the snapshot
    schemas = SchemaSet(shelf, tree)
    event_types = _build_event_types(parsed, schemas, findings)
    webhooks = _build_webhooks(parsed, event_types, schemas, findings)
    moved = _build_moved(parsed, webhooks, findings)
    for problem in schemas.problems:
        findings.add(problem)
    return Config(
        revision=revise(),
        daemon=_build_daemon(parsed.main, findings),
        event_types=MappingProxyType(event_types),
        webhooks=MappingProxyType(webhooks),
        moved=moved,
        index=build_index(webhooks.values()),
    )


def _build_daemon(main: Document, findings: Findings) -> DaemonConfig:
    value = _section(main, "daemon")
    return build_daemon(Reader({} if value is None else value, Section(main, ("daemon",)), findings))


def _build_event_types(parsed: Parsed, schemas: SchemaSet, findings: Findings) -> dict[str, EventType]:
    types: dict[str, EventType] = {}
    for name, (value, section) in _entries(parsed, "event_types", "event type", findings).items():
        reader = Reader(value, section, findings)
        if name.startswith(OWN):
            findings.report(section.key_place(()), f"types that begin with `{OWN}` are hookd's own", "bad_name")
        schema = reader.file_path("schema")
        types[name] = EventType(
            name=name,
            description=reader.string("description") or "",
            validator=None if schema is None else schemas.compile(schema, section.place(("schema",))),
            require=reader.strings("require"),
        )
    return types


def _build_webhooks(
    parsed: Parsed, event_types: Mapping[str, EventType], schemas: SchemaSet, findings: Findings
) -> dict[str, Webhook]:
    written = _section(parsed.main, "defaults")
    defaults = None if written is None else overlay(None, written, Section(parsed.main, ("defaults",)))
    profiles = Profiles(defaults, _entries(parsed, "profiles", "profile", findings), findings.add)
    builder = WebhookBuilder(Patterns(event_types), schemas, Templates(), findings)
    webhooks: dict[str, Webhook] = {}
    for name, (value, section) in _entries(parsed, "webhooks", "webhook", findings).items():
        webhooks[name] = builder.build(name, merge_webhook(profiles, value, section), section.key_place(()))
    return webhooks


def _build_moved(parsed: Parsed, webhooks: Mapping[str, Webhook], findings: Findings) -> tuple[Move, ...]:
    moves: dict[str, tuple[Move, Section]] = {}
    for document in parsed.documents:
        written = document.value.get("moved") if isinstance(document.value, dict) else None
        for index, value in enumerate(written if isinstance(written, list) else ()):
            section = Section(document, ("moved", index))
            if not isinstance(value, dict):
                continue
            reader = Reader(value, section, findings)
            source, target = reader.string("from"), reader.string("to")
            if source is None or target is None:
                findings.report(section.place(()), "an entry of `moved` needs `from` and `to`", "missing_key")
                continue
            if source in webhooks:
                message = f"the webhook `{source}` is still there, so nothing of it has moved"
                findings.report(section.place(("from",)), message, "bad_move", also=webhooks[source].place)
            if target not in webhooks:
                hint = did_you_mean(target, webhooks)
                findings.report(section.place(("to",)), f"there is no webhook `{target}`", "bad_move", hint=hint)
            if source in moves:
                also = moves[source][1].place(("from",))
                findings.report(section.place(("from",)), f"`{source}` is moved twice", "bad_move", also=also)
            moves.setdefault(source, (Move(source=source, target=target), section))
    return tuple(move for move, _ in moves.values())


def _entries(parsed: Parsed, key: str, noun: str, findings: Findings) -> _Entries:
    """Give what stands under a section in all files, by name; a name that stands in two places is a problem."""
    entries: _Entries = {}
    for section, name, value in _named(parsed, key):
        if name in entries:
            also = entries[name][1].key_place(())
            message = f"the {noun} `{name}` stands in two places"
            findings.report(section.key_place(()), message, "duplicate_id", also=also)
        else:
            entries[name] = value, section
    return entries


def _named(parsed: Parsed, key: str) -> Iterator[tuple[Section, str, Mapping[str, object]]]:
    for document in parsed.documents:
        for name, value in (_section(document, key) or {}).items():
            if not name.startswith("x-"):
                # An event type without anything to say about it is `user.updated:` or `user.updated: {}`.
                yield Section(document, (key, name)), name, value if isinstance(value, dict) else {}


def _section(document: Document, key: str) -> dict[str, object] | None:
    value = document.value.get(key) if isinstance(document.value, dict) else None
    return value if isinstance(value, dict) else None
