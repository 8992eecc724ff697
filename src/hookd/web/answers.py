"""What the `code` of a problem document means that says no more than its HTTP status, for people.

Rule: every status that a door of hookd answers without a code of its own has an entry. `problem.code_of` gives its
word.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: status -> what it means here, and what to do.
ANSWERS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        400: ("The request cannot be read: it is no HTTP/1.1, or its body no JSON.", "`detail` says what."),
        401: (
            "There is no bearer token, or one that is not known here.",
            "Send `authorization: Bearer TOKEN` with one of the inlet's or the control API's `tokens`.",
        ),
        404: (
            "There is nothing at this path, or no such webhook.",
            "`detail` says which. To a tenant, another tenant's webhook is not there either.",
        ),
        405: ("This path is not asked with this method.", "The header `allow` names those that it is asked with."),
        408: ("The request did not come in time.", "Send it again, whole and at once."),
        409: (
            "What is asked does not go with what is there.",
            "`detail` says why; nothing was changed. What only the operator can mend is `management.unfit` in the log.",
        ),
        413: ("The body is larger than it may be.", "`detail` says how large. Send less at once."),
        414: ("The path with its query is longer than it may be.", "Ask for less at once."),
        415: (
            "The body is of a kind that is not taken here, or compressed.",
            "`content-type` must be one that the header `accept` names, in UTF-8 and uncompressed.",
        ),
        417: ("The request expects what is not done here.", "`Expect` takes `100-continue` and nothing else."),
        422: ("What is asked is understood, and wrong.", "`detail` says what; nothing was changed."),
        431: ("The headers of the request are larger than they may be.", "Send fewer, or shorter ones."),
        500: ("A mistake in hookd.", "Its log says more: please report it."),
        501: ("The method is not known here, or the way in which the body comes.", "`detail` says which."),
        503: (
            "It cannot be answered at the moment: hookd is stopping, busy, or waits for its disk.",
            "Nothing is known to be done. Ask again, after Retry-After if there is one.",
        ),
        505: ("This is another version of HTTP.", "Speak HTTP/1.1."),
    }
)
