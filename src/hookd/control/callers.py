"""Who asks the control API, and what that one may do.

Rules of this module:

1. Whoever comes over the Unix socket is the operator: the mode of the socket's file let them in. Whoever comes over
   HTTP has a token, and is its tenant: one tenant, by one profile.
2. A tenant's own webhooks are those that the API wrote, under its id and profile, with no other setting than a tenant
   may make. Every other webhook is not there for it, and what it is told does not differ by whether it is.
3. A tenant sets `SETTABLE` and nothing else, each a plain value: a reference would have hookd read a file of the
   operator's, and a null would take away what the profile says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hookd.config.managing.amending import Complaint
from hookd.core.ids import tenant_of
from hookd.core.routing import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hookd.config.managing.managed import Written

#: What a tenant may set, in the order in which it is written.
SETTABLE: Final = ("name", "active", "paused", "url", "events", "filter", "test_event")
#: What a tenant's definition holds besides.
_GIVEN: Final = frozenset({"profile", "tenant", "sign"})
_NAME_LENGTH: Final = 200
_MOST_EVENTS: Final = 200
_KEY_LENGTH: Final = 500  # YAML reads keys of 1,024 characters, escapes and quotes included
_SHOWN: Final = 64
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "name": (str, "a text"),
    "active": (bool, "true or false"),
    "paused": (bool, "true or false"),
    "url": (str, "a text: references are the operator's"),
    "events": (list, "a list of event types"),
    "filter": (dict, "an object"),
    "test_event": (dict, "an object"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `tenant` and `profile` None: the operator."""

    name: str
    tenant: str | None = None
    profile: str | None = None

    @property
    def title(self) -> str:
        """Who it is, for the head of a file, a commit and the log."""
        return self.name if self.tenant is None else f"{self.name} (tenant {self.tenant})"

    def full_id(self, written: str) -> str | None:
        """Give the whole id that a path names: a tenant may leave its own name out. None: it is another tenant's."""
        if self.tenant is None:
            return written
        if "/" not in written:
            return f"{self.tenant}/{written}"
        return written if tenant_of(written) == self.tenant else None

    def owns(self, written: Written) -> bool:
        """Whether a managed webhook is this caller's to see and to change."""
        if self.tenant is None:
            return True
        definition = written.definition
        return (
            tenant_of(written.id) == self.tenant == definition.get("tenant")
            and definition.get("profile") == self.profile
            and definition.keys() <= {*SETTABLE, *_GIVEN}
        )

    def define(self, webhook_id: str, given: Mapping[str, object]) -> dict[str, object]:
        """Give the whole definition that is made of what was sent; `sign` is added later."""
        if self.tenant is not None:
            mine = {key: given[key] for key in SETTABLE if key in given}
            return {"profile": self.profile, "tenant": self.tenant, **mine}
        tenant = tenant_of(webhook_id)
        whole = given if tenant is None else {"tenant": tenant, **given}
        first = [key for key in ("profile", "tenant", *SETTABLE) if key in whole]
        return {key: whole[key] for key in dict.fromkeys([*first, *whole])}

    def complaints(self, given: Mapping[str, object]) -> tuple[Complaint, ...]:
        """Give what this caller may not set, or not so. The config's own rules come later."""
        return (*_long_keys(given, ""), *(() if self.tenant is None else _tenant_complaints(given, self.tenant)))

    def shown(self, definition: Mapping[str, object]) -> dict[str, object]:
        """Give of a definition what this caller may see and set: what a `PUT` of the same would send."""
        if self.tenant is None:
            return dict(definition)
        return {key: definition[key] for key in SETTABLE if key in definition}


def _tenant_complaints(given: Mapping[str, object], tenant: str) -> Iterator[Complaint]:
    for key, value in given.items():
        if key not in SETTABLE:
            message = f"`{key[:_SHOWN]}` is not yours to set; yours are {', '.join(SETTABLE)}"
            yield Complaint(pointer=f"/{_escape(key)}", code="not_settable", message=message, of_key=True)
            continue
        kind, words = _TYPES[key]
        if not isinstance(value, kind):
            hint = "; leave it out to have what the profile says" if value is None else ""
            yield Complaint(pointer=f"/{key}", code="wrong_type", message=f"`{key}` must be {words}{hint}")
    name = given.get("name")
    if "name" not in given:
        yield Complaint(pointer="", code="missing_key", message="a webhook needs a `name`")
    elif isinstance(name, str) and not (name.strip() and name.isprintable() and len(name) <= _NAME_LENGTH):
        message = f"`name` must be one line of 1 to {_NAME_LENGTH} characters"
        yield Complaint(pointer="/name", code="bad_value", message=message)
    yield from _event_complaints(given.get("events"))
    tested = given.get("test_event")
    if isinstance(tested, dict) and tested.get("tenant") not in (None, tenant):
        # It would be refused when it is tested; told now, and in the same words for every other tenant.
        message = "`test_event` must be of your own tenant; leave its `tenant` out"
        yield Complaint(pointer="/test_event/tenant", code="bad_value", message=message)


def _event_complaints(events: Any) -> Iterator[Complaint]:
    if not isinstance(events, list):
        return
    if len(events) > _MOST_EVENTS:
        yield Complaint(pointer="/events", code="bad_value", message=f"`events` has at most {_MOST_EVENTS} entries")
    for number, entry in enumerate(events[:_MOST_EVENTS]):
        pattern = entry.get("event") if isinstance(entry, dict) else entry
        if isinstance(pattern, str) and pattern.startswith(OWN):
            # They tell of other webhooks and of the operator's files.
            message = f"event types that begin with `{OWN}` are the operator's"
            yield Complaint(pointer=f"/events/{number}", code="unknown_event_type", message=message)


def _long_keys(value: object, pointer: str) -> Iterator[Complaint]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if len(key) > _KEY_LENGTH:
                message = f"a key has at most {_KEY_LENGTH} characters"
                yield Complaint(pointer=pointer, code="bad_name", message=message)
            else:
                yield from _long_keys(inner, f"{pointer}/{_escape(key)}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _long_keys(inner, f"{pointer}/{number}")


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
