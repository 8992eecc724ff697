"""Forward proxies: the URL of one, taken apart.

Rules of this module:

1. A proxy's URL is read as strictly as a receiver's (`parse_target`), but for two things: it may hold a user name and
   a password, which is how proxies are written everywhere, and it has no path.
2. No message and no repr holds a credential or any other part of the URL but a host or a port.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hookd.core.addresses import TargetInvalid, parse_target

if TYPE_CHECKING:
    from hookd.core.addresses import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A forward proxy: where it is, and what its Proxy-Authorization holds (RFC 7617), if it asks who we are."""

    target: Target
    authorization: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def parse_proxy(url: str) -> Proxy:
    """Take `http://[USER:PASSWORD@]HOST[:PORT]` apart, or the same with https; raise `TargetInvalid` for others.

    User name and password are percent-decoded, so that they may hold any ASCII character.
    """
    scheme, mark, rest = url.partition("://")
    if scheme.lower() not in {"http", "https"}:
        raise TargetInvalid("a proxy's URL must begin with http:// or https://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    credentials, at_sign, _ = rest[:end].rpartition("@")
    target = parse_target(scheme + mark + rest[len(credentials) + len(at_sign) :])
    if target.path != "/":
        raise TargetInvalid("a proxy's URL has no path and no query")
    if not at_sign:
        return Proxy(target=target)
    user, _, password = (unquote(part) for part in credentials.partition(":"))
    plain = (user + password).isascii() and (user + password).isprintable()
    if not user or not plain or ":" in user or "@" in credentials:
        raise TargetInvalid("the user name or password in a proxy's URL cannot be sent")
    encoded = base64.b64encode(f"{user}:{password}".encode("ascii")).decode("ascii")
    return Proxy(target=target, authorization=f"Basic {encoded}", password=password or None)
