"""Checked files to one Config: what the files say together, cross-checked and compiled.

Rules of this module:

1. An id stands once in the whole tree: no file wins over another, and none is skipped.
2. Everything is built before anything is judged, so that all problems come at once.
3. Keys that begin with `x-` are the user's own, here as in the schema.
4. What an earlier load has built, and what would be built as it was, is taken over (`reuse`).
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hookd.config.beside import give_way
from hookd.config.building.daemonsection import build_daemon
from hookd.config.building.merge import Profiles, Section, overlay
from hookd.config.building.reader import Certain, Findings, Reader
from hookd.config.building.reuse import Kept
from hookd.config.building.webhookset import WebhookSet
from hookd.config.managing.managed import check_managed, managed_root
from hookd.config.managing.tokens import check_tokens
from hookd.config.problems import did_you_mean
from hookd.config.schema.schemas import SchemaSet
from hookd.config.text.document import ANY_KEY
from hookd.core.config import Config, EventType, Move
from hookd.core.routing import OWN, build_index, revise_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hookd.config.building.reuse import Built
    from hookd.config.building.sheets import Sheet
    from hookd.config.schema.schemas import SchemaShelf
    from hookd.core.config import Revision, Webhook
    from hookd.core.daemonconfig import DaemonConfig

#: What is said of the id of a webhook that is managed.
_OF_IDS: Final = frozenset({"bad_name"})
#: What is said of what is not in `daemon:`, or of what its tokens name.
_OF_DAEMON: Final = frozenset({"missing_key", "exactly_one", "unknown_profile", "secret_for_tenants"})
#: The steps to a definition of a webhook or a profile.
_WHOLE: Final = 2

#: What a section of the files holds under its names.
_Entries = dict[str, tuple["Mapping[str, object]", Section]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The parsed files of a config, the main file first, and what an earlier load has left.

    `unsure` are the sections of which something may stand where nobody could read it: what is not found in them may
    well be there.
    """

    main: Sheet
    included: Sequence[Sheet]
    before: Kept = field(default_factory=Kept)
    unsure: frozenset[str] = frozenset()

    @property
    def doubtful_types(self) -> frozenset[str]:
        """The event types that may be others than they were read."""
        doubts = (doubt for sheet in self.sheets for doubt in sheet.doubts)
        return frozenset(str(doubt[1]) for doubt in doubts if doubt[:1] == ("event_types",) and len(doubt) > 1)

    @property
    def may_change_ids(self) -> bool:
        """Whether what an id asks for, the managed directory and the tenant, may be others than they were read."""
        doubts = (doubt for sheet in self.sheets for doubt in sheet.doubts)
        named = any(
            doubt[0] == "managed_dir" or doubt[-1] == "tenant" or len(doubt) == _WHOLE for doubt in doubts if doubt
        )
        return named or not self.unsure.isdisjoint({"defaults", "profiles"})

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """All of the files."""
        return (self.main, *self.included)


def build_config(
    parsed: Parsed, shelf: SchemaShelf, revise: Callable[[], Revision], findings: Findings
) -> tuple[Config, Kept]:
    """Build the config, and give what the next load may go on with, which holds only what no problem was found in.

    The config is of use only if `findings` holds no problem then, those of the check included. `revise` is asked last,
    when every file that counts has been read.
    """
    before = parsed.before
    tree = os.path.dirname(os.path.abspath(parsed.main.file))  # noqa: PTH100, PTH120  a text, as in the snapshot
    schemas = SchemaSet(shelf, tree, before.schemas)
    event_types = _build_event_types(parsed, schemas, findings)
    made = _build_webhooks(parsed, event_types, schemas, findings)
    give_way()
    webhooks = made.webhooks
    moved = _build_moved(parsed, webhooks, findings)
    daemon = _build_daemon(parsed.main, findings)
    managed_dir = Reader(parsed.main.rest, Section(parsed.main, ()), findings).string("managed_dir")
    root = managed_root(parsed.main.file, managed_dir) if managed_dir else None
    managed_git = parsed.main.rest.get("managed_git") is True
    if managed_git and root is None:
        message = "`managed_git` commits what is written to `managed_dir`, and there is no `managed_dir`"
        findings.report(Section(parsed.main, ()).place(("managed_git",)), message, "missing_key")
    give_way()
    check_managed(webhooks.values(), root, Certain(findings, _OF_IDS) if parsed.may_change_ids else findings)
    names = [name for _, name, _ in _named(parsed, "profiles")]
    check_tokens(daemon, names, made.try_profile, _of_daemon(parsed.main, findings), managed_dir=root)
    sound = made.try_grounds(names)
    for problem in schemas.problems:
        findings.add(problem)
    give_way()
    old = before.index
    index = build_index(webhooks.values()) if old is None else revise_index(old, before.webhooks, webhooks)
    give_way()
    kept = Kept(
        sheets={sheet.file: sheet for sheet in parsed.sheets},
        built=made.built,
        webhooks=webhooks,
        index=index,
        schemas=schemas.remember(),
        shared=before.shared,
        sound=sound,
    )
    config = Config(
        revision=revise(),
        daemon=daemon,
        event_types=MappingProxyType(event_types),
        webhooks=MappingProxyType(webhooks),
        moved=moved,
        managed_dir=root,
        managed_git=managed_git,
        index=index,
    )
    return config, kept


def _build_daemon(main: Sheet, findings: Findings) -> DaemonConfig:
    value, section = main.section("daemon"), Section(main, ("daemon",))
    return build_daemon(Reader({} if value is None else value, section, _of_daemon(main, findings)))


def _of_daemon(main: Sheet, findings: Findings) -> Findings:
    """Give the findings about `daemon:`, which miss nothing in it if it is not known to the end."""
    return Certain(findings, _OF_DAEMON) if main.doubtful(("daemon",)) else findings


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


def build_ahead(parsed: Parsed, fresh: Iterable[Sheet], shelf: SchemaShelf) -> Mapping[str, Built]:
    """Build the webhooks of some files, of which others may be missing still, and give those without a problem.

    `parsed` are the files that may hold what lies below them, as far as they are there. What is given is good in a
    config in which that is the same, which is what a load looks for (`reuse`).
    """
    findings = Findings(())
    tree = os.path.dirname(os.path.abspath(parsed.main.file))  # noqa: PTH100, PTH120  as above
    schemas = SchemaSet(shelf, tree, parsed.before.schemas)
    made = _open_webhooks(parsed, _build_event_types(parsed, schemas, findings), schemas, findings)
    made.build((sheet, [name for name in sheet.ids if not name.startswith("x-")]) for sheet in fresh)
    return made.built


def _build_webhooks(
    parsed: Parsed, event_types: Mapping[str, EventType], schemas: SchemaSet, findings: Findings
) -> WebhookSet:
    made = _open_webhooks(parsed, event_types, schemas, findings)
    made.build(_list_webhooks(parsed, findings))
    return made


def _open_webhooks(
    parsed: Parsed, event_types: Mapping[str, EventType], schemas: SchemaSet, findings: Findings
) -> WebhookSet:
    written, section = parsed.main.section("defaults"), Section(parsed.main, ("defaults",))
    defaults = None if written is None else overlay(None, written, section)
    if "defaults" in parsed.unsure:
        defaults = replace(defaults or overlay(None, {}, section), doubts=frozenset({ANY_KEY}))
    profiles = Profiles(defaults, _entries(parsed, "profiles", "profile", findings), findings.add)
    return WebhookSet(profiles, event_types, schemas, findings, parsed)


def _list_webhooks(parsed: Parsed, findings: Findings) -> list[tuple[Sheet, list[str]]]:
    """Give the webhooks of each file, without looking at their definitions."""
    first: dict[str, Sheet] = {}
    listed: list[tuple[Sheet, list[str]]] = []
    for sheet in parsed.sheets:
        names: list[str] = []
        for name in sheet.ids:
            if name in first:
                _refuse_twin(Section(sheet, ("webhooks", name)), Section(first[name], ("webhooks", name)), findings)
            elif not name.startswith("x-"):
                first[name] = sheet
                names.append(name)
        listed.append((sheet, names))
    return listed


def _build_moved(parsed: Parsed, webhooks: Mapping[str, Webhook], findings: Findings) -> tuple[Move, ...]:
    moves: dict[str, tuple[Move, Section]] = {}
    for sheet in parsed.sheets:
        written = sheet.rest.get("moved")
        for index, value in enumerate(written if isinstance(written, list) else ()):
            section = Section(sheet, ("moved", index))
            if not isinstance(value, dict):
                continue
            reader = Reader(value, section, findings)
            source, target = reader.string("from"), reader.string("to")
            if source is None or target is None:
                if not reader.has_spoken_inside():
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
            moves.setdefault(source, (Move(source=source, target=target, place=section.place(())), section))
    return tuple(move for move, _ in moves.values())


def _entries(parsed: Parsed, key: str, noun: str, findings: Findings) -> _Entries:
    """Give what stands under a section in all files, by name; a name that stands in two places is a problem."""
    entries: _Entries = {}
    for section, name, value in _named(parsed, key):
        if name in entries:
            _refuse_twin(section, entries[name][1], findings, noun)
        else:
            entries[name] = value, section
    return entries


def _refuse_twin(section: Section, first: Section, findings: Findings, noun: str = "webhook") -> None:
    message = f"the {noun} `{section.at[-1]}` stands in two places"
    findings.report(section.key_place(()), message, "duplicate_id", also=first.key_place(()))


def _named(parsed: Parsed, key: str) -> Iterator[tuple[Section, str, Mapping[str, object]]]:
    for sheet in parsed.sheets:
        for name, value in (sheet.section(key) or {}).items():
            if not name.startswith("x-"):
                # An event type without anything to say about it is `user.updated:` or `user.updated: {}`.
                yield Section(sheet, (key, name)), name, value if isinstance(value, dict) else {}
