"""Warnings: what works and is probably not meant. `hookd check` gives them; a daemon runs as well without.

Rules of this module:

1. A warning is about the files alone, and true on every machine.
2. Each one can be silenced by writing what is meant, without a switch: there is no list of warnings to ignore.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hookd.config.patterns import find_files, is_pattern
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.strictyaml import parse_anyway, parse_yaml
from hookd.config.text.written import Use, find_texts
from hookd.core.addresses import TargetInvalid, denied, parse_target, tells_secret
from hookd.core.routing import tenant_allows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.snapshot import Snapshot
    from hookd.config.text.document import Document
    from hookd.config.text.written import Written
    from hookd.core.config import Config, Place, Webhook

# `${…}` and `{{ data.id }}`, as other programs write templates; `$${` is the way to write a `${` that is meant.
_FOREIGN: Final = re.compile(
    r"(?<!\$)\$\{[^{}]*\}"
    r"|\{\{ *[.$]?(?:id|type|source|subject|time|tenant|partitionkey|data|event|secrets)\b[^{}]*\}\}"
)

# A comparison as it is written elsewhere, in the text that a value is compared with; `A*` as in `events`.
_FOREIGN_OPERATOR: Final = re.compile(
    r"\s*(?:(?P<order>>=|<=|=>|=<|>|<)\s*(?P<bound>-?[0-9][\w.:+-]*)\s*"
    r"|(?P<equal>!=|<>|==|=)\s*(?P<value>\S.*)"
    r"|(?P<prefix>[^\s*]+)\*)",
    re.DOTALL,
)
_OPERATORS: Final = {
    ">": "gt",
    ">=": "gte",
    "=>": "gte",
    "<": "lt",
    "<=": "lte",
    "=<": "lte",
    "!=": "ne",
    "<>": "ne",
    "==": "eq",
    "=": "eq",
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_LOCAL: Final = ("127.0.0.1", "::1")
_CONNECTIVES: Final = frozenset({"any", "all", "not"})

_SECRET_USES: Final = frozenset({Use.TEMPLATE_SECRET, Use.BEARER, Use.PASSWORD, Use.SIGNING, Use.TOKEN, Use.KEY})


def find_advice(snapshot: Snapshot) -> list[Problem]:
    """Give the warnings about the files of a config. Files that are not YAML are passed over."""
    found: list[Problem] = []
    for document in parse_files(snapshot):
        if document.file == snapshot.main:
            found.extend(_find_empty_includes(document))
        for path, text in _find_templates(document.value):
            if _FOREIGN.search(text):
                message = "this is sent as it stands: a template is written $(PATH), like $(data.id)"
                found.append(Problem(document.place(path), message, "foreign_template", severity="warning"))
        for path, text in _find_compared(document.value):
            meant = _find_operator(text)
            if meant is not None:
                message = "this compares with a text of just these characters; {eq: …} says that this is meant"
                place = document.place(path)
                found.append(Problem(place, message, "foreign_operator", hint=meant, severity="warning"))
        for written in find_texts(document):
            if written.use in {Use.HEADER, Use.URL} and _FOREIGN.search(written.literal or ""):
                message = "this is sent as it stands: {env: NAME} takes a variable of the environment"
                found.append(Problem(written.place, message, "foreign_template", severity="warning"))
            if _is_open(written):
                message = (
                    "a secret stands in the file itself; {file: PATH}, {credential: NAME} or {env: NAME} keeps it out"
                )
                found.append(Problem(written.place, message, "inline_secret", severity="warning"))
    return found


def find_denied(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of the webhooks whose URL is an address that no attempt will be made to, since nobody has opened it."""
    found: list[Problem] = []
    places = _Places(snapshot)
    for webhook in config.webhooks.values():
        if not webhook.active or not isinstance(webhook.url, str) or webhook.proxy is not None:
            continue
        try:
            target = parse_target(webhook.url)
        except TargetInvalid:
            continue
        # RFC 6761 section 6.3: such a name is this machine, whoever is asked.
        is_local = target.host == "localhost" or target.host.endswith(".localhost")
        addresses = _LOCAL if is_local else (target.host,) if target.literal else ()
        reasons = [denied(address, webhook.allow_networks) for address in addresses]
        if reasons and reasons[0] is not None and None not in reasons:
            message = f"webhook `{webhook.id}` will not be delivered: {reasons[0]}"
            place = places.find(webhook, "url")
            found.append(Problem(place, message, "denied_address", severity="warning"))
    return found


def find_idle(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of the webhooks that are active and listen to nothing."""
    found: list[Problem] = []
    places = _Places(snapshot)
    for webhook in config.webhooks.values():
        if webhook.active and not any(trigger.active for trigger in webhook.triggers):
            which = "no entry of `events` is active" if webhook.triggers else "`events` is empty"
            message = f"webhook `{webhook.id}` is given nothing: {which}; `active: false` says that this is meant"
            place = places.find(webhook, "events")
            found.append(Problem(place, message, "no_events", severity="warning"))
    return found


def find_untestable(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of the webhooks whose `test_event` is of a tenant whose events they are not given."""
    found: list[Problem] = []
    places = _Places(snapshot)
    for webhook in config.webhooks.values():
        tenant = None if webhook.test_event is None else webhook.test_event.get("tenant")
        if isinstance(tenant, str) and not tenant_allows(webhook, tenant):
            whose = "events without a tenant" if webhook.tenant is None else "events of its own tenant"
            message = f"webhook `{webhook.id}` takes {whose}: `hookd test` will refuse an event of another one"
            place = places.find(webhook, "test_event", "tenant")
            found.append(Problem(place, message, "foreign_tenant", severity="warning"))
    return found


class _Places:
    """Finds where values of webhooks stand. State: the files that it has parsed for that."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._files = snapshot.files
        self._documents: dict[str, Document] = {}

    def find(self, webhook: Webhook, *path: str) -> Place:
        """Give where a value of a webhook stands, if it stands in the webhook itself; else where its id does."""
        name = webhook.place.file
        if name not in self._files:
            return webhook.place
        if name not in self._documents:
            self._documents[name] = parse_yaml(self._files[name], name)
        document = self._documents[name]
        is_own = path[0] in document.value["webhooks"][webhook.id]
        return document.place(("webhooks", webhook.id, *path)) if is_own else webhook.place


def parse_files(snapshot: Snapshot) -> Iterator[Document]:
    """Parse the main and the included files of a snapshot, those that can be."""
    for name in (snapshot.main, *snapshot.included):
        try:
            yield parse_anyway(snapshot.files[name], name)
        except ConfigInvalid:
            continue


def _find_empty_includes(main: Document) -> Iterator[Problem]:
    entries = main.value.get("include") if isinstance(main.value, dict) else None
    directory = main.file.rpartition("/")[0] or ("/" if main.file.startswith("/") else ".")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, str) and is_pattern(entry) and not find_files(directory, entry):
            place = main.place(("include", index))
            yield Problem(place, "this pattern matches no file", "empty_include", severity="warning")


def _find_templates(value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give the texts of all templates of bodies, and where they stand."""
    for path, owner in _find_owners(value):
        body = owner.get("body")
        if isinstance(body, dict):
            yield from _find_texts(body.get("template"), (*path, "body", "template"))


def _find_owners(value: object) -> Iterator[tuple[tuple[str | int, ...], dict[str, object]]]:
    """Give the definitions of a file: the defaults, the profiles, the webhooks."""
    main = value if isinstance(value, dict) else {}
    owners: list[tuple[tuple[str | int, ...], object]] = [(("defaults",), main.get("defaults"))]
    for section in ("profiles", "webhooks"):
        inner = main.get(section)
        owners += [((section, name), it) for name, it in inner.items()] if isinstance(inner, dict) else []
    yield from ((path, owner) for path, owner in owners if isinstance(owner, dict))


def _find_compared(value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give the texts that filters compare with and that stand there without an operator."""
    for path, owner in _find_owners(value):
        yield from _find_in_filter(owner.get("filter"), (*path, "filter"))


def _find_in_filter(lines: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for key, said in lines.items() if isinstance(lines, dict) else ():
        at = (*path, key)
        if key == "not":
            yield from _find_in_filter(said, at)
        elif isinstance(said, str):
            yield at, said
        else:
            for index, entry in enumerate(said if isinstance(said, list) else ()):
                if key in _CONNECTIVES:
                    yield from _find_in_filter(entry, (*at, index))
                elif isinstance(entry, str):
                    yield (*at, index), entry


def _find_operator(text: str) -> str | None:
    """Give the condition that a text was probably meant to be. Only a number of it is repeated."""
    found = _FOREIGN_OPERATOR.fullmatch(text)
    if found is None:
        return None
    if found["prefix"]:
        return "{prefix: …}"
    operand = (found["bound"] or found["value"]).strip()
    name = _OPERATORS[found["order"] or found["equal"]]
    return f"{{{name}: {operand if _NUMBER.fullmatch(operand) else '…'}}}"


def _find_texts(node: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict | list):
        for step, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _find_texts(inner, (*path, step))


def _is_open(written: Written) -> bool:
    """Whether a secret stands in the file itself. A name in angle brackets or the like is nobody's secret."""
    text = written.literal
    if text is None:
        return False
    if written.use is Use.HEADER:
        return tells_secret(written.name)
    if written.use in {Use.URL, Use.PROXY}:
        authority = text.partition("://")[2].partition("/")[0]
        return ":" in authority.rpartition("@")[0]
    return written.use in _SECRET_USES
