"""What becomes of a change that comes through the control API: the decisions, without waiting and without HTTP.

Rules of this module:

1. A decision looks at the files of the running config and at nothing else. It gives a `Plan`, which says what is to be
   written, or a `ManagementRefused`.
2. A webhook that stands in the operator's own files, or in a file of the managed directory that a person wrote, is not
   taken over and not removed. One that stands in no file any more has a backlog at most, which the operator may end.
3. Whoever says which revision they saw (`If-Match`, `If-None-Match`) changes that revision or nothing.
4. A webhook with a tenant's id has a signing secret of its own, made by hookd, unless the operator says otherwise with
   `sign`. When it is rotated the one before signs as well, for `OLD_SECRET_S`, so that the receiver changes its own in
   between; what is older goes.
5. What is sent twice is done once: a definition that is there already is neither written nor committed again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hookd.config.managing.managed import Keyring, Written, etag_of, file_of, read_definition
from hookd.control.bounds import find_excess
from hookd.core.ids import id_problem, tenant_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hookd.config.load import Loaded
    from hookd.config.managing.amending import Complaint
    from hookd.control.callers import Caller
    from hookd.control.codes import ApiCode
    from hookd.core.model import RefusalCode

#: Of one tenant. What a customer's program makes by mistake must not become everybody's.
MOST_WEBHOOKS: Final = 1_000
#: A day, as other senders give it.
OLD_SECRET_S: Final = 86_400.0


class Act(Enum):
    """What is asked for."""

    PUT = "put"
    REMOVE = "remove"
    ROTATE = "rotate"
    EXPIRE = "expire"  # of a secret that was rotated a day ago


class ManagementRefused(Exception):  # noqa: N818  a fact
    """What was asked is not done: HTTP's status, a code for programs, words for people, and what is wrong where."""

    def __init__(
        self, status: int, code: ApiCode | RefusalCode, message: str, errors: Sequence[Complaint] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the caller expects to be there: one of the revisions `etags` (`*`: any); `absent`: nothing."""

    etags: tuple[str, ...] | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One change as it was asked for. `given` is the definition of a PUT as it was sent."""

    act: Act
    id: str
    caller: Caller
    given: Mapping[str, object] | None = None
    conditions: Conditions = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a wish comes to. `definition` None: the webhook goes. `new_secret` is the path of one that is to be made.

    With `complaints` it comes to nothing; it is tried all the same, so that everything is told at once.
    """

    wish: Wish
    before: Written | None
    definition: Mapping[str, object] | None
    new_secret: str | None = None
    complaints: tuple[Complaint, ...] = ()

    @property
    def only_backlog(self) -> bool:
        """Whether no file is concerned: the webhook is gone from them already."""
        return self.definition is None and self.before is None

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        if self.definition is None or self.before is None or self.complaints:
            return True
        return etag_of(self.definition) != self.before.etag

    @property
    def word(self) -> str:
        """What happens, in one word of the log."""
        if self.definition is None:
            return "removed"
        if self.wish.act in {Act.ROTATE, Act.EXPIRE}:
            return "rotated"
        return "created" if self.before is None else "replaced"


#: A listing asks for the same files again and again; they are small, and these are some megabytes at most.
_read: Final = lru_cache(maxsize=4096)(read_definition)


class Directory:
    """The managed webhooks of one config, read as they are asked for."""

    def __init__(self, base: Loaded) -> None:
        self.base = base
        self._root = base.config.managed_dir
        self._counts: Counter[str] | None = None

    @property
    def root(self) -> str:
        """The managed directory. Raises `ManagementRefused`: there is none."""
        if self._root is None:
            message = "webhooks cannot be changed here: the config names no `managed_dir`"
            raise ManagementRefused(409, "not_managed", message)
        return self._root

    def content(self, webhook_id: str) -> bytes | None:
        """Give the content of a webhook's own file; None if there is none."""
        return None if self._root is None else self.base.snapshot.files.get(file_of(self._root, webhook_id))

    def find(self, webhook_id: str) -> Written | None:
        """Give a managed webhook; None if it is none."""
        webhook, content = self.base.config.webhooks.get(webhook_id), self.content(webhook_id)
        if self._root is None or webhook is None or content is None:
            return None
        return _read(webhook_id, content) if webhook.place.file == file_of(self._root, webhook_id) else None

    def visible(self, caller: Caller, webhook_id: str) -> Written | None:
        """Give a managed webhook if it is the caller's."""
        written = self.find(webhook_id)
        return written if written is not None and caller.owns(written) else None

    def ids(self, caller: Caller) -> list[str]:
        """Give the ids among which the caller's webhooks are, sorted."""
        if self._root is None:
            return []
        prefix = "" if caller.tenant is None else f"{caller.tenant}/"
        return sorted(name for name in self.base.config.webhooks if name.startswith(prefix))

    def count(self, tenant: str) -> int:
        """Give how many webhooks have a tenant's id."""
        if self._counts is None:
            self._counts = Counter(it for name in self.base.config.webhooks if (it := tenant_of(name)) is not None)
        return self._counts[tenant]


def refuse_missing() -> ManagementRefused:
    """Say that a webhook is not there: the same words whether it is somebody else's or nobody's."""
    return ManagementRefused(404, "not_found", "there is no such webhook")


def make_plan(wish: Wish, directory: Directory, keyring: Keyring) -> Plan:
    """Give what a wish comes to with the webhooks that are there; looks at names on disk.

    Raises `ManagementRefused`.
    """
    before = directory.visible(wish.caller, wish.id)
    if wish.act is Act.PUT:
        _expect_free(wish, directory, before)
    elif before is None:
        known = directory.base.config.webhooks.get(wish.id)
        if wish.caller.tenant is None and known is not None:
            message = f"this webhook stands in the operator's files, at {known.place}; change it there"
            raise ManagementRefused(409, "not_managed", message)
        if wish.act is not Act.REMOVE or wish.caller.tenant is not None:
            raise refuse_missing()
        _expect_conditions(wish.conditions, None)
        return Plan(wish=wish, before=None, definition=None)
    _expect_conditions(wish.conditions, before)
    _ = directory.root
    if wish.act is Act.REMOVE:
        return Plan(wish=wish, before=before, definition=None)
    if wish.act is Act.PUT:
        return _plan_put(wish, before, keyring)
    assert before is not None  # noqa: S101  said above: only a PUT may find nothing
    return _plan_secrets(wish, before, keyring)


def _expect_free(wish: Wish, directory: Directory, before: Written | None) -> None:
    """Refuse an id that cannot be this caller's."""
    config = directory.base.config
    problem = id_problem(wish.id)
    if problem is not None:
        raise ManagementRefused(422, "bad_id", problem)
    if before is not None:
        return
    if wish.id in config.webhooks or directory.content(wish.id) is not None:
        raise ManagementRefused(409, "taken", "this id is taken by a webhook that does not come from this API")
    if any(wish.id == move.source for move in config.moved):
        raise ManagementRefused(409, "taken", "this id is taken: the webhook that had it was moved")
    tenant = tenant_of(wish.id)
    if tenant is not None and directory.count(tenant) >= MOST_WEBHOOKS:
        message = f"a tenant has at most {MOST_WEBHOOKS} webhooks; remove one first"
        raise ManagementRefused(409, "too_many_webhooks", message)


def _expect_conditions(conditions: Conditions, before: Written | None) -> None:
    if conditions.absent and before is not None:
        raise ManagementRefused(412, "exists", "the webhook is there already, at another revision than none")
    if conditions.etags is None:
        return
    if before is None or ("*" not in conditions.etags and before.etag not in conditions.etags):
        message = "the webhook is not at the revision that If-Match names: read it again, and change what is there now"
        raise ManagementRefused(412, "revision_conflict", message)


def _plan_put(wish: Wish, before: Written | None, keyring: Keyring) -> Plan:
    given = wish.given or {}
    excess = () if wish.caller.tenant is None else find_excess(given)
    if excess:
        raise refuse_definition(excess)
    definition = wish.caller.define(wish.id, given)
    new_secret = None
    if "sign" not in definition and before is not None and "sign" in before.definition:
        definition["sign"] = before.definition["sign"]
    elif "sign" not in definition and before is None and tenant_of(wish.id) is not None:
        new_secret = keyring.next_path(wish.id)
        definition["sign"] = _sign_with(new_secret)
    complaints = wish.caller.complaints(given)
    return Plan(wish=wish, before=before, definition=definition, new_secret=new_secret, complaints=complaints)


def _plan_secrets(wish: Wish, before: Written, keyring: Keyring) -> Plan:
    ours = _own_secrets(before, keyring)
    if not ours:
        message = "hookd made no signing secret for this webhook, so it can rotate none"
        raise ManagementRefused(409, "no_secret", message)
    new_secret = None if wish.act is Act.EXPIRE else keyring.next_path(wish.id)
    kept = [ours[0]] if new_secret is None else [new_secret, ours[0]]
    definition = {**before.definition, "sign": _sign_with(*kept)}
    return Plan(wish=wish, before=before, definition=definition, new_secret=new_secret)


def refuse_definition(complaints: Sequence[Complaint]) -> ManagementRefused:
    """Say that a definition is not right, and where."""
    first = complaints[0]
    where = f" at {first.pointer}" if first.pointer else ""
    more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
    message = f"the definition is not right{where}: {first.message}{more}"
    return ManagementRefused(422, "definition_invalid", message, complaints)


def find_expired(directory: Directory, keyring: Keyring, now: float) -> list[str]:
    """Give the webhooks whose old secret has signed along for long enough; `now` in seconds since the epoch. Blocks."""
    found = []
    for name, webhook in directory.base.config.webhooks.items():
        if webhook.sign is None or len(webhook.sign.secrets) == 1:
            continue
        written = directory.find(name)
        ours = [] if written is None else _own_secrets(written, keyring)
        made_at = keyring.made_at(ours[0]) if len(ours) > 1 else None
        if made_at is not None and now - made_at >= OLD_SECRET_S:
            found.append(name)
    return found


def _own_secrets(written: Written, keyring: Keyring) -> list[str]:
    """Give the paths of the secrets that hookd made for a webhook, the newest first; none if others stand there too."""
    paths = secret_paths(written.definition)
    return paths if paths and all(keyring.holds(path) for path in paths) else []


def secret_paths(definition: Mapping[str, object] | None) -> list[str]:
    """Give the files that a definition signs with."""
    sign = definition.get("sign") if definition is not None else None
    secrets = sign.get("secrets") if isinstance(sign, dict) else None
    files = [each.get("file") for each in secrets if isinstance(each, dict)] if isinstance(secrets, list) else []
    return [path for path in files if isinstance(path, str)]


def _sign_with(*paths: str) -> dict[str, object]:
    return {"scheme": "standard", "secrets": [{"file": path} for path in paths]}
