"""Bearer tokens (RFC 6750), as every HTTP door of hookd checks them.

Rules of this module:

1. A token is read when it is asked for, so that a rotated file needs no reload. One that cannot be read matches
   nobody, and is told in the log once a minute.
2. What was presented is compared with every token, as SHA-256 digests and in constant time: how long it takes says
   nothing about which token it is, or how much of it was right.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import structlog
import trio

from hookd.config.references import SecretUnreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.config.references import Secrets
    from hookd.core.config import Text

log = structlog.get_logger()

TELL_AGAIN_S: Final = 60.0


class Bearer(Protocol):
    """What a door knows of a token: its secret, and whatever else it stands for."""

    @property
    def secret(self) -> Text:
        """The token itself, or where it stands."""


T = TypeVar("T", bound=Bearer)


class Tokens(Generic[T]):
    """The tokens of one door. State: the digest of each, of the text that it had last."""

    def __init__(self, tokens: Sequence[T], secrets: Secrets) -> None:
        self._tokens = tuple(tokens)
        self._secrets = secrets
        self._digests: list[tuple[str, bytes]] = [("", b"")] * len(self._tokens)
        self._told_at: dict[int, float] = {}

    def match(self, authorization: bytes | None) -> T | None:
        """Give the token that an Authorization header presents; None: it presents none of them."""
        scheme, _, credentials = (authorization or b"").partition(b" ")
        presented = sha256(credentials.strip()).digest()
        found: T | None = None
        for place, token in enumerate(self._tokens):
            digest = self._digest_of(place, token)
            if digest is not None and compare_digest(digest, presented) and found is None:
                found = token
        return found if scheme.lower() == b"bearer" else None

    def _digest_of(self, place: int, token: T) -> bytes | None:
        try:
            text = self._secrets.read(token.secret)
        except SecretUnreadable as error:
            now = trio.current_time()
            if now - self._told_at.get(place, -TELL_AGAIN_S) >= TELL_AGAIN_S:
                self._told_at[place] = now
                log.warning("token.unreadable", reason=str(error))
            return None
        known, digest = self._digests[place]
        if known != text or not digest:
            digest = sha256(text.encode()).digest()
            self._digests[place] = (text, digest)
        return digest
