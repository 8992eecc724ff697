"""A proxy's URL, taken apart."""

from __future__ import annotations

import pytest

from hookd.core.addresses import TargetInvalid
from hookd.core.proxies import parse_proxy

SECRET = "s3cr3tcanary"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128"),
        ("HTTPS://Proxy.Example", "https://proxy.example"),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        (f"http://me:{SECRET}@proxy:3128", "http://proxy:3128"),
    ],
)
def test_where_it_is(url: str, origin: str) -> None:
    assert parse_proxy(url).target.origin == origin


@pytest.mark.parametrize(
    ("credentials", "authorization", "password"),
    [
        ("", None, None),
        ("Aladdin:open%20sesame@", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "open sesame"),  # RFC 7617 section 2
        ("me@", "Basic bWU6", None),
        ("me:a:b@", "Basic bWU6YTpi", "a:b"),
        ("me:p%40s@", "Basic bWU6cEBz", "p@s"),
    ],
)
def test_who_we_are(credentials: str, authorization: str | None, password: str | None) -> None:
    proxy = parse_proxy(f"http://{credentials}proxy:3128")
    assert (proxy.authorization, proxy.password) == (authorization, password)


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "socks5://proxy:1080",
        "ftp://proxy",
        f"http://proxy/{SECRET}",
        f"http://proxy?{SECRET}",
        "http://proxy#x",
        "http://127.1:3128",
        "http://0x7f000001",
        "http://proxy:0",
        "http://",
        f"http://{SECRET}:x@",
        f"http://:{SECRET}@proxy",
        f"http://me@{SECRET}@proxy",
        f"http://me%3Ame:{SECRET}@proxy",
        f"http://me:{SECRET}%0d%0ax@proxy",
        f"http://me:{SECRET}%00@proxy",
        f"http://me:{SECRET}\u20ac@proxy",
        f"http://me:{SECRET}\r\n@proxy",
        "http://pro xy:3128",
    ],
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(TargetInvalid) as error:
        parse_proxy(url)
    assert SECRET not in str(error.value)


def test_nothing_secret_is_shown_in_a_repr() -> None:
    proxy = parse_proxy(f"http://me:{SECRET}@proxy:3128")
    assert SECRET not in repr(proxy)
    assert str(proxy.authorization) not in repr(proxy)
