"""The codes with which the API refuses a change of a webhook, and what they mean, for people.

Rule: a `ManagementRefused` takes no other code than these and those of `core.refusals`. Each has its meaning here, but
for the words of an HTTP status, which `web.answers` explains.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

ApiCode: TypeAlias = Literal[
    "unauthorized",
    "not_found",
    "refused",
    "definition_invalid",
    "not_settable",
    "bad_id",
    "bad_condition",
    "bad_query",
    "exists",
    "revision_conflict",
    "taken",
    "not_managed",
    "too_many_webhooks",
    "profile_unfit",
    "conflict",
    "no_secret",
    "no_test_event",
    "not_written",
    "overloaded",
    "store_failed",
    "failed",
]

#: code -> what it means, and what to do.
API_CODES: Final[Mapping[ApiCode, tuple[str, str]]] = MappingProxyType(
    {
        "refused": ("What was asked is not so.", "`detail` says why; nothing was changed."),
        "definition_invalid": (
            "The definition is not right.",
            "Nothing was changed. `errors` holds each fault: a JSON Pointer, a code of `hookd check`, a message.",
        ),
        "not_settable": (
            "A tenant may not set this key: its profile does.",
            "Leave it out. What a tenant sets are plain values of `name active paused url events filter test_event`.",
        ),
        "bad_id": ("A webhook cannot have this id.", "`detail` says what an id is made of."),
        "bad_condition": (
            "If-Match or If-None-Match cannot be read.",
            'They take entity tags, as in "0123abcd", or *.',
        ),
        "bad_query": (
            "A parameter behind the `?` is not known, or has no such value.",
            "`detail` says which there are.",
        ),
        "exists": (
            "The webhook is there already, and `If-None-Match: *` (or --new) wanted it not to be.",
            "Nothing was changed. Read it first, or leave the condition out.",
        ),
        "revision_conflict": (
            "Somebody changed the webhook since its revision was read.",
            "Nothing was changed. Read it again, make the change to what is there now, and send it with the new ETag.",
        ),
        "taken": ("The id is that of a webhook which does not come from the API.", "Take another id."),
        "not_managed": (
            "The webhook, or all of them, stand in the operator's files.",
            "Change it there; the API writes into `managed_dir` alone, if the config names one.",
        ),
        "too_many_webhooks": ("The tenant has as many webhooks as one may have.", "Remove one first."),
        "profile_unfit": (
            "The definition is right, and the profile of the token makes no webhook of it.",
            "Only the operator can mend the profile; the log has `management.unfit` with the reason.",
        ),
        "no_secret": (
            "hookd made no signing secret for this webhook, so it can rotate none.",
            "Its secrets stand under `sign` of its definition or profile, and are rotated there.",
        ),
        "no_test_event": ("The webhook has no `test_event`.", "Set one, or send the event with the request."),
        "not_written": (
            "The file could not be written: the disk is full, or closed to hookd.",
            "Nothing was changed. The log has `management.unwritten` with the reason.",
        ),
        "overloaded": ("Too many changes wait.", "Nothing was changed. Ask again, after Retry-After."),
        "store_failed": (
            "The store failed, and the daemon is stopping.",
            "It is not known whether it was done. Read it again when the daemon is back.",
        ),
        "failed": ("A mistake in hookd.", "Its log says more: please report it."),
    }
)
