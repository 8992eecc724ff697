"""Who is let in at the doors of the control API, before a body is read.

Rules of this module:

1. At the Unix socket the kernel says who it is, and the mode of the file has let them in: that is the operator.
2. Over HTTP a bearer token says it, and nothing is told to whoever has none; the API's own description is for all.
3. A change of a webhook is small, so a body over HTTP is.
"""

from __future__ import annotations

import pwd
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hookd.control.callers import Caller
from hookd.control.management_api import MOST_BODY_BYTES, OPENAPI_PATH
from hookd.core.config import ReferenceKind
from hookd.core.units import MIB
from hookd.web.messages import Admission, Request, Response
from hookd.web.problem import problem
from hookd.web.tokens import Tokens

if TYPE_CHECKING:
    from hookd.config.references import Secrets
    from hookd.core.config import Reference
    from hookd.core.daemonconfig import ControlToken
    from hookd.web.messages import Admit

#: A test event may be as large as an event; see `daemon.limits.event_bytes`.
_OPERATOR_BYTES: Final = 16 * MIB


def admit_operator(request: Request) -> Admission | Response:
    """Let whoever could open the socket be the operator, by the name that the system has for them."""
    uid = None if request.peer is None else request.peer.uid
    return Admission(_OPERATOR_BYTES, Caller(name="somebody" if uid is None else _user_name(uid)))


@lru_cache(maxsize=64)
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _token_name(reference: Reference) -> str:
    """Give what people know a token by: its credential, its variable, or the name of its file."""
    return reference.name.rpartition("/")[2] if reference.kind is ReferenceKind.FILE else reference.name


def tenants_door(tokens: tuple[ControlToken, ...], secrets: Secrets) -> Admit:
    """Give the door that lets in who has one of these tokens."""
    known = Tokens(tokens, secrets)
    admissions = {
        id(token): Admission(
            MOST_BODY_BYTES, Caller(name=_token_name(token.secret), tenant=token.tenant, profile=token.profile)
        )
        for token in tokens
    }

    def admit(request: Request) -> Admission | Response:
        authorization = request.header(b"authorization")
        token = known.match(authorization)
        if token is not None:
            return admissions[id(token)]
        if request.raw_path == OPENAPI_PATH.encode() and request.method in {"GET", "HEAD"}:
            return Admission(0)
        presented = authorization is not None
        detail = "the bearer token is not known here" if presented else "a bearer token is needed"
        challenge = b'Bearer error="invalid_token"' if presented else b"Bearer"  # RFC 6750, 3
        return problem(401, detail, code="unauthorized", headers=((b"www-authenticate", challenge),))

    return admit
