"""TLS: whom we trust, who we say we are, and what is said when it fails."""

from __future__ import annotations

import os
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Response, Secret
from hookd.delivery import trust
from hookd.delivery.connect import TcpConnector
from hookd.delivery.http1 import open_sender
from hookd.delivery.sender import ConnectFailed
from hookd.delivery.trust import Contexts
from tests.delivery.receivers import OK, PATIENCE_S, answering, behave, open_receiver, request_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hookd.core.model import Outcome
    from hookd.delivery.sender import Sent
    from tests.delivery.receivers import Caller, Script


def locked_key() -> bytes:
    """Make a key behind a password, for which OpenSSL would ask at the terminal."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )


LONG_AGO = datetime.now(UTC) - timedelta(days=30)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_path(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def send(
    context: ssl.SSLContext | None,
    tls: Tls | None,
    *,
    script: Script = behave,
    host: str = "crm.example",
    tls_key: Secret | None = None,
    limit: float = PATIENCE_S,
) -> Outcome:
    async with (
        open_receiver(script, context) as receiver,
        open_sender(TcpConnector(lambda _: ("127.0.0.1",))) as sender,
    ):
        url = f"https://{host}:{receiver.port}/hooks?s3cr3tcanary"
        outcome = (await sender.send(request_to(url, tls=tls, tls_key=tls_key), limit)).outcome
    assert "s3cr3tcanary" not in repr(outcome)
    return outcome


async def test_a_trusted_receiver_gets_requests_over_one_connection(ca: trustme.CA, ca_path: str) -> None:
    names: list[str | None] = []
    context = server_context(ca.issue_cert("crm.example"))
    context.sni_callback = lambda _, name, __: names.append(name)
    async with (
        open_receiver(behave, context) as receiver,
        open_sender(TcpConnector(lambda _: ("127.0.0.1",))) as sender,
    ):
        url = f"https://crm.example:{receiver.port}/hooks"
        body = os.urandom(1_000_000)
        sent: list[Sent] = [
            await sender.send(request_to(url, tls=Tls(ca=ca_path), body=each), PATIENCE_S)
            for each in (b"1", body, b"3")
        ]
        assert [each.outcome for each in sent] == [
            Response(status=200, headers=(("content-length", "2"),), body=b"ok")
        ] * 3
        assert receiver.connections == 1
        assert receiver.requests[1].endswith(body)
        assert f"host: crm.example:{receiver.port}\r\n".encode() in receiver.requests[0]
    assert names == ["crm.example"]
    assert sent[0].phases.tls_ms is not None
    assert sent[0].phases.dns_ms is not None
    assert sent[1].phases.tls_ms is None


async def test_an_address_is_verified_too(ca: trustme.CA, ca_path: str) -> None:
    context = server_context(ca.issue_cert("127.0.0.1"))
    assert isinstance(await send(context, Tls(ca=ca_path), host="127.0.0.1"), Response)


async def test_a_body_that_ends_without_a_goodbye_is_whole(ca: trustme.CA, ca_path: str) -> None:
    context = server_context(ca.issue_cert("crm.example"))
    script = answering(b"HTTP/1.1 200 OK\r\n\r\nto the end")
    outcome = await send(context, Tls(ca=ca_path), script=script)
    assert outcome == Response(status=200, body=b"to the end")


def self_signed() -> ssl.SSLContext:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with ca.cert_pem.tempfile() as certificate, ca.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


def old_protocol(ca: trustme.CA) -> ssl.SSLContext:
    context = server_context(ca.issue_cert("crm.example"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def expired(ca: trustme.CA) -> ssl.SSLContext:
    return server_context(ca.issue_cert("crm.example", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1)))


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("self-signed", "certificate verify failed: self-signed certificate"),
        ("unknown", "certificate verify failed: unable to get local issuer certificate"),
        ("expired", "certificate verify failed: certificate has expired"),
        ("other name", "certificate verify failed: Hostname mismatch, certificate is not valid for 'crm.example'"),
        ("old", "during the TLS handshake"),
    ],
)
async def test_a_receiver_that_is_not_to_be_trusted(ca: trustme.CA, ca_path: str, kind: str, detail: str) -> None:
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "self-signed": self_signed,
        "unknown": lambda: server_context(trustme.CA().issue_cert("crm.example")),
        "expired": lambda: expired(ca),
        "other name": lambda: server_context(ca.issue_cert("other.example")),
        "old": lambda: old_protocol(ca),
    }
    outcome = await send(contexts[kind](), Tls(ca=ca_path))
    assert isinstance(outcome, NoResponse)
    assert (outcome.cause, outcome.sent) == (Cause.TLS, False)
    assert detail in outcome.detail


async def test_the_system_does_not_trust_a_private_authority(ca: trustme.CA) -> None:
    outcome = await send(server_context(ca.issue_cert("crm.example")), None)
    assert isinstance(outcome, NoResponse)
    assert (outcome.cause, outcome.sent) == (Cause.TLS, False)


async def speak_http(caller: Caller) -> None:
    await caller.stream.receive_some(65536)
    await caller.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def close_in_the_handshake(caller: Caller) -> None:
    await caller.stream.receive_some(65536)


async def reset_in_the_handshake(caller: Caller) -> None:
    await caller.stream.receive_some(65536)
    await caller.reset()


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (speak_http, "wrong version number"),
        (close_in_the_handshake, "the connection was closed during the TLS handshake"),
        (reset_in_the_handshake, "the connection was closed during the TLS handshake"),
    ],
)
async def test_a_handshake_that_fails(script: Script, detail: str) -> None:
    outcome = await send(None, None, script=script)
    assert isinstance(outcome, NoResponse)
    assert (outcome.cause, outcome.sent, outcome.detail) == (Cause.TLS, False, detail)


async def test_a_handshake_that_hangs() -> None:
    async def hang(_: Caller) -> None:
        await trio.sleep_forever()

    outcome = await send(None, None, script=hang, limit=2)
    assert isinstance(outcome, NoResponse)
    assert (outcome.cause, outcome.sent) == (Cause.CONNECT_TIMEOUT, False)
    assert outcome.detail.startswith("the TLS handshake with crm.example:")
    assert outcome.detail.endswith(" did not end within 2 s")


# --------------------------------------------------------------------------- client certificates


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_may_ask_who_we_are(
    ca: trustme.CA, ca_path: str, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = server_context(ca.issue_cert("crm.example"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    ca.configure_trust(context)
    ours = ca.issue_cert("hookd.example")
    whole, public = tmp_path / "whole.pem", tmp_path / "public.pem"
    ours.private_key_and_cert_chain_pem.write_to_path(str(whole))
    ours.cert_chain_pems[0].write_to_path(str(public))
    key = Secret(ours.private_key_pem.bytes().decode())
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count is all that is wanted

    one_file = await send(context, Tls(ca=ca_path, certificate=str(whole)))
    with_key = await send(context, Tls(ca=ca_path, certificate=str(public)), tls_key=key)
    assert isinstance(one_file, Response)
    assert isinstance(with_key, Response)

    nobody = await send(context, Tls(ca=ca_path))
    assert isinstance(nobody, NoResponse)
    assert nobody.cause in {Cause.TLS, Cause.RESET}
    # With TLS 1.3 the receiver judges us after our first bytes have left.
    assert nobody.sent is (version is ssl.TLSVersion.TLSv1_3)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  the same


@pytest.mark.parametrize(
    ("tls", "key", "detail"),
    [
        (Tls(ca="/nowhere/ca.pem"), None, "the trusted certificates cannot be read: No such file or directory"),
        (Tls(certificate="/nowhere/me.pem"), None, "the client certificate cannot be used: No such file or directory"),
        (Tls(ca="{tmp}/junk.pem"), None, "the trusted certificates cannot be read: no certificate or crl found"),
        (Tls(certificate="{tmp}/junk.pem"), None, "the client certificate cannot be used: "),
        (Tls(certificate="{tmp}/public.pem"), Secret("s3cr3tcanary"), "the client certificate cannot be used: "),
        (Tls(certificate="{tmp}/locked.pem"), None, "the client certificate cannot be used: "),
    ],
)
async def test_files_that_make_no_context(
    ca: trustme.CA, tmp_path: Path, tls: Tls, key: Secret | None, detail: str
) -> None:
    (tmp_path / "junk.pem").write_text("s3cr3tcanary")
    ours = ca.issue_cert("hookd.example")
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "public.pem"))
    (tmp_path / "locked.pem").write_bytes(ours.cert_chain_pems[0].bytes() + locked_key())
    filled = Tls(
        ca=tls.ca and tls.ca.format(tmp=tmp_path), certificate=tls.certificate and tls.certificate.format(tmp=tmp_path)
    )
    with pytest.raises(ConnectFailed) as failure:
        await Contexts().context(filled, key)
    assert failure.value.cause is Cause.TLS
    assert failure.value.detail.startswith(detail)
    assert "s3cr3tcanary" not in failure.value.detail


async def test_a_context_is_shared_until_its_files_change(
    tmp_path: Path, ca_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "CHECK_SECONDS", 0)
    contexts = Contexts()
    system = await contexts.context(None, None)
    private = await contexts.context(Tls(ca=ca_path), None)
    assert await contexts.context(None, None) is system
    assert await contexts.context(Tls(ca=ca_path), None) is private
    assert private is not system
    other = tmp_path / "new.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    other.rename(ca_path)
    renewed = await contexts.context(Tls(ca=ca_path), None)
    assert renewed is not private
    assert await contexts.context(Tls(ca=ca_path), None) is renewed


async def test_verification_cannot_be_off() -> None:
    context = await Contexts().context(None, None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_receiver_that_answers_in_pieces_is_read_whole(ca: trustme.CA, ca_path: str) -> None:
    context = server_context(ca.issue_cert("crm.example"))
    body = os.urandom(60_000)
    script = answering(
        b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n",
        *(body[at : at + 7000] for at in range(0, 60_000, 7000)),
        OK,
    )
    outcome = await send(context, Tls(ca=ca_path), script=script)
    assert isinstance(outcome, Response)
    assert (outcome.body, outcome.truncated) == (body, False)
