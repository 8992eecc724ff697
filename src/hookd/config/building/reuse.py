"""What one load leaves for the next: of 10,000 webhooks of which ten have changed, ten are built.

Rules of this module:

1. A webhook is what its file says, laid over a ground (the defaults and the profile below it) and judged by the
   catalogue of event types. When all three say what they said, the webhook is the same object as before; so the
   configs before and after a change share nearly all that they hold, and neither making the one nor freeing the other
   takes time or memory.
2. Only what was built without a word said about it is kept. A problem is found anew by every load, so that a load that
   goes on from another finds the same problems, in the same order, as one that begins with nothing.
3. What is kept is bounded by the files of the last load: everything else is forgotten with the load that kept it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hookd.config.building.outgoing import hash_json
from hookd.config.building.shared import Shared
from hookd.config.schema.schemas import CompiledSchema, KnownSchemas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.building.merge import Merged
    from hookd.config.building.sheets import Sheet
    from hookd.core.config import EventType, Place, Webhook
    from hookd.core.routing import Index


@dataclass(frozen=True, slots=True)
class Built:
    """A webhook, and what it was built of: its file, its ground, the profile that it names.

    `schema` is the file of its body's schema, with its place if its own file names it; else a profile does.
    """

    webhook: Webhook
    sheet: Sheet
    ground: str
    profile: str | None
    schema: tuple[str, Place | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a load leaves: its files by name, its webhooks by id with their index, its schemas.

    `sound` are the hashes of the grounds in which nothing is wrong, so that they need not be tried again.
    """

    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    built: Mapping[str, Built] = field(default_factory=dict)
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    index: Index | None = None  # of `webhooks`
    schemas: KnownSchemas = field(default_factory=KnownSchemas)
    shared: Shared = field(default_factory=Shared)
    sound: frozenset[str] = frozenset()


def hash_catalogue(types: Mapping[str, EventType]) -> str:
    """Give what tells one catalogue from another, as far as a webhook may depend on it."""
    return hash_json(
        {
            name: each.validator.digest if isinstance(each.validator, CompiledSchema) else each.validator is not None
            for name, each in types.items()
        }
    )


def hash_ground(merged: Merged | None, catalogue: str) -> str:
    """Give what tells one ground from another: its values in their order, where relative paths start, its tests."""
    told: list[object] = [catalogue]
    if merged is not None:
        tests = merged.value.get("tests")
        count = len(tests) if isinstance(tests, list) else 0
        told += [
            merged.value,
            [[path, section.directory(())] for path, section in merged.origins.items()],
            merged.directory(()),
            [str(merged.place(("tests", index))) for index in range(count)],
        ]
    return hashlib.blake2b(json.dumps(told).encode("ascii"), digest_size=16).hexdigest()
