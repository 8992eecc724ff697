"""The changes of one batch, from plans to files on disk and the config that they make. It blocks; it runs in a thread.

Rules of this module:

1. First everything is tried and built, then files are written. So what is on disk was good, and what is given back is
   what is on disk. A file that cannot be written leaves its own change out, and no other.
2. A tenant is told what is wrong with what it sent, with its place. What is wrong with anything else (the profile that
   it builds on, the operator's files) is told in the log.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from hookd.config.managing.amending import Draft, amend, try_drafts
from hookd.config.managing.managed import file_of, remove_file, render_file, write_file
from hookd.control.management import ManagementRefused, refuse_definition
from hookd.core.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.config.load import Loaded
    from hookd.config.managing.amending import Complaint
    from hookd.config.managing.managed import Keyring, Removals
    from hookd.config.problems import Problem
    from hookd.control.management import Plan
    from hookd.core.config import Config

log = structlog.get_logger()

#: What a tenant's definition holds that the tenant did not send, as the beginning of a pointer.
_HIDDEN: Final = (["profile"], ["tenant"], ["sign"])
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(eq=False, slots=True)
class Work:
    """A plan on its way. `refused` says why it ended there; else, at the end, it is on disk and in `config`."""

    plan: Plan
    content: bytes | None = None
    secret: str | None = None
    config: Config | None = None
    refused: ManagementRefused | None = None

    @property
    def id(self) -> str:
        """The webhook's."""
        return self.plan.wish.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelves:
    """Where secrets and the notes of removals are kept."""

    keyring: Keyring
    removals: Removals


def make_batch(works: Sequence[Work], base: Loaded, root: str, shelves: Shelves, *, now: int) -> Loaded | None:
    """Try, build and write; give the config with what went well, None if nothing did. `now` in ms since the epoch."""
    drafts = [
        Draft(id=work.id, definition=work.plan.definition, foreign=work.plan.wish.caller.tenant is not None)
        for work in works
        if work.plan.definition is not None
    ]
    complaints = try_drafts(base, root, drafts, now=now)
    for work in works:
        if work.plan.complaints or work.id in complaints:
            work.refused = _as_refusal(work.plan, complaints.get(work.id, ()))
        elif work.plan.definition is not None:
            who, when = work.plan.wish.caller.title, format_instant(now)
            work.content = render_file(work.id, work.plan.definition, who=who, when=when)
    while True:
        made = _build(works, base, root)
        failed = [work for work in _left(works) if not _write(work, base, root, shelves)]
        if not failed:
            break
    made.snapshot.take_stamps([file_of(root, work.id) for work in _left(works)])
    for work in _left(works):
        work.config = made.config
    return made if _left(works) else None


def _left(works: Sequence[Work]) -> list[Work]:
    return [work for work in works if work.refused is None]


def _build(works: Sequence[Work], base: Loaded, root: str) -> Loaded:
    made, refused = amend(base, root, {work.id: work.content for work in _left(works)})
    for work in works:
        if work.id in refused and work.refused is None:
            work.refused = _as_conflict(work.plan, refused[work.id])
    return made


def _write(work: Work, base: Loaded, root: str, shelves: Shelves) -> bool:
    """Write one change; False: it cannot be written, and is refused."""
    path = file_of(root, work.id)
    try:
        if work.plan.before is None and path not in base.snapshot.files and os.path.lexists(path):
            # Written by a person and not accepted: the config knows nothing of it, and it is not ours to overwrite.
            work.refused = ManagementRefused(409, "taken", "this id is taken by a file that is not the API's")
            return False
        if work.plan.new_secret is not None and work.secret is None:
            work.secret = shelves.keyring.make(work.plan.new_secret)
        if work.content is None:
            shelves.removals.begin(work.id)
            remove_file(path)
        else:
            write_file(path, work.content)
    except OSError as error:
        log.warning("management.unwritten", webhook=work.id, reason=f"cannot write: {os.strerror(error.errno or 0)}")
        status = 507 if error.errno in _FULL else 503
        work.refused = ManagementRefused(status, "not_written", "the change could not be written; nothing was changed")
        return False
    return True


def _as_refusal(plan: Plan, tried: Sequence[Complaint]) -> ManagementRefused:
    """Say what is wrong with a definition, to whoever may know; `tried` is what the trial found."""
    told = {it.pointer for it in plan.complaints}
    if plan.wish.caller.tenant is None:
        return refuse_definition([*plan.complaints, *(it for it in tried if it.pointer not in told)])
    sent = [it for it in tried if it.pointer is not None and it.pointer.split("/")[1:2] not in _HIDDEN]
    own = [*plan.complaints, *(it for it in sent if it.pointer not in told)]
    if own:
        return refuse_definition(own)
    reason = "; ".join(f"{it.code}: {it.message}" for it in tried)
    log.warning("management.unfit", webhook=plan.wish.id, tenant=plan.wish.caller.tenant, reason=reason)
    message = "the profile of this token does not make a webhook of this; only the operator can mend that"
    return ManagementRefused(409, "profile_unfit", message)


def _as_conflict(plan: Plan, problems: Sequence[Problem]) -> ManagementRefused:
    """Say that the rest of the config does not take a change that is right in itself."""
    if plan.wish.caller.tenant is None:
        return ManagementRefused(409, "conflict", "; ".join(map(str, problems)))
    reason = "; ".join(map(str, problems))
    log.warning("management.unfit", webhook=plan.wish.id, tenant=plan.wish.caller.tenant, reason=reason)
    message = "the operator's settings do not take this change; only the operator can mend that"
    return ManagementRefused(409, "conflict", message)
