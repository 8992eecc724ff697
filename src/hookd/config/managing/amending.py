"""Definitions that come through the control API, tried on the running config and put into it.

Rules of this module:

1. A definition is tried with the operator's files as they run, not as they lie on disk now: what an operator is just
   breaking blocks nobody, and is shown to nobody. Other tenants' definitions have no part in it.
2. Many are tried together. What is wrong with one is told by the places in its own file; where a problem stands
   elsewhere (in the profile that it does not fit), the many are halved until one is left that is to blame.
3. A definition is tried as it came, in JSON's form, in which every value has a place of its own: so each problem has
   its JSON Pointer (RFC 6901) into what was sent.
4. A tenant says where requests go, so they may carry no secret of the operator's but the signature of one that is
   the tenant's own.
5. What was tried is then built as the whole config, by the same code as a reload. What is made is what a reload would
   make of the same files, with the same revision.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hookd.config.checking.trial import run_trials
from hookd.config.load import Loaded, load_amended
from hookd.config.managing.managed import MARK, file_of, is_inside
from hookd.config.managing.tokens import secret_sent
from hookd.config.problems import ConfigInvalid
from hookd.config.snapshot import Snapshot
from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.yamltext import escape_json
from hookd.core.addresses import TargetInvalid, denied, parse_target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from hookd.config.problems import Problem
    from hookd.core.config import Config, Place, Webhook

_LOCAL_NAMES: Final = ("localhost", ".localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A definition that is to be written. `foreign`: it comes from a tenant, who so chooses where requests go."""

    id: str
    definition: Mapping[str, object]
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong with a draft: where, as a JSON Pointer into the definition, and in words.

    `pointer` None: it stands in none of its values, but in what it builds on. That is for the operator to see.
    `of_key`: the key is at fault that the pointer ends with, and not what stands behind it.
    """

    pointer: str | None
    code: str
    message: str
    of_key: bool = False


Complaints = dict[str, tuple[Complaint, ...]]


def try_drafts(base: Loaded, root: str, drafts: Sequence[Draft], *, now: int) -> Complaints:
    """Try drafts of different ids on a config's own files; give what is wrong with those that are not good. Blocks."""
    named = {file_of(root, move.target) for move in base.config.moved}
    files = _operators_files(base.snapshot, root, named)
    return _try([*drafts], replace(base, snapshot=files), root, now)


def _operators_files(snapshot: Snapshot, root: str, named: Collection[str]) -> Snapshot:
    """Give the files without those that the API wrote, but for those that the operator's own files name."""
    others = {
        name: content
        for name, content in snapshot.files.items()
        if name in named or not (is_inside(root, name) and content.startswith(MARK))
    }
    return Snapshot.of_copies(snapshot.main, others, [name for name in snapshot.included if name in others])


def _try(drafts: Sequence[Draft], base: Loaded, root: str, now: int) -> Complaints:
    complaints: Complaints = {}
    left = [*drafts]
    while left:
        texts = {draft.id: _text_of(draft) for draft in left}
        try:
            files = base.snapshot.amended(root, {file_of(root, name): texts[name].encode() for name in texts})
            config = load_amended(base, files).config
        except ConfigInvalid as error:
            found = _sort_out(left, texts, error.problems, root)
            complaints.update(found)
            if found:
                left = [draft for draft in left if draft.id not in found]
            elif len(left) == 1:
                told = (Complaint(pointer=None, code=it.code, message=str(it)) for it in error.problems)
                return {**complaints, left[0].id: tuple(told)}
            else:
                half = len(left) // 2
                return {**complaints, **_try(left[:half], base, root, now), **_try(left[half:], base, root, now)}
        else:
            judged = {draft.id: _judge(config, draft, texts[draft.id], root, now) for draft in left}
            return {**complaints, **{name: told for name, told in judged.items() if told}}
    return complaints


def _text_of(draft: Draft) -> str:
    return escape_json(json.dumps({"webhooks": {draft.id: draft.definition}}, ensure_ascii=False))


def _sort_out(drafts: Sequence[Draft], texts: Mapping[str, str], problems: Sequence[Problem], root: str) -> Complaints:
    """Give the problems that stand in the drafts, by id."""
    by_file: dict[str, list[Problem]] = {}
    for problem in problems:
        by_file.setdefault(problem.place.file, []).append(problem)
    found: Complaints = {}
    for draft in drafts:
        file = file_of(root, draft.id)
        if file in by_file:
            pointers = _Pointers(draft, texts[draft.id], file)
            found[draft.id] = tuple(_complain(problem, pointers) for problem in by_file[file])
    return found


def _judge(config: Config, draft: Draft, text: str, root: str, now: int) -> tuple[Complaint, ...]:
    """Give what is wrong with a draft that the config could be built with: its own tests, and where it leads."""
    webhook = config.webhooks[draft.id]
    complaints = []
    refusal = literal_problem(webhook)
    if refusal is not None:
        complaints.append(Complaint(pointer="/url", code="bad_url", message=refusal))
    secret = secret_sent(webhook) if draft.foreign else None
    if secret is not None:
        message = f"{secret} would be sent to whatever URL a tenant names; keep it out of the profile"
        complaints.append(Complaint(pointer=None, code="bad_secret", message=message))
    if webhook.tests:
        file = file_of(root, draft.id)
        pointers = _Pointers(draft, text, file)
        alone = replace(config, webhooks={draft.id: webhook})
        results = [each.problem for each in run_trials(alone, now=now)]
        complaints += [_complain(each, pointers) for each in results if each is not None and each.place.file == file]
    return tuple(complaints)


def literal_problem(webhook: Webhook) -> str | None:
    """Say why the address that stands in a webhook's URL would be blocked at every attempt; None if it would not.

    What a name stands for is looked up at each attempt, and judged then.
    """
    if not isinstance(webhook.url, str) or webhook.proxy is not None:
        return None
    try:
        target = parse_target(webhook.url)
    except TargetInvalid:
        return None  # that has been told
    local = target.host == _LOCAL_NAMES[0] or target.host.endswith(_LOCAL_NAMES[1])
    why = denied("127.0.0.1" if local else target.host, webhook.allow_networks) if local or target.literal else None
    return None if why is None else "the URL leads to an address that is not public; nothing is sent there"


def _complain(problem: Problem, pointers: _Pointers) -> Complaint:
    hint = f"; did you mean `{problem.hint}`?" if problem.hint is not None else ""
    pointer, of_key = pointers.find(problem.place)
    return Complaint(pointer=pointer, code=problem.code, message=problem.message + hint, of_key=of_key)


class _Pointers:
    """The pointers into a draft, by where its keys and values begin in its text, which is one line."""

    def __init__(self, draft: Draft, text: str, file: str) -> None:
        self._columns: list[int] = []
        self._found: list[tuple[str, bool]] = []
        try:
            document = parse_yaml(text.encode(), file)
        except ConfigInvalid:
            return
        top = ("webhooks", draft.id)
        for path in _paths_in(draft.definition, ()):
            pointer = "".join(f"/{_escape(step)}" for step in path)
            key, value = document.key_place(top + path), document.place(top + path)
            if key != value:  # an entry of a list has none
                self._columns.append(key.column)
                self._found.append((pointer, True))
            self._columns.append(value.column)
            self._found.append((pointer, False))

    def find(self, place: Place) -> tuple[str, bool]:
        """Give the pointer to what stands at a place, or around it, and whether it is a key."""
        number = bisect_right(self._columns, place.column) - 1
        return ("", False) if number < 0 else self._found[number]


def _paths_in(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Give the paths of a value and of all in it, in the order of the text."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        yield from _paths_in(each, (*path, step))


def _escape(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def amend(
    base: Loaded, root: str, changes: Mapping[str, bytes | None]
) -> tuple[Loaded, Mapping[str, Sequence[Problem]]]:
    """Give the config with the files of these ids written so, or gone (None), and what kept some from it. Blocks."""
    if not changes:
        return base, {}
    snapshot = base.snapshot.amended(root, {file_of(root, name): content for name, content in changes.items()})
    try:
        made = load_amended(base, snapshot)
    except ConfigInvalid as error:
        if len(changes) == 1:
            return base, dict.fromkeys(changes, error.problems)
        names = [*changes]
        refused: dict[str, Sequence[Problem]] = {}
        for some in (names[: len(names) // 2], names[len(names) // 2 :]):
            base, more = amend(base, root, {name: changes[name] for name in some})
            refused.update(more)
        return base, refused
    revision = replace(base.config.revision, hash=made.config.revision.hash)
    return replace(made, config=replace(made.config, revision=revision)), {}
