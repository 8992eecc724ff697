"""All the webhooks of a tree, each built, or taken over from an earlier load.

Rules of this module:

1. Taken over is what would be built as it was: the same file, laid over the same ground, with the same schema.
2. Building goes file by file, and what was parsed of a file is let go before the next one is looked at.
3. The defaults and every profile are built as well, whether or not a webhook shows what is in them: a slip would else
   be told on the day on which somebody uses it, to whoever does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hookd.config.beside import give_way
from hookd.config.building.impossible import PossiblePaths
from hookd.config.building.merge import Section, merge_webhook
from hookd.config.building.reader import Certain, Findings, Reader
from hookd.config.building.reuse import Built, hash_catalogue, hash_ground
from hookd.config.building.webhooks import Patterns, WebhookBuilder
from hookd.config.text.document import ANY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hookd.config.building.build import Parsed
    from hookd.config.building.merge import Merged, Profiles
    from hookd.config.building.sheets import Sheet
    from hookd.config.schema.schemas import SchemaSet
    from hookd.core.config import EventType, Place, Webhook

_SCHEMA = ("body", "schema")
#: Where a profile may bring a secret into a request.
_WITH_SECRETS = frozenset({ANY_KEY, "auth", "headers", "body", "secrets"})


class WebhookSet:
    """Builds the webhooks: `webhooks` by id, in the order of the files, and `built`, those without a problem."""

    def __init__(
        self,
        profiles: Profiles,
        event_types: Mapping[str, EventType],
        schemas: SchemaSet,
        findings: Findings,
        parsed: Parsed,
    ) -> None:
        before = parsed.before
        whole = "event_types" not in parsed.unsure
        possible = PossiblePaths(event_types, whole=whole, doubtful=parsed.doubtful_types)
        self.webhooks: dict[str, Webhook] = {}
        self.built: dict[str, Built] = {}
        self._profiles = profiles
        self._schemas = schemas
        self._findings = findings
        self._before = before.built
        self._sound_before = before.sound
        self._is_sure = not parsed.unsure
        self._shared = before.shared
        self._patterns = Patterns(event_types, whole=whole)
        self._builder = WebhookBuilder(self._patterns, possible, schemas, before.shared, findings)
        self._catalogue = hash_catalogue(event_types)
        self._grounds: dict[str | None, str | None] = {}

    def build(self, listed: Iterable[tuple[Sheet, Sequence[str]]]) -> None:
        """Build the webhooks of these files; problems go to the findings."""
        for sheet, names in listed:
            give_way()
            for name in names:
                known = self._before.get(name)
                if known is None or known.sheet is not sheet or not self._holds(known):
                    self._make(name, sheet)
                else:
                    self.webhooks[name] = known.webhook
                    self.built[name] = known
            sheet.shed()
        self._shared.forget()

    def try_grounds(self, profiles: Iterable[str]) -> frozenset[str]:
        """Try the defaults and every profile; give the hashes of those in which nothing is wrong."""
        sound: set[str] = set()
        for profile in (None, *profiles):
            ground = self._ground(profile)
            if ground is None or ground not in self._sound_before:
                give_way()
                ground = ground if self._try(profile)[1] and self._is_sure else None
            if ground is not None:
                sound.add(ground)
        return frozenset(sound)

    def try_profile(self, profile: str) -> Webhook | None:
        """Give what a webhook that adds nothing to a profile would be; None if not all of the profile is known.

        What is wrong with the profile goes to the findings, unless a webhook of it has told that.
        """
        return self._try(profile)[0]

    def _try(self, profile: str | None) -> tuple[Webhook | None, bool]:
        """Give that, and whether nothing is wrong and nothing will be until its hash is another one."""
        merged, complete = self._profiles.ground(profile)
        if merged is None or not complete:
            return None, False
        found = self._findings.apart()
        builder = WebhookBuilder(self._patterns, PossiblePaths({}), self._schemas, self._shared, Certain(found))
        webhook = builder.build("", merged, merged.place(()))
        told = frozenset(self._findings.problems) if found.problems else frozenset()
        for problem in found.problems:
            if problem not in told:
                self._findings.add(problem)
        # The hash says nothing of what stands in the file of a schema.
        is_sound = not found.heard and webhook.body.validator is None and not merged.doubts
        has_schema = Reader(merged.value, merged, found).find(*_SCHEMA) is not None
        return webhook if merged.doubts.isdisjoint(_WITH_SECRETS) else None, is_sound and not has_schema

    def _holds(self, built: Built) -> bool:
        if built.ground != self._ground(built.profile):
            return False
        if built.schema is None:
            return True
        path, place = built.schema
        if place is None:
            below, _ = self._profiles.ground(built.profile)
            if below is None:
                return False
            place = below.place(_SCHEMA)
        return self._schemas.compile(path, place) is built.webhook.body.validator

    def _ground(self, profile: str | None) -> str | None:
        """Give the hash of what lies below a webhook of this profile; None if not all of it is there."""
        if profile not in self._grounds:
            merged, complete = self._profiles.ground(profile)
            self._grounds[profile] = hash_ground(merged, self._catalogue) if complete else None
        return self._grounds[profile]

    def _make(self, name: str, sheet: Sheet) -> None:
        give_way()
        written = sheet.webhooks().get(name)
        value = written if isinstance(written, dict) else {}
        section = Section(sheet, ("webhooks", name))
        heard, schemas_heard = self._findings.heard, len(self._schemas.problems)
        merged = merge_webhook(self._profiles, value, section)
        if not isinstance(written, dict):
            merged = replace(merged, complete=False)  # that it is no mapping is said; what it lacks would be noise
        webhook = self._builder.build(name, merged, section.key_place(()))
        known = self._before.get(name)
        if known is not None and known.webhook.digest == webhook.digest and known.webhook == webhook:
            webhook = known.webhook  # another part of the file changed
        self.webhooks[name] = webhook
        # Also one about whose place another problem was told before: then this one is not good either.
        is_clean = self._findings.heard == heard and len(self._schemas.problems) == schemas_heard and not sheet.problems
        profile = value.get("profile")
        profile = profile if isinstance(profile, str) else None
        ground = self._ground(profile) if merged.complete and is_clean else None
        has_schema = "body" in merged.value and Reader(merged.value, merged, self._findings).find(*_SCHEMA) is not None
        if ground is not None and has_schema is (webhook.body.validator is not None):
            schema = self._find_schema(merged, sheet) if has_schema else None
            self.built[name] = Built(webhook, sheet, ground, profile, schema)

    def _find_schema(self, merged: Merged, sheet: Sheet) -> tuple[str, Place | None] | None:
        """Give the file of a body's schema, and where the webhook's own file names it, if it does."""
        path = Reader(merged.value, merged, self._findings).file_path(*_SCHEMA)
        is_own = merged.origin(_SCHEMA)[0].document is sheet
        return None if path is None else (path, merged.place(_SCHEMA) if is_own else None)
