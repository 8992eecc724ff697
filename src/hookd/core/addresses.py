"""Where a request may go: URLs taken apart, addresses that are denied, headers that may not be set.

Rules of this module:

1. A URL is read one way only. What two parsers could read differently (user info, backslashes, white space, hosts
   that are numbers in disguise, names that change when they are normalised) is refused, not repaired.
2. The check that counts is `denied`, on the address that is connected to; the URL only says what to look up.
3. The deny table is our own: `ipaddress.is_global` calls NAT64, 6to4, multicast and Azure's metadata address global.
4. No message holds a URL, a header value or any part of them but a host, a port or a header name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hookd.core.config import Network

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
URL_LIMIT: Final = 8192
HOST_LIMIT: Final = 253  # RFC 1035 §2.3.4, in its text form
LABEL_LIMIT: Final = 63
PORT_LIMIT: Final = 65535
HEADER_LIMIT: Final = 8192  # what common receivers take for one field

_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
#: What RFC 3986 has no place for in a path or a query, and what a user may mean literally.
_ENCODED: Final = frozenset('"<>^`{|}')

#: RFC 9110 §5.6.2
_TOKEN_CHARACTERS: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
#: These decide the framing and the routing of a message, so they are the sender's own.
_FORBIDDEN_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_FORBIDDEN_PREFIXES: Final = ("proxy-", "webhook-")

_DENIED_V4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("127.0.0.0/8", "loopback"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("168.63.129.16/32", "the platform address of Azure"),
        ("0.0.0.0/8", "this machine or network"),
        ("100.64.0.0/10", "shared address space"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_DENIED_V6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::1/128", "loopback"),
        ("::/128", "this machine"),
        ("::/96", "an IPv4 address in disguise"),
        ("::ffff:0:0:0/96", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "NAT64, an IPv4 address in disguise"),
        ("64:ff9b:1::/48", "NAT64, an IPv4 address in disguise"),
        ("2002::/16", "6to4, an IPv4 address in disguise"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("100::/64", "a black hole"),
        ("5f00::/16", "for segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
#: All that IANA gives out as global unicast; what is outside is denied without a name for it.
_GLOBAL_V6: Final = IPv6Network("2000::/3")


class TargetInvalid(Exception):  # noqa: N818  a fact about a text of the user, as ConfigInvalid is
    """A URL that requests cannot be sent to; the message says why and quotes nothing of it but the host or port."""


#: What stands in the names of headers that hold a secret.
_TELLING: Final = ("auth", "cookie", "key", "passw", "secret", "token")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `host` is ASCII, in lower case, an IPv6 literal without its brackets.

    `path` is what stands in the request line: the query included, printable ASCII. It may hold a secret, so the
    repr shows the masked form.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110 §7.2): the port stands in it unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, as in `https://example.com:8443`."""
        return f"{self.scheme}://{self.authority}"

    @property
    def masked(self) -> str:
        """The URL as it may be shown: without its query."""
        return self.origin + self.path.partition("?")[0]

    @property
    def literal(self) -> bool:
        """Whether the host is an IP address and needs no look-up (`parse_target` lets no other numbers through)."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()

    def __repr__(self) -> str:
        return f"Target({self.masked})"


def parse_target(url: str) -> Target:
    """Take an absolute http or https URL apart; raise `TargetInvalid` for anything that is not plainly one.

    International host names become their ASCII form; other characters outside ASCII, and those that RFC 3986
    does not allow, are percent-encoded in path and query. Dot segments and existing escapes stay as they are.
    """
    if len(url) > URL_LIMIT:
        raise TargetInvalid(f"the URL is longer than {URL_LIMIT} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise TargetInvalid("the URL holds white space, a control character or a backslash")
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in DEFAULT_PORTS:
        raise TargetInvalid("the URL must begin with http:// or https://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if "#" in path:
        raise TargetInvalid("the URL has a fragment, which is never sent; leave it out, or write %23 for a #")
    if "@" in authority:
        raise TargetInvalid("the URL holds a user name or password; use `auth:` for that")
    host, port = _split_port(authority)
    return Target(
        scheme,
        _parse_host(host),
        DEFAULT_PORTS[scheme] if port is None else _parse_port(port),
        _encode_path(path if path.startswith("/") else f"/{path}"),
    )


def host_of(url: str) -> str | None:
    """Give the host that an absolute URL names, whatever else is in it (user info, a fragment); None: there is none."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    try:
        return parse_target(f"{scheme}{mark}{rest[:end].rpartition('@')[2]}/").host
    except TargetInvalid:
        return None


def _split_port(authority: str) -> tuple[str, str | None]:
    if authority.startswith("["):
        literal, bracket, rest = authority.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise TargetInvalid("the host is not a valid IPv6 address in brackets")
        return literal + bracket, rest[1:] if rest else None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _parse_port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(PORT_LIMIT)) and 1 <= int(text) <= PORT_LIMIT:
        return int(text)
    raise TargetInvalid(f"the port must be a number from 1 to {PORT_LIMIT}")


@lru_cache(maxsize=1024)  # of thousands of URLs most name one of a few hosts
def _parse_host(text: str) -> str:
    if not text:
        raise TargetInvalid("the URL has no host")
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except ValueError:
            raise TargetInvalid("the host is not a valid IPv6 address in brackets") from None
        if address.scope_id is not None:
            raise TargetInvalid("an IPv6 address with a scope (%) cannot be sent to")
        return str(address)
    host = text.lower()
    if not host.isascii():
        host = _encode_international(host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > HOST_LIMIT or not all(0 < len(label) <= LABEL_LIMIT for label in labels):
        raise TargetInvalid("a part of the host name is empty or too long")
    if not _HOST_CHARACTERS.issuperset(host.replace(".", "")):
        raise TargetInvalid("the host name holds a character that no host name has")
    if _ends_in_number(labels[-1]):
        # What the resolver would take for an address: 127.1, 0x7f.1, 017700000001, 2130706433 (inet_aton, WHATWG).
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise TargetInvalid("an IPv4 address must be written as four plain decimal numbers") from None
    return host


def _ends_in_number(label: str) -> bool:
    return label.isdigit() or (label.startswith("0x") and _HEXADECIMAL.issuperset(label[2:]))


def _encode_international(host: str) -> str:
    try:
        encoded = host.encode("idna")
        same = encoded.decode("idna") == host
    except UnicodeError:
        same = False
    # A name that normalising changes (full-width letters and dots, ß, joiners) means different hosts to different
    # readers, IDNA 2003 and 2008 among them.
    if not same:
        raise TargetInvalid("the host name is not a plain international one; write its ASCII form (xn--…)")
    return encoded.decode("ascii").lower()


def _encode_path(text: str) -> str:
    if text.isascii() and _ENCODED.isdisjoint(text):
        return text
    return "".join(
        character
        if character.isascii() and character not in _ENCODED
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in text
    )


def denied(address: str, networks: tuple[Network, ...]) -> str | None:
    """Say why an IP address may not be connected to, or give None if it may.

    `networks` are opened by the webhook (`allow_networks`). An IPv4-mapped address is judged as the IPv4 address
    that it is, with both the table and the opened networks.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "this is not an IP address"
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return f"{ip} has a scope, which is never connected to"
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
    if opened(ip, networks):
        return None
    why = _deny_reason(ip)
    return None if why is None else f"{ip} is {why}; allow_networks opens it"


def opened(address: str | IPv4Address | IPv6Address, networks: tuple[Network, ...]) -> bool:
    """Tell whether one of the opened networks holds the address."""
    if not networks:
        return False
    ip = ip_address(address) if isinstance(address, str) else address
    return any(ip in network for network in networks if network.version == ip.version)


def _deny_reason(ip: IPv4Address | IPv6Address) -> str | None:
    if isinstance(ip, IPv4Address):
        return next((why for network, why in _DENIED_V4 if ip in network), None)
    why = next((why for network, why in _DENIED_V6 if ip in network), None)
    return "not a public address" if why is None and ip not in _GLOBAL_V6 else why


def header_problem(name: str, value: str) -> str | None:
    """Say why a user may not set a header, or give None if it may be sent (RFC 9110 §5.5, printable ASCII only)."""
    lowered = name.lower()
    if not lowered or not _TOKEN_CHARACTERS.issuperset(lowered):
        return "a header name consists of letters, digits and -_.!#$%&'*+^`|~"
    if lowered in _FORBIDDEN_HEADERS or lowered.startswith(_FORBIDDEN_PREFIXES):
        return f"the header {lowered} is set by hookd itself"
    problem = _value_problem(value)
    return None if problem is None else f"the value of the header {lowered} {problem}"


def _value_problem(value: str) -> str | None:
    if len(value) > HEADER_LIMIT:
        return f"is longer than {HEADER_LIMIT} characters"
    if not value.isascii():
        return "holds a character outside ASCII"
    if not value.replace("\t", " ").isprintable():
        return "holds a line break or a control character"
    if value != value.strip():
        return "begins or ends with white space"
    return None


def tells_secret(name: str) -> bool:
    """Tell whether a header of this name holds a secret, wherever its value was written."""
    lowered = name.lower()
    return any(word in lowered for word in _TELLING)
