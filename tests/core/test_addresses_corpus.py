"""A corpus of spellings: every way to write an address that some reader takes for it is refused, or read as it is.

Foreign readers judge with us: the C library's `inet_aton`, and the URL parsers of the standard library and of httpx.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.addresses import TargetInvalid, denied, parse_target
from tests.core.spellings import ARABIC, CORPUS, FORBIDDEN, FORBIDDEN_V6


def reached(url: str) -> str | None:
    """Give what would be connected to: a literal that is not denied, or a name; None if neither."""
    try:
        target = parse_target(url)
    except TargetInvalid:
        return None
    if target.literal and denied(target.host, ()) is not None:
        return None
    return target.host


@pytest.mark.parametrize("address", [*FORBIDDEN, *FORBIDDEN_V6])
def test_no_spelling_of_a_forbidden_address_is_reached(address: str) -> None:
    spellings = [text for of, text in CORPUS if of == address]
    assert len(spellings) > 10
    for text in spellings:
        for url in (f"http://{text}/", f"https://{text}/", f"http://{text}:8080/x?y", f"HTTP://{text}"):
            assert reached(url) is None, ascii(url)


def test_the_corpus_is_read_by_others_as_what_it_means() -> None:
    """The corpus has teeth: the C library takes many of these texts for the very address."""
    taken = 0
    for address, text in CORPUS:
        try:
            packed = socket.inet_aton(text)
        except (OSError, ValueError, UnicodeError):
            continue
        taken += socket.inet_ntoa(packed) == address
    assert taken > 150


def test_names_that_stand_for_forbidden_addresses_are_names_and_judged_when_they_are_looked_up() -> None:
    # Arabic digits are letters of a name to IDNA, and nobody's address.
    arabic = "127.0.0.1".translate(ARABIC)
    for name in ("localhost", "localhost.", "127.0.0.1.nip.io", "metadata.google.internal", arabic):
        target = parse_target(f"http://{name}/")
        assert not target.literal
        assert denied(target.host, ()) is not None


# --------------------------------------------------------------------------- foreign readers

HOSTISH = st.text(st.sampled_from("0123456789abcdefxX.:[]%-_@\\/?# \uff10\uff0e\u3002\u24ea"), min_size=1, max_size=24)


@settings(max_examples=200, deadline=None)
@given(st.one_of(HOSTISH, st.from_regex(r"(0x)?[0-9a-f]{1,12}(\.(0x)?[0-9a-f]{1,12}){0,4}\.?", fullmatch=True)))
def test_what_the_c_library_takes_for_an_address_is_that_address_or_refused(host: str) -> None:
    try:
        target = parse_target(f"http://{host}/")
    except TargetInvalid:
        return
    try:
        packed = socket.inet_aton(target.host)
    except OSError:
        return
    assert target.literal
    assert socket.inet_ntoa(packed) == target.host


URLISH = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "http:/", "http:", "http:\\\\", "//", "ftp://"]),
    HOSTISH,
    st.sampled_from(["", "/", "/x", "?x", "#x", ":80", "@example.com/", "\\@example.com/", ":80@example.com"]),
    st.sampled_from(["", "//127.0.0.1/", "@127.0.0.1", ":1@[::1]"]),
)


@settings(max_examples=200, deadline=None)
@given(URLISH)
def test_other_parsers_read_the_same_host_in_what_is_taken(url: str) -> None:
    try:
        target = parse_target(url)
    except TargetInvalid:
        return
    split = urlsplit(url)
    # Some readers strip the dot of the root, others do not; all mean the same host.
    assert (split.hostname or "").removesuffix(".") == target.host or target.literal
    theirs = httpx.URL(url)
    assert theirs.raw_host.decode().removesuffix(".") == target.host or target.literal
    assert (theirs.port or {"http": 80, "https": 443}[theirs.scheme]) == target.port
    if target.literal:
        assert ip_address((split.hostname or "").removesuffix(".")) == ip_address(target.host)
        assert ip_address(theirs.host.removesuffix(".")) == ip_address(target.host)


#: IPv6 networks that carry an IPv4 address, and the bit at which it begins.
CARRIERS = [
    ("::/96", 0),
    ("::ffff:0:0:0/96", 0),
    ("64:ff9b::/96", 0),
    ("64:ff9b:1::/96", 0),
    ("2002::/16", 80),
    ("2001::/32", 64),
]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CARRIERS), st.ip_addresses(v=4), st.integers(0, 2**80 - 1))
def test_an_address_in_disguise_is_denied_whatever_it_hides(
    carrier: tuple[str, int], hidden: IPv4Address, rest: int
) -> None:
    network, shift = carrier
    base = int(IPv6Network(network).network_address)
    address = IPv6Address(base | int(hidden) << shift | (rest & ((1 << shift) - 1)))
    assert denied(str(address), ()) is not None
    assert denied(address.exploded, ()) is not None


@settings(max_examples=200, deadline=None)
@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_is(address: IPv4Address) -> None:
    for networks in ((), (ip_network("10.0.0.0/8"),), (ip_network("0.0.0.0/0"),), (ip_network("::/0"),)):
        mapped = IPv6Address(f"::ffff:{address}")
        assert (denied(str(mapped), networks) is None) == (denied(str(address), networks) is None)


@settings(max_examples=200, deadline=None)
@given(st.ip_addresses())
def test_what_the_standard_library_does_not_call_global_is_denied(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global:
        assert denied(str(address), ()) is not None
