"""Forward proxies: what they are told, what they may refuse, and who decides about addresses."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
import trio
import trustme

from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Response
from hookd.core.proxies import parse_proxy
from hookd.delivery.connect import TcpConnector
from hookd.delivery.httpcore_sender import open_httpcore_sender
from hookd.delivery.senders import open_senders
from tests.delivery.receivers import LOOPBACK, PATIENCE_S, behave, open_receiver, request_to
from tests.delivery.relays import context_of, open_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hookd.core.addresses import Target
    from hookd.core.config import Network
    from hookd.core.model import Outcome, Secret
    from hookd.delivery.connection import Connection
    from hookd.delivery.httpcore_sender import HttpcoreSender
    from hookd.delivery.sender import Progress
    from tests.delivery.receivers import Caller

SECRET = "s3cr3tcanary"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_path(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@asynccontextmanager
async def open_blind_sender() -> AsyncGenerator[HttpcoreSender]:
    """Give a sender that cannot look up anything: behind a proxy it never has to."""

    def refuse(host: str) -> tuple[str, ...]:
        raise AssertionError(f"{host} was looked up")

    async with open_httpcore_sender(TcpConnector(refuse)) as sender:
        yield sender


def failed(outcome: Outcome, cause: Cause, *, sent: bool) -> str:
    assert isinstance(outcome, NoResponse), outcome
    assert (outcome.cause, outcome.sent) == (cause, sent), outcome
    return outcome.detail


# --------------------------------------------------------------------------- what it is told


@pytest.mark.parametrize("secure", [False, True])
async def test_it_is_told_who_we_are_and_the_receiver_is_not(ca: trustme.CA, ca_path: str, *, secure: bool) -> None:
    context = context_of(ca.issue_cert("crm.example")) if secure else None
    async with open_receiver(behave, context) as receiver, open_proxy() as relay, open_blind_sender() as sender:
        proxy = parse_proxy(f"http://me:{SECRET}@{relay.authority}")
        request = request_to(receiver.url(host="crm.example"), proxy=proxy, tls=Tls(ca=ca_path) if secure else None)
        assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        (head,) = relay.heads
        lines = head.decode().lower().split("\r\n")
        assert proxy.authorization is not None
        assert f"proxy-authorization: {proxy.authorization}".lower() in lines
        if secure:
            assert lines[0] == f"connect crm.example:{receiver.port} http/1.1"
            assert b"webhook-id" not in head
            assert b"proxy-authorization" not in receiver.requests[0].lower()


async def test_an_address_of_version_6_is_written_in_brackets(ca: trustme.CA, ca_path: str) -> None:
    async with open_receiver(behave, context_of(ca.issue_cert("::1"))) as receiver, open_proxy() as relay:
        async with open_blind_sender() as sender:
            request = request_to(receiver.url(host="[::1]"), proxy=parse_proxy(relay.url), tls=Tls(ca=ca_path))
            assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        assert relay.heads[0].startswith(f"CONNECT [::1]:{receiver.port} HTTP/1.1\r\n".encode())


async def test_proxies_and_credentials_do_not_share_connections() -> None:
    async with open_receiver() as receiver, open_proxy() as one, open_proxy() as two, open_blind_sender() as sender:
        for url in (one.url, two.url, f"http://me@{one.authority}", one.url):
            request = request_to(receiver.url(host="crm.example"), proxy=parse_proxy(url))
            assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        assert (one.connections, two.connections) == (2, 1)


# --------------------------------------------------------------------------- addresses


async def test_the_proxy_decides_about_the_receiver() -> None:
    async with open_receiver() as receiver, open_proxy() as relay, open_blind_sender() as sender:
        # Only the proxy's own address is opened, and the receiver's is one that hookd would deny.
        request = request_to(
            receiver.url(host="10.9.8.7"), proxy=parse_proxy(relay.url), networks=(ip_network("127.0.0.1/32"),)
        )
        assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_at_a_denied_address_is_not_connected_to(scheme: str) -> None:
    async with open_receiver() as receiver, open_proxy() as relay, open_blind_sender() as sender:
        request = request_to(f"{scheme}://crm.example:{receiver.port}/", proxy=parse_proxy(relay.url), networks=())
        detail = failed((await sender.send(request, PATIENCE_S)).outcome, Cause.BLOCKED_ADDRESS, sent=False)
        assert (relay.connections, receiver.connections) == (0, 0)
    assert detail == "the proxy: 127.0.0.1 is loopback; allow_networks opens it"


# --------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        (
            f"HTTP/1.1 403 {SECRET}\r\ncontent-length: 2\r\n\r\nno".encode(),
            "the proxy refused the tunnel with status 403",
        ),
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "the proxy refused the tunnel with status 407",
        ),
        (b"", "the proxy gave no proper answer to CONNECT"),
        (b"SSH-2.0-OpenSSH\r\n", "the proxy gave no proper answer to CONNECT"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "the proxy gave no proper answer to CONNECT"),
    ],
)
async def test_a_tunnel_that_is_refused(refusal: bytes, detail: str) -> None:
    async with open_proxy(refusal=refusal) as relay, open_blind_sender() as sender:
        request = request_to("https://crm.example/", proxy=parse_proxy(relay.url))
        for _ in range(3):
            assert failed((await sender.send(request, PATIENCE_S)).outcome, Cause.CONNECT_FAILED, sent=False) == detail
        assert all(not client.backend._open for client in sender._clients.values())


async def test_what_a_plain_proxy_says_is_the_response() -> None:
    refusal = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno"
    async with open_proxy(refusal=refusal) as relay, open_blind_sender() as sender:
        outcome = (
            await sender.send(request_to("http://crm.example/", proxy=parse_proxy(relay.url)), PATIENCE_S)
        ).outcome
    assert outcome == Response(status=502, headers=(("content-length", "2"),), body=b"no")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(scheme: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # so that nobody else can listen there
        port = nobody.getsockname()[1]
        async with open_blind_sender() as sender:
            proxy = parse_proxy(f"http://me:{SECRET}@127.0.0.1:{port}")
            sent = await sender.send(request_to(f"{scheme}://crm.example/?{SECRET}", proxy=proxy), PATIENCE_S)
    detail = failed(sent.outcome, Cause.CONNECT_REFUSED, sent=False)
    assert detail == f"the proxy: 127.0.0.1:{port}: connection refused"


async def hang(caller: Caller) -> None:
    while await caller.stream.receive_some(65536):
        pass


async def test_a_proxy_that_hangs() -> None:
    async with open_receiver(hang) as relay, open_blind_sender() as sender:
        proxy = parse_proxy(relay.url(""))
        sent = await sender.send(request_to("https://crm.example/", proxy=proxy), 0.3)
        detail = failed(sent.outcome, Cause.CONNECT_TIMEOUT, sent=False)
    assert detail == "the tunnel through the proxy did not end within 0.3 s"


async def test_a_proxy_that_is_not_to_be_trusted(ca_path: str) -> None:
    strange = context_of(trustme.CA().issue_cert("127.0.0.1"))
    async with open_proxy(tls=strange) as relay, open_blind_sender() as sender:
        request = request_to("https://crm.example/", proxy=parse_proxy(relay.url), tls=Tls(ca=ca_path))
        detail = failed((await sender.send(request, PATIENCE_S)).outcome, Cause.TLS, sent=False)
    assert detail == "the proxy: certificate verify failed: unable to get local issuer certificate"


# --------------------------------------------------------------------------- the choice


async def test_each_request_goes_to_the_sender_that_can_make_it() -> None:
    async with open_receiver() as receiver, open_proxy() as relay, open_senders() as sender:
        proxied = request_to(receiver.url(host="crm.example"), proxy=parse_proxy(relay.url))
        direct = request_to(receiver.url(), http2=True)
        for request in (proxied, direct):
            assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        assert (relay.connections, receiver.connections) == (1, 2)


class Elsewhere:
    """A connector that sends every host to one place, as the demo's does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._real = TcpConnector()

    async def connect(
        self,
        target: Target,  # noqa: ARG002  every host
        networks: tuple[Network, ...],  # noqa: ARG002
        tls: Tls | None,  # noqa: ARG002
        tls_key: Secret | None,  # noqa: ARG002
        progress: Progress,
    ) -> Connection:
        here = request_to(f"http://127.0.0.1:{self._port}/").head.target
        return await self._real.connect(here, LOOPBACK, None, None, progress)


async def test_no_proxy_and_no_http2_leads_past_a_connector_that_was_given() -> None:
    async with open_receiver() as receiver, open_proxy() as relay, open_senders(Elsewhere(receiver.port)) as sender:
        for request in (
            request_to("https://crm.example/", proxy=parse_proxy(relay.url)),
            request_to("https://crm.example/", http2=True),
        ):
            assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        assert (relay.connections, len(receiver.requests)) == (0, 2)


async def test_a_hanging_proxy_harms_no_other_request() -> None:
    async with (
        open_receiver(hang) as hung,
        open_receiver() as receiver,
        open_proxy() as relay,
        open_blind_sender() as sender,
        trio.open_nursery() as nursery,
    ):
        stuck = request_to("https://crm.example/", proxy=parse_proxy(hung.url("")))
        for _ in range(100):
            nursery.start_soon(sender.send, stuck, 60)
        request = request_to(receiver.url(host="crm.example"), proxy=parse_proxy(relay.url))
        with trio.fail_after(PATIENCE_S):
            for _ in range(10):
                assert isinstance((await sender.send(request, PATIENCE_S)).outcome, Response)
        nursery.cancel_scope.cancel()
