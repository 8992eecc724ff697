"""URLs, addresses and headers: what passes, what is refused, and that no message tells a secret."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookd.core.addresses import (
    Target,
    TargetInvalid,
    denied,
    header_problem,
    host_of,
    opened,
    parse_target,
    tells_secret,
)

SECRET = "s3cr3tcanary"

GOOD = [
    ("http://example.com", "http://example.com/", "/"),
    ("HTTPS://Example.COM/Hooks?a=B", "https://example.com/Hooks", "/Hooks?a=B"),
    ("https://example.com:443/x", "https://example.com/x", "/x"),
    ("http://example.com:443/x", "http://example.com:443/x", "/x"),
    ("https://example.com:8443", "https://example.com:8443/", "/"),
    ("https://example.com?token=1", "https://example.com/", "/?token=1"),
    ("https://example.com/a//b/../c/%2E", "https://example.com/a//b/../c/%2E", "/a//b/../c/%2E"),
    ("https://example.com/a?b=1?2/3@4", "https://example.com/a", "/a?b=1?2/3@4"),
    ("https://example.com/@x:y", "https://example.com/@x:y", "/@x:y"),
    ("https://example.com./x", "https://example.com/x", "/x"),
    ("https://example.com/é?ü=€", "https://example.com/%C3%A9", "/%C3%A9?%C3%BC=%E2%82%AC"),
    ('https://example.com/{a}|"^`<>[1]', "https://example.com/%7Ba%7D%7C%22%5E%60%3C%3E[1]", None),
    ("https://my_service:8080/x", "https://my_service:8080/x", "/x"),
    ("https://münchen.example/", "https://xn--mnchen-3ya.example/", "/"),
    ("https://MÜNCHEN.example/", "https://xn--mnchen-3ya.example/", "/"),
    ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/", "/"),
    ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x", "/x"),
    ("http://[::1]/x", "http://[::1]/x", "/x"),
    ("http://[2001:DB8:0:0::1]:80/x", "http://[2001:db8::1]/x", "/x"),
    ("http://1password.com/", "http://1password.com/", "/"),
    ("http://cafe.de/", "http://cafe.de/", "/"),
    ("http://0xdeadbeef.com/", "http://0xdeadbeef.com/", "/"),
    ("http://a.0x.example/", "http://a.0x.example/", "/"),
]


@pytest.mark.parametrize(("url", "masked", "path"), GOOD)
def test_plain_urls_are_taken_apart(url: str, masked: str, path: str | None) -> None:
    target = parse_target(url)
    assert target.masked == masked
    assert path is None or target.path == path
    assert target.path.isascii()


BAD = [
    "",
    "example.com",
    "//example.com/",
    "/x",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "unix:///run/x.sock",
    "http:/example.com",
    "http:example.com",
    "http:///x",
    "http://:80/x",
    "http://?x",
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://@example.com/",
    "http://a:b@c\\@evil.example/",
    "http://example.com\\@evil.example/",
    "http://example.com\\x",
    "http://example.com/a\\b",
    "http://example.com/ x",
    " http://example.com/",
    "http://example.com/\n",
    "http://exa\tmple.com/",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\u00a0",
    "http://example.com/\u2028",
    "http://example.com/\ud800",
    "http://example.com/#x",
    "http://example.com#@evil.example/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:/",
    "http://example.com:http/",
    "http://example.com:+80/",
    "http://example.com:8 0/",
    "http://example.com:٨٠/",
    "http://example.com:80:80/",
    "http://exa%6dple.com/",
    "http://exam!ple.com/",
    "http://exam*ple.com/",
    "http://example..com/",
    "http://.example.com/",
    "http://example.com../",
    "http://./",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
    f"http://example.com/{'a' * 8192}",
    # IPv4 in every spelling that some resolver takes
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0X7F000001/",
    "http://017700000001/",
    "http://0x7f.1/",
    "http://0x7f.0.0.0x1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://0x/",
    "http://00000/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.1.1/",
    "http://127.0.0.256/",
    "http://1.2.3/",
    "http://a.b.127.1/",
    "http://example.0x7f/",
    "http://2130706433./",
    "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://ⓔⓧⓐⓜⓟⓛⓔ.com/",
    "http://example。com/",
    "http://faß.example/",
    "http://a\u200db.example/",
    # IPv6
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[::1]x/",
    "http://[::1%eth0]/",
    "http://[fe80::1%25eth0]/",
    "http://[127.0.0.1]/",
    "http://[::g]/",
    "http://[v1.x]/",
]


@pytest.mark.parametrize("url", BAD)
def test_odd_urls_are_refused(url: str) -> None:
    with pytest.raises(TargetInvalid):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@example.com/",
        f"ftp://example.com/{SECRET}",
        f"http://example.com/{SECRET}#x",
        f"http://example.com/\n{SECRET}",
        f"http://{SECRET}!/",
        f"http://example.com:{SECRET}/",
        f"{SECRET}",
    ],
)
def test_a_refusal_quotes_nothing_of_the_url(url: str) -> None:
    with pytest.raises(TargetInvalid) as refusal:
        parse_target(url)
    assert SECRET not in str(refusal.value)
    assert refusal.value.__context__ is None or SECRET not in str(refusal.value.__context__)


def test_a_target_shows_itself_without_its_query() -> None:
    target = parse_target(f"https://example.com:444/in?token={SECRET}")
    assert repr(target) == "Target(https://example.com:444/in)"
    assert target.origin == "https://example.com:444"
    assert target.authority == "example.com:444"


@pytest.mark.parametrize(
    ("url", "literal"),
    [("http://10.0.0.1/", True), ("http://[::1]/", True), ("http://a1/", False), ("http://1a.example/", False)],
)
def test_a_literal_needs_no_look_up(url: str, *, literal: bool) -> None:
    assert parse_target(url).literal is literal


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://example.com/{text}"):
        try:
            target = parse_target(url)
        except TargetInvalid:
            continue
        assert f"{target.host}{target.path}".isascii()
        assert f"{target.host}{target.path}".isprintable()
        assert " " not in target.path
        assert parse_target(target.origin + target.path) == target
        if target.literal:
            ip_address(target.host)


# --------------------------------------------------------------------------- addresses

DENIED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.7",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.1.2.3",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
    "::2:0:0",
    "",
    "localhost",
    "127.1",
    "0x7f.0.0.1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
]


@pytest.mark.parametrize("address", DENIED)
def test_addresses_that_are_not_public_are_denied(address: str) -> None:
    assert denied(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert denied(address, ()) is None


def test_the_reason_names_the_address_and_the_remedy() -> None:
    assert denied("10.0.0.7", ()) == "10.0.0.7 is private; allow_networks opens it"
    assert denied("::ffff:127.0.0.1", ()) == "127.0.0.1 is loopback; allow_networks opens it"


@pytest.mark.parametrize(
    ("address", "network", "passes"),
    [
        ("10.0.0.7", "10.0.0.0/8", True),
        ("10.0.0.7", "10.0.0.7/32", True),
        ("10.0.0.7", "10.0.0.8/32", False),
        ("::ffff:10.0.0.7", "10.0.0.0/8", True),
        ("::ffff:10.0.0.7", "::/0", False),
        ("::ffff:10.0.0.7", "::ffff:0:0/96", False),
        ("::1", "::1/128", True),
        ("::1", "127.0.0.0/8", False),
        ("127.0.0.1", "::1/128", False),
        ("fe80::1%eth0", "fe80::/10", False),
        ("169.254.169.254", "10.0.0.0/8", False),
        ("localhost", "0.0.0.0/0", False),
    ],
)
def test_exactly_the_opened_networks_are_open(address: str, network: str, *, passes: bool) -> None:
    assert (denied(address, (ip_network(network),)) is None) is passes


def test_opened_tells_only_of_opened_networks() -> None:
    assert opened("10.0.0.7", (ip_network("10.0.0.0/8"),))
    assert not opened("8.8.8.8", (ip_network("10.0.0.0/8"),))
    assert not opened("8.8.8.8", ())


@given(st.ip_addresses())
def test_the_spelling_of_an_address_does_not_matter(address: object) -> None:
    parsed = ip_address(str(address))
    spellings = {str(parsed), parsed.exploded}
    if parsed.version == 4:
        spellings.add(f"::ffff:{parsed}")
    assert len({denied(spelling, ()) is None for spelling in spellings}) == 1


# --------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-LENGTH",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Expect",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
        "webhook-id",
        "Webhook-Signature",
        "",
        "X Y",
        "X:",
        "X\r\nY",
        "Ü",
        "X\x00",
        "X ",
    ],
)
def test_these_headers_are_not_the_users(name: str) -> None:
    assert header_problem(name, "x")


@pytest.mark.parametrize(
    "value", ["a\r\nb: c", "a\nb", "a\rb", "a\x00b", "a\x1fb", "a\x7fb", "é", "\u2028", " a", "a\t", "a" * 8193]
)
def test_these_values_cannot_be_sent(value: str) -> None:
    problem = header_problem("X-Key", value)
    assert problem
    assert value not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Key", "a b\tc"), ("Authorization", "Bearer x=="), ("user-agent", "x/1"), ("X-Empty", ""), ("X", "a" * 8192)],
)
def test_these_headers_can_be_sent(name: str, value: str) -> None:
    assert header_problem(name, value) is None


def test_equal_targets_are_equal() -> None:
    assert parse_target("http://a.example/x") == Target("http", "a.example", 80, "/x")


@pytest.mark.parametrize("name", ["X-Api-Key", "Authorization", "Cookie", "X-Auth", "X-SecretToken"])
def test_a_header_that_holds_a_secret_tells_so_by_its_name(name: str) -> None:
    assert tells_secret(name)


@pytest.mark.parametrize("name", ["X-Team", "Accept", "User-Agent"])
def test_other_headers_hold_none(name: str) -> None:
    assert not tells_secret(name)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com/a#b", "example.com"),
        ("https://user:pw@Example.com:8443/x?y", "example.com"),
        ("http://a@b@[::1]/", "::1"),
        ("/relative", None),
        ("", None),
        ("ftp://example.com/", None),
        ("http://exa mple/", None),
    ],
)
def test_the_host_of_a_url_whatever_else_is_in_it(url: str, host: str | None) -> None:
    assert host_of(url) == host
