"""Ids of webhooks: `crm` of one that stands in the operator's files, `4711/orders` of one that is a tenant's own.

Rules of this module:

1. An id of the files is one name. Only a definition in the managed directory may have a tenant before it, so that no
   customer can take the id of a webhook of the operator's, or of another customer's.
2. A tenant in an id is spelled as the tenant itself, so it may have capitals. It has no `/`, no `+` and does not begin
   with a dot: it becomes a part of a path, a file name and a URL.
3. What begins with `x-` is the user's own in every mapping of the files, so neither part of an id may.
4. The words that follow an id in a path of the control API are no ids of a tenant's webhooks.
"""

from __future__ import annotations

import re
from typing import Final

#: As in schemas/config.schema.json.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

#: The actions of the control API: `POST /v1/webhooks/ID/test`.
RESERVED: Final = frozenset({"attempts", "replay", "resume", "rotate-secret", "suspend", "test"})

NAME_RULE: Final = "up to 63 of a-z 0-9 . _ -, beginning with a letter or digit"
TENANT_RULE: Final = "up to 63 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, and not with x-"


def is_name(text: str) -> bool:
    """Whether a text is an id without a tenant."""
    return _NAME.fullmatch(text) is not None and not text.startswith("x-")


def is_tenant(text: str) -> bool:
    """Whether a tenant may stand in an id."""
    return _TENANT.fullmatch(text) is not None and not text.startswith("x-")


def tenant_of(webhook_id: str) -> str | None:
    """Give the tenant that an id begins with; None: it has none."""
    tenant, slash, _ = webhook_id.partition("/")
    return tenant if slash else None


def id_problem(webhook_id: str) -> str | None:
    """Say why a text cannot be the id of a managed webhook, or give None if it can."""
    tenant, slash, name = webhook_id.rpartition("/")
    if slash and not is_tenant(tenant):
        return f"what stands before the `/` of an id is a tenant: {TENANT_RULE}"
    if not is_name(name):
        return f"an id is {NAME_RULE}, and a tenant with a `/` may stand before it"
    if name in RESERVED:
        return f"`{name}` is a word of the API and cannot be an id"
    return None
