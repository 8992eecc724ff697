"""A corpus of spellings: addresses that must never be reached, in every way that some reader takes for them.

The spellings are those that the published collections hold (PayloadsAllTheThings and cujanovic/SSRF-Testing, the tests
of safeurl and smokescreen, the URL tests of WHATWG), made here for each address instead of copied.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Addresses that must never be reached, and what is behind them.
FORBIDDEN = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "this machine",
    "10.0.0.1": "private",
    "172.31.255.255": "private",
    "192.168.0.1": "private",
    "100.64.0.1": "shared",
    "100.100.100.200": "Alibaba's metadata",
    "169.254.169.254": "metadata of most clouds",
    "169.254.170.2": "credentials of ECS tasks",
    "168.63.129.16": "Azure's platform",
    "192.0.0.192": "Oracle's metadata",
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast",
    "255.255.255.255": "broadcast",
}
FORBIDDEN_V6 = (
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "8000::1",
)

FULL_WIDTH = str.maketrans("0123456789.", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0e")
CIRCLED = str.maketrans("0123456789", "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468")
BOLD = str.maketrans("0123456789", "".join(map(chr, range(0x1D7CE, 0x1D7D8))))
ARABIC = str.maketrans("0123456789", "".join(map(chr, range(0x660, 0x66A))))
DOTS = ("\u3002", "\uff0e", "\uff61", "\u2024")


def spell_v4(address: str) -> Iterator[str]:
    """Give the spellings of an IPv4 address that some reader takes for it."""
    number = int(IPv4Address(address))
    a, b, c, d = IPv4Address(address).packed
    yield address
    # One number, and fewer than four (inet_aton)
    yield from (f"{number}", f"{number:#x}", f"{number:#X}", f"0{number:o}", f"0x{number:08x}", f"0x{number:040x}")
    yield from (f"00000{number:o}", f"{number + 2**32}", f"{number}.", f"{number:#x}.")
    yield from (f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{number & 0xFFFF}", f"{a:#x}.{number & 0xFFFFFF:#x}")
    # Four, in other bases, mixed, with leading zeros, beyond a byte
    yield from (f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:#x}.{b}.0{c:o}.{d}")
    yield from (f"{a:03d}.{b:03d}.{c:03d}.{d:03d}", f"{a}.{b}.{c}.0{d:o}", f"{a}.{b}.{c}.{d:#x}")
    yield from (f"{a + 256}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d + 256}", f"{a}.{b}.{c}.{d}.", f"{a}.{b}.{c}.{d}..")
    yield from (f"{a}.{b}.{c}.{d}.0", f"0x.{b}.{c}.{d}", f"{a}..{c}.{d}", f"+{address}", f"-{address}")
    # Other digits and dots, escapes, joiners, white space
    yield from (address.translate(table) for table in (FULL_WIDTH, CIRCLED, BOLD))
    yield from (address.replace(".", dot) for dot in DOTS)
    yield from (address.replace(".", "%2e"), "%31" + address[1:], "".join(f"%{ord(each):02x}" for each in address))
    yield from (address.replace(".", ".\u200b"), address.replace(".", "\u00ad."), f"{address}\u0000", f"{address}\t")
    yield from (f" {address}", f"{address} ", f"{address}%20", f"{address}%00", f"{address}\r\n", f"{address}\u2028")
    # In what looks like a name's company
    yield from (f"example.com@{address}", f"{address}\\@example.com", f"{address}#@example.com", f"a:b@{address}")
    yield from (f"{address}\\.example.com", f"example.com\\{address}", f"[{address}]", f"[{address}", f"{address}]")
    yield from (f"[::ffff:{address}%25lo]", f"[::1%25{address}]", f"{address}:80:80", f"{address}:0", f"{address}:")
    # Within IPv6
    high, low = number >> 16, number & 0xFFFF
    yield from (
        f"[::ffff:{address}]",
        f"[::ffff:{high:x}:{low:x}]",
        f"[0:0:0:0:0:ffff:{address}]",
        f"[::FFFF:{address}]",
    )
    yield from (f"[0000:0000:0000:0000:0000:ffff:{high:04x}:{low:04x}]", f"[::{address}]", f"[::{high:x}:{low:x}]")
    yield from (
        f"[::ffff:0:{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b:1::{address}]",
        f"[64:ff9b::{high:x}:{low:x}]",
    )
    yield from (f"[2002:{high:x}:{low:x}::]", f"[2002:{high:x}:{low:x}::1]", f"[2001:0:{high:x}:{low:x}::]")
    yield from (f"[2001::{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}]", f"[fe80::5efe:{high:x}:{low:x}]")
    yield from (f"[::ffff:{address}", f"::ffff:{address}", f"[::ffff:{address}.]", f"[::ffff:{a}.{b}.{c}.0{d:o}]")


def spell_v6(address: str) -> Iterator[str]:
    """Give the spellings of an IPv6 address."""
    exploded = IPv6Address(address).exploded
    yield from (f"[{address}]", f"[{exploded}]", f"[{exploded.upper()}]", f"[{address}%25eth0]", f"[{address}%eth0]")
    yield from (address, f"[{address}", f"[[{address}]]", f"[{address}]x", f"[v6.{address}]", f"[{address}/128]")


CORPUS = [(address, text) for address in FORBIDDEN for text in spell_v4(address)] + [
    (address, text) for address in FORBIDDEN_V6 for text in spell_v6(address)
]
