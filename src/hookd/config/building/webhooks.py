"""One webhook, from its merged definition.

Rules of this module:

1. A webhook needs a `url` and `events`; all else has a default, which stands in `core.config`.
2. A pattern that can match nothing is a mistake: with a catalogue every pattern must match a type of it, or one of
   hookd's own. Without a catalogue any type may come.
3. `suspend_after: never`, or null, takes the built-in value away too: such a webhook is never suspended for failing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from hookd.config.building.outgoing import build_outgoing, hash_json
from hookd.config.building.reader import MAY_COME, Certain, Reader
from hookd.config.building.values import parse_duration, parse_rate
from hookd.config.meant import meant_unquoted, tell_quote
from hookd.config.problems import LACKING, did_you_mean
from hookd.config.text.document import ANY_KEY, NO_DOUBT
from hookd.config.text.hidden import tell_hidden
from hookd.core.attributes import find_fault
from hookd.core.config import STANDARD_SCHEDULE, RetryPolicy, Trigger, Webhook, WebhookTest
from hookd.core.filters import FilterInvalid
from hookd.core.routing import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.config.building.impossible import PossiblePaths
    from hookd.config.building.merge import Merged
    from hookd.config.building.reader import Findings
    from hookd.config.building.shared import Shared
    from hookd.config.schema.schemas import SchemaSet
    from hookd.core.config import Place
    from hookd.core.filters import Filter

#: hookd's own event types (decided with `hookd tells through hookd`): a webhook may listen to them under any catalogue.
OWN_TYPES: Final = (
    "hookd.config.rejected",
    "hookd.delivery.dead",
    "hookd.webhook.resumed",
    "hookd.webhook.suspended",
)

_BUILT_IN: Final = RetryPolicy()
_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields(Webhook)}
_EXPECTED: Final[tuple[Literal["delivered", "ignored", "refused"], ...]] = ("delivered", "ignored", "refused")
_LEAST_STATUS: Final = 100
_MOST_STATUS: Final = 599
_SUCCESS: Final = range(200, 300)

#: What another value of a key may solve: the event types that a path is judged by, the secrets that there are, and
#: keys whose parts may come from several layers.
_SOLVED_BY: Final = {"events": "impossible_path", "secrets": "undeclared_secret"}
_WITH_PARTS: Final = frozenset({"url", "secrets", "headers", "auth", "sign", "tls", "proxy", "tests"})


class Patterns:
    """Says of a pattern whether it can match; asked once for each pattern. Not `whole`: there may be other types."""

    def __init__(self, types: Iterable[str], *, whole: bool = True) -> None:
        self._types = sorted(types)
        self._whole = whole
        self._known: dict[str, bool] = {}

    def can_match(self, pattern: str) -> bool:
        """Whether some event type matches. An empty catalogue takes every type."""
        if not self._types:
            return True
        if pattern not in self._known:
            self._known[pattern] = self._find(pattern)
        return self._known[pattern]

    def holds(self, pattern: str) -> bool:
        """Whether a type that is known matches; an empty catalogue has none."""
        return self._matches(pattern, self._types)

    def mend(self, pattern: str) -> str | None:
        """Give a pattern itself if it can match, else the event type that it was probably meant to be."""
        is_good = bool(pattern) and "*" not in pattern[:-1] and self.can_match(pattern)
        return pattern if is_good else self.nearest(pattern)

    def nearest(self, pattern: str) -> str | None:
        """Give the event type, or the beginning of some, that a pattern was probably meant to be."""
        types = (*self._types, *OWN_TYPES)
        if not pattern.endswith(".*"):
            return did_you_mean(pattern.removesuffix("*"), types)
        steps = pattern.count(".")
        beginnings = dict.fromkeys(
            ".".join(each.split(".")[:steps]) + ".*" for each in types if each.count(".") >= steps
        )
        return did_you_mean(pattern, beginnings)

    def _find(self, pattern: str) -> bool:
        # A prefix must name hookd's own types to match them; see `core.routing`.
        own = pattern.startswith(OWN)
        if not own and not self._whole:
            return True
        return self._matches(pattern, OWN_TYPES if own else self._types)

    def _matches(self, pattern: str, types: Sequence[str]) -> bool:
        if not pattern.endswith("*"):
            return pattern in types
        prefix = pattern[:-1]
        first = bisect_left(types, prefix)
        return first < len(types) and types[first].startswith(prefix)


class WebhookBuilder:
    """Builds the webhooks of one config; holds what they share."""

    def __init__(
        self, patterns: Patterns, possible: PossiblePaths, schemas: SchemaSet, shared: Shared, findings: Findings
    ) -> None:
        self._patterns = patterns
        self._possible = possible
        self._schemas = schemas
        self._shared = shared
        self._findings = findings

    def build(self, name: str, merged: Merged, place: Place) -> Webhook:
        """Build one webhook. `place` is that of its id. Problems go to the findings; the result is then of no use."""
        may_come = _find_what_may_come(merged)
        reader = Reader(merged.value, merged, Certain(self._findings, may_come) if may_come else self._findings)
        for key in ("url", "events") if merged.complete and ANY_KEY not in merged.doubts else ():
            absent = reader.find(key) is None and key not in merged.doubts
            if absent and not self._findings.misspelt(key, place.file):
                at = merged.home.key_place((key,))  # that of the id, unless the key stands there and has no value
                empty = "; nothing stands behind it" if at != place else ""
                self._findings.report(at, f"the webhook `{name}` needs `{key}`{empty}", "missing_key")
        outgoing = build_outgoing(reader, self._schemas, self._shared)
        triggers = self._build_triggers(reader)
        self._possible.check(reader, triggers, outgoing.body.template)
        given = {key: build(reader, self._shared) for key, build in _OPTIONAL.items() if key in merged.value}
        return Webhook(
            id=name,
            place=place,
            url=outgoing.url,
            require_https=outgoing.require_https,
            triggers=triggers,
            secrets=outgoing.secrets,
            body=outgoing.body,
            headers=outgoing.headers,
            auth=outgoing.auth,
            sign=outgoing.sign,
            method=outgoing.method,
            allow_networks=outgoing.allow_networks,
            proxy=outgoing.proxy,
            http2=outgoing.http2,
            tls=outgoing.tls,
            fingerprint=outgoing.fingerprint,
            digest=hash_json({"fingerprint": outgoing.fingerprint, "definition": merged.value}),
            **given,
        )

    def _build_triggers(self, reader: Reader) -> tuple[Trigger, ...]:
        triggers: dict[str, tuple[Trigger, tuple[str | int, ...]]] = {}
        for index, entry in enumerate(reader.items("events") or ()):
            at: tuple[str | int, ...] = ("events", index, "event") if isinstance(entry, dict) else ("events", index)
            pattern = reader.string(*at)
            if pattern is None:
                continue
            active = not isinstance(entry, dict) or reader.boolean("events", index, "active", default=True)
            quoted = meant_unquoted(pattern)
            if quoted is not None and not self._patterns.holds(pattern):
                # Also without a catalogue: no producer puts its types in quotes.
                message = f"no event type matches `{pattern}`{tell_quote(quoted.mark)}"
                reader.refuse(at, message, "unknown_event_type", hint=self._patterns.mend(quoted.text))
            elif not pattern or "*" in pattern[:-1]:
                reader.refuse(at, "a pattern is an event type, or the beginning of some with `*` at the end")
            elif pattern in triggers:
                also = reader.places.place(triggers[pattern][1])
                message = f"the pattern `{pattern}` stands twice in `events`"
                self._findings.report(reader.places.place(at), message, "duplicate_pattern", also=also)
            elif not self._patterns.can_match(pattern):
                message = f"no event type of the catalogue matches `{pattern}`{tell_hidden(pattern)}"
                reader.refuse(at, message, "unknown_event_type", hint=self._patterns.nearest(pattern))
            triggers.setdefault(pattern, (Trigger(pattern=pattern, active=active), at))
        return self._shared.value(tuple(trigger for trigger, _ in triggers.values()))


def _find_what_may_come(merged: Merged) -> frozenset[str]:
    """Give the codes of the problems of a definition that a part of it, which is missing or in doubt, may solve."""
    if not merged.doubts and merged.complete:
        return NO_DOUBT
    if not merged.complete or ANY_KEY in merged.doubts:
        # No layer below can take away event types that a webhook itself names.
        return MAY_COME - {"impossible_path"} if merged.says("events") else MAY_COME
    codes = {_SOLVED_BY[key] for key in merged.doubts if key in _SOLVED_BY}
    return frozenset(codes | LACKING) if merged.doubts & _WITH_PARTS else frozenset(codes)


def is_never(value: Mapping[str, object], key: str) -> bool:
    """Whether `never`, or null, was written for a key whose built-in value that takes away."""
    return key in value and value[key] in (None, "never")


def _build_filter(reader: Reader, shared: Shared) -> Filter | None:
    spec = reader.mapping("filter")
    if spec is None:
        return None
    try:
        return shared.filter(spec)
    except FilterInvalid as error:
        for problem in error.problems:
            at, message = ("filter", *problem[0]), problem[1]
            place = reader.places.key_place if problem in error.of_keys else reader.places.place
            if not reader.places.doubtful(at):
                reader.findings.report(place(at), message, "bad_filter")
        return None


def _build_retry(reader: Reader) -> RetryPolicy:
    if reader.mapping("retry") is None:
        return _BUILT_IN
    delays = reader.items("retry", "schedule")
    schedule: tuple[float, ...] = STANDARD_SCHEDULE
    if delays is not None:
        schedule = tuple(
            reader.quantity(parse_duration, "retry", "schedule", index, default=0.0) for index in range(len(delays))
        )
    jitter = reader.find("retry", "jitter")
    if jitter is None:
        jitter = _BUILT_IN.jitter
    elif isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
        reader.refuse(("retry", "jitter"), "`jitter` must be a number from 0 to 1, the part of a delay that varies")
        jitter = 0.0
    permanent: set[int] = set()
    for index, status in enumerate(reader.items("retry", "permanent") or ()):
        if isinstance(status, bool) or not isinstance(status, int) or not _LEAST_STATUS <= status <= _MOST_STATUS:
            reader.refuse(("retry", "permanent", index), "must be an HTTP status from 100 to 599")
        elif status in _SUCCESS:
            reader.refuse(("retry", "permanent", index), "a 2xx status is a success and cannot be a permanent failure")
        else:
            permanent.add(status)
    return RetryPolicy(
        schedule=schedule,
        jitter=float(jitter),
        max_age=reader.quantity(parse_duration, "retry", "max_age", default=None),
        permanent=frozenset(permanent),
    )


def _build_test_event(reader: Reader) -> Mapping[str, object] | None:
    event = reader.mapping("test_event")
    if event is None:
        return None
    kind = event.get("type")
    # A test may stand for one of hookd's own events, which no producer may send.
    own = isinstance(kind, str) and kind.startswith(OWN)
    fault = None if "specversion" in event else find_fault({**event, "type": "own"} if own else event)
    if fault is not None:
        name = (fault.path or "/").removeprefix("/")
        # An attribute that is not known is told at its key, where the check of the schema has told it already.
        if not reader.findings.has_spoken(reader.places.key_place(("test_event", name))):
            reader.refuse(("test_event", name), fault.message)
    return event


def _build_tests(reader: Reader) -> tuple[WebhookTest, ...]:
    tests: list[WebhookTest] = []
    for index, written in enumerate(reader.items("tests") or ()):
        event = reader.mapping("tests", index, "event")
        if not isinstance(written, dict) or event is None:
            if not reader.has_spoken_inside("tests", index):
                reader.refuse(("tests", index), "a test needs an `event`", "missing_key")
            continue
        tests.append(
            WebhookTest(
                place=reader.places.place(("tests", index)),
                name=reader.string("tests", index, "name"),
                event=event,
                expect=reader.choice(_EXPECTED, "tests", index, "expect", default="delivered"),
                expects_body="body" in written,
                body=written.get("body"),
            )
        )
    return tuple(tests)


def _build_suspend_after(reader: Reader, _shared: Shared) -> float | None:
    if is_never(reader.value, "suspend_after"):
        return None
    return cast("float", reader.quantity(parse_duration, "suspend_after", default=_DEFAULTS["suspend_after"]))


#: What a definition may hold besides what decides its requests, and how that is read. What it does not hold is as in
#: `Webhook`, and is not asked for: few of thousands of definitions hold any of it.
_OPTIONAL: Final[Mapping[str, Callable[[Reader, Shared], Any]]] = {
    "name": lambda reader, _: reader.string("name") or "",
    "profile": lambda reader, _: reader.string("profile"),
    "active": lambda reader, _: reader.boolean("active", default=True),
    "paused": lambda reader, _: reader.boolean("paused", default=False),
    "tenant": lambda reader, _: reader.string("tenant"),
    "filter": _build_filter,
    "timeout": lambda reader, _: reader.quantity(parse_duration, "timeout", default=_DEFAULTS["timeout"]),
    "retry": lambda reader, shared: shared.value(_build_retry(reader)),
    "rate": lambda reader, _: reader.quantity(parse_rate, "rate", default=None),
    "concurrency": lambda reader, _: reader.integer("concurrency", default=_DEFAULTS["concurrency"], least=1),
    "ordered": lambda reader, _: reader.boolean("ordered", default=False),
    "max_pending": lambda reader, _: reader.integer("max_pending", default=_DEFAULTS["max_pending"], least=1),
    "suspend_after": _build_suspend_after,
    "test_event": lambda reader, _: _build_test_event(reader),
    "tests": lambda reader, _: _build_tests(reader),
}
