"""Signing: Standard Webhooks v1, for sending and for checking what was received.

Rules of this module (Standard Webhooks 1.0.0, "Signature scheme"):

1. What is signed is `id.timestamp.body`, over the bytes that are sent; the id stays the same over all attempts and
   the timestamp is the attempt's. HMAC-SHA256, base64, prefixed `v1,`.
2. A header holds a signature for each secret, the newest first, so that a receiver can change its secret at leisure.
3. A secret is `whsec_` and the base64 of 24 to 64 bytes. What is not is refused, without a character of it shown.
4. A key is hashed once, when it is made, and only that state is kept; a signature copies it.
5. Comparison takes the same time wherever two signatures differ.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24  # Standard Webhooks 1.0.0: "between 24 bytes (192 bits) and 64 bytes (512 bits)"
MOST_BYTES: Final = 64
TOLERANCE_S: Final = 300  # what the reference libraries allow, in both directions

_VERSION: Final = "v1,"
_TIMESTAMP_DIGITS: Final = 15


class SecretInvalid(ValueError):  # noqa: N818  a fact about a text, told to a person
    """A text is not a signing secret; the message says why and shows nothing of it."""


class SigningKey:
    """A secret, ready to sign with: HMAC-SHA256 with the key already hashed into it. Made by `parse_secret`."""

    __slots__ = ("_state",)

    def __init__(self, key: bytes) -> None:
        self._state = hmac.new(key, digestmod=sha256)

    def __repr__(self) -> str:
        return "SigningKey(***)"

    def signature(self, head: bytes, body: bytes) -> str:
        """Give the base64 of the HMAC of `head` and `body`, one after the other."""
        state = self._state.copy()
        state.update(head)
        state.update(body)
        return b64encode(state.digest()).decode("ascii")


def parse_secret(text: str) -> SigningKey:
    """Give the key of `whsec_` + base64, padded or not; raise `SecretInvalid`."""
    if text.startswith("whsk_"):
        raise SecretInvalid("this is a private key for asymmetric signatures; expected a `whsec_` secret")
    if not text.startswith(PREFIX):
        raise SecretInvalid("a signing secret begins with `whsec_`")
    encoded = text[len(PREFIX) :]
    if any(character.isspace() for character in encoded):
        raise SecretInvalid("a signing secret has no spaces or line ends in it")
    try:
        key = b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except ValueError:  # binascii.Error is one; a text that is not ASCII is another
        hint = " (the URL-safe alphabet with `-` and `_` is not used here)" if set(encoded) & set("-_") else ""
        raise SecretInvalid(f"what follows `whsec_` is not base64{hint}") from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise SecretInvalid(f"a signing secret holds {LEAST_BYTES} to {MOST_BYTES} bytes, and this one {len(key)}")
    return SigningKey(key)


def generate_secret(random: bytes) -> str:
    """Give the secret that holds `random`, 24 to 64 bytes from a secure source."""
    if not LEAST_BYTES <= len(random) <= MOST_BYTES:
        raise ValueError(f"a signing secret holds {LEAST_BYTES} to {MOST_BYTES} bytes")
    return PREFIX + b64encode(random).decode("ascii")


def sign(keys: Sequence[SigningKey], delivery_id: str, timestamp: int, body: bytes) -> str:
    """Give the `webhook-signature` header, a signature per key in their order. `timestamp` is in seconds (Unix)."""
    head = f"{delivery_id}.{timestamp}.".encode()
    return " ".join([_VERSION + key.signature(head, body) for key in keys])


def verify(  # noqa: PLR0917  the parts of a received request, in the order of `sign`
    keys: Sequence[SigningKey],
    delivery_id: str,
    timestamp_header: str,
    signature_header: str,
    body: bytes,
    now: int,
    tolerance_s: int = TOLERANCE_S,
) -> str | None:
    """Check what was received; None when it is good, else why not. `now` is in seconds (Unix), as the header is.

    One good signature of any of the keys is enough; signatures of other versions are passed over.
    """
    if not (timestamp_header.isascii() and timestamp_header.isdigit() and len(timestamp_header) <= _TIMESTAMP_DIGITS):
        return "webhook-timestamp is not a whole number of seconds"
    timestamp = int(timestamp_header)
    if timestamp < now - tolerance_s:
        return "webhook-timestamp is too old"
    if timestamp > now + tolerance_s:
        return "webhook-timestamp lies in the future"
    given = [entry.encode() for entry in signature_header.split(" ") if entry.startswith(_VERSION)]
    if not given:
        return "webhook-signature holds no v1 signature"
    # Over the header's own digits: a receiver signs the text that it got, leading zeros and all.
    head = f"{delivery_id}.{timestamp_header}.".encode()
    good = False
    for key in keys:
        expected = (_VERSION + key.signature(head, body)).encode()
        for entry in given:
            good |= hmac.compare_digest(expected, entry)
    return None if good else "webhook-signature does not match"
