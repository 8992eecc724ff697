"""Receivers that hang, drip, flood, lie and break off: each attempt ends in time, with its cause, and frees its slot.

One daemon sends to all of them at once, one slot each, twice: the second attempt of a webhook shows that the first
has let go of its slot.
"""

from __future__ import annotations

import os
import random
import ssl
import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trustme

from tests.delivery.receivers import OK, Caller
from tests.e2e.hostile import (
    MEBIBYTE,
    Peak,
    Street,
    answer,
    attempts_of,
    drip,
    full_listener,
    gzip_bomb,
    hang,
    ignore,
    keep_then_close,
    open_sockets,
    poison,
    repeat,
    resident_bytes,
    say,
    until,
)
from tests.e2e.house import Daemon, write_config
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.hostile import Manner

pytestmark = pytest.mark.faults

#: The deadline of an attempt that hangs until it strikes, and how late it may, in seconds.
TIMEOUT_S = 2.0
LATE_S = 0.5
#: That of any other, and within what it is over: what it comes to is no matter of the machine's speed.
ENOUGH_S = 15.0
SOON_S = 1.0

DELIVERED = ("delivered", None)
STATUS = ("rejected", "status")
REDIRECT = ("rejected", "redirect")
MALFORMED = ("unknown", "response_malformed")
TIMED_OUT = ("unknown", "timeout")
RESET = ("unknown", "reset")
NO_CONNECTION = ("not_sent", "connect_timeout")
NO_TLS = ("not_sent", "tls")


@dataclass(frozen=True)
class Case:
    """A manner, and what the attempt must come to, between `least` and `most` seconds. `None`: no manner of ours."""

    manner: Manner | None
    outcome: tuple[str, str | None]
    status: int | None = None
    least: float = 0.0
    most: float = SOON_S
    detail: str = ""
    tls: str = ""
    http2: bool = False
    events: tuple[str, ...] = ("small",)
    timeout: float = TIMEOUT_S
    second: tuple[tuple[str, str | None], int | None] | None = None  # where the second attempt differs


def ends_at_deadline(manner: Manner | None, outcome: tuple[str, str | None], **more: Any) -> Case:
    return Case(manner, outcome, least=TIMEOUT_S - 0.05, most=TIMEOUT_S, **more)


CUT_200 = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
CUT_500 = b"HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\nhalf"
NOISE = random.Random(20261121).randbytes(4096).replace(b"HTTP", b"....")
LONG = b"x-long: " + b"l" * 200_000 + b"\r\n"
MANY = b"".join(b"x-%d: %s\r\n" % (n, b"m" * 90) for n in range(2000))
UNDER = b"".join(b"x-%d: %s\r\n" % (n, b"m" * 90) for n in range(500))
CHUNKED_200 = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

POISONED = threading.Event()

# Frames of HTTP/2 (RFC 9113 section 4.1): length, type, flags, stream.
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
PING = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)
HEADERS = b"\0\0\x01\x01\0\0\0\0\x01\x88"
CONTINUATION = b"\0\x40\0\x09\0\0\0\0\x01" + (b"\0\x01x\x01y" * 4096)[:16384]


def flood(start: bytes, part: bytes | None = None) -> Manner:
    """Say the same frames again and again, asked or not."""

    async def manner(caller: Caller) -> None:
        await caller.write(start)
        while True:
            await trio.lowlevel.checkpoint()
            await caller.write((part or start) * 100 if len(part or start) < 100 else part or start)

    return manner


CASES: dict[str, Case] = {
    # ---- no connection
    "connect-hangs": ends_at_deadline(None, NO_CONNECTION, detail="connecting to"),
    "connect-refused": Case(None, ("not_sent", "connect_refused"), most=0.5),
    # ---- no TLS
    "tls-hangs": ends_at_deadline(hang, NO_CONNECTION, tls="none", detail="TLS handshake"),
    "tls-drips": ends_at_deadline(
        drip(b"\x16\x03\x03\x40\x00\x02", b"\x00", 0.1), NO_CONNECTION, tls="raw", detail="TLS handshake"
    ),
    "tls-is-http": Case(say(OK, read=False), NO_TLS, tls="none", most=0.5),
    "tls-closes": Case(say(read=False), NO_TLS, tls="none", most=0.5),
    "tls-resets": Case(say(b"\x16\x03\x03", read=False, then="reset"), NO_TLS, tls="none", most=0.7),
    "tls-wrong-host": Case(say(OK), NO_TLS, tls="wrong-host", detail="mismatch"),
    "tls-expired": Case(say(OK), NO_TLS, tls="expired", detail="expired"),
    "tls-unknown-ca": Case(say(OK), NO_TLS, tls="unknown-ca", detail="unable to get local issuer"),
    "tls-old": Case(say(OK), NO_TLS, tls="old"),
    "tls-good": Case(say(OK), DELIVERED, 200, tls="good"),
    "tls-good-hangs": ends_at_deadline(hang, TIMED_OUT, tls="good"),
    "tls-good-cut": Case(say(CUT_200), DELIVERED, 200, tls="good"),
    # ---- hanging and dripping
    "hangs": ends_at_deadline(hang, TIMED_OUT, detail="no response"),
    "does-not-read": ends_at_deadline(ignore, TIMED_OUT, events=("large",)),
    "answers-unread": Case(
        say(answer(413, b"connection: close\r\n"), read=False, then="ignore"), STATUS, 413, events=("large",)
    ),
    "status-drips": ends_at_deadline(drip(b"HTTP/1.1 2", b"0", 1.2), TIMED_OUT, detail="the head of the response"),
    "status-never-ends": Case(drip(b"HTTP/1.1 2", b"0", 0.1), MALFORMED),
    "reason-drips": ends_at_deadline(drip(b"HTTP/1.1 200 O", b"K", 0.1), TIMED_OUT, detail="the head of the response"),
    "headers-drip": ends_at_deadline(
        drip(b"HTTP/1.1 200 OK\r\n", b"x-header: value\r\n", 0.02), TIMED_OUT, detail="the head of the response"
    ),
    "body-drips": ends_at_deadline(drip(CUT_200, b".", 0.1), DELIVERED, status=200),
    "body-drips-long": Case(drip(CUT_200, b".", 0.2), DELIVERED, 200, least=1.9, most=2.1, timeout=9.0),
    "body-of-500-drips": ends_at_deadline(drip(CUT_500, b".", 0.1), STATUS, status=500),
    "chunks-drip": ends_at_deadline(drip(CHUNKED_200, b"1\r\n.\r\n", 0.1), DELIVERED, status=200),
    "100-drips": ends_at_deadline(repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.5), TIMED_OUT),
    # ---- flooding
    "100-floods": Case(repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), MALFORMED, detail="interim"),
    "103-floods": Case(repeat(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), MALFORMED, detail="interim"),
    "body-floods": Case(repeat(b"HTTP/1.1 200 OK\r\n\r\n", b"f" * 65536), DELIVERED, 200),
    "body-of-404-floods": Case(repeat(b"HTTP/1.1 404 No\r\n\r\n", b"f" * 65536), STATUS, 404),
    "chunks-flood": Case(repeat(CHUNKED_200, b"8000\r\n" + b"f" * 0x8000 + b"\r\n"), DELIVERED, 200),
    "trailers-flood": Case(repeat(CHUNKED_200 + b"0\r\n", b"x-trailer: value\r\n" * 100), DELIVERED, 200),
    "headers-flood": Case(repeat(b"HTTP/1.1 200 OK\r\n", MANY), MALFORMED, detail="64 KiB"),
    "one-header-floods": Case(repeat(b"HTTP/1.1 200 OK\r\nx: ", b"f" * 65536), MALFORMED, detail="64 KiB"),
    "noise-floods": Case(repeat(b"", NOISE), MALFORMED),
    "line-floods": Case(repeat(b"HTTP/1.1 200 ", b"O" * 65536), MALFORMED, detail="64 KiB"),
    "gzip-bomb": Case(say(gzip_bomb()), DELIVERED, 200),
    "long-header": Case(say(b"HTTP/1.1 200 OK\r\n", LONG, b"\r\n"), MALFORMED, detail="64 KiB"),
    "many-headers": Case(say(b"HTTP/1.1 200 OK\r\n", MANY, b"\r\n"), MALFORMED, detail="64 KiB"),
    "headers-below-the-limit": Case(say(b"HTTP/1.1 200 OK\r\n" + UNDER + b"content-length: 0\r\n\r\n"), DELIVERED, 200),
    # ---- two answers
    "two-responses": Case(say(answer(200) + answer(500)), DELIVERED, 200),
    "two-responses-worse-first": Case(say(answer(500) + answer(200)), STATUS, 500),
    "more-than-its-length": Case(say(answer(200) + b"surplus", then="wait"), DELIVERED, 200),
    "answers-once-too-often": Case(poison(POISONED), DELIVERED, 200, second=(STATUS, 409)),
    # ---- no HTTP
    "noise": Case(say(NOISE), MALFORMED),
    "nulls": Case(say(bytes(1000)), MALFORMED),
    "http-0.9": Case(say(b"<html>OK</html>"), MALFORMED),
    "http-2": Case(say(b"HTTP/2.0 200 OK\r\n\r\n"), MALFORMED),
    "h2-frames": Case(say(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)), MALFORMED),
    "ssh": Case(say(b"SSH-2.0-OpenSSH_9.2\r\n"), MALFORMED),
    "tls-alert": Case(say(b"\x15\x03\x01\x00\x02\x02\x16"), MALFORMED),
    "status-999": Case(say(answer(999)), MALFORMED),
    "status-099": Case(say(b"HTTP/1.1 099 X\r\n\r\n"), MALFORMED),
    "status-000": Case(say(b"HTTP/1.1 000 X\r\n\r\n"), MALFORMED),
    "status-20": Case(say(b"HTTP/1.1 20 OK\r\n\r\n"), MALFORMED),
    "status-2000": Case(say(b"HTTP/1.1 2000 OK\r\n\r\n"), MALFORMED),
    "status-minus": Case(say(b"HTTP/1.1 -200 OK\r\n\r\n"), MALFORMED),
    "status-101": Case(say(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"), MALFORMED),
    "length-negative": Case(say(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), MALFORMED),
    "length-huge": Case(say(b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 40 + b"\r\n\r\n"), MALFORMED),
    "lengths-differ": Case(say(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"), MALFORMED),
    "chunk-size-junk": Case(say(CHUNKED_200 + b"zz\r\nx\r\n"), DELIVERED, 200),
    "204-with-a-body": Case(say(b"HTTP/1.1 204 No\r\n\r\nsurplus"), DELIVERED, 204),
    # ---- breaking off at every stage
    "closes-at-once": Case(say(read=False), RESET),
    "resets-at-once": Case(say(read=False, then="reset"), RESET),
    "closes-after-request": Case(say(), RESET, detail="before a response"),
    "resets-after-request": Case(say(then="reset"), RESET, detail="before a response"),
    "closes-after-a-byte": Case(say(b"H"), RESET, detail="inside the head"),
    "resets-after-a-byte": Case(say(b"H", then="reset"), RESET, detail="inside the head"),
    "closes-in-status": Case(say(b"HTTP/1.1 200"), RESET, detail="inside the head"),
    "closes-after-status": Case(say(b"HTTP/1.1 200 OK\r\n"), RESET, detail="inside the head"),
    "closes-in-headers": Case(say(b"HTTP/1.1 200 OK\r\nx: y\r\nz"), RESET, detail="inside the head"),
    "closes-after-100": Case(say(b"HTTP/1.1 100 Continue\r\n\r\n"), RESET),
    "closes-in-body": Case(say(CUT_200), DELIVERED, 200),
    "resets-in-body": Case(say(CUT_200, then="reset"), DELIVERED, 200),
    "closes-in-body-of-500": Case(say(CUT_500), STATUS, 500),
    "closes-in-chunk": Case(say(CHUNKED_200 + b"10\r\nhalf"), DELIVERED, 200),
    "closes-when-reused": Case(keep_then_close, DELIVERED, 200),
    # ---- the sender for HTTP/2, when it gets HTTP/1.1 after all
    "2-tls-hangs": ends_at_deadline(hang, NO_CONNECTION, tls="none", http2=True),
    "2-wrong-host": Case(say(OK), NO_TLS, tls="wrong-host", detail="mismatch", http2=True),
    "2-good": Case(say(OK), DELIVERED, 200, tls="good", http2=True),
    "2-hangs": ends_at_deadline(hang, TIMED_OUT, tls="good", http2=True),
    "2-headers-drip": ends_at_deadline(
        drip(b"HTTP/1.1 200 OK\r\n", b"x-header: value\r\n", 0.02), TIMED_OUT, tls="good", http2=True
    ),
    "2-body-drips": ends_at_deadline(drip(CUT_200, b".", 0.1), DELIVERED, status=200, tls="good", http2=True),
    "2-body-floods": Case(repeat(b"HTTP/1.1 200 OK\r\n\r\n", b"f" * 65536), DELIVERED, 200, tls="good", http2=True),
    "2-trailers-flood": Case(
        repeat(CHUNKED_200 + b"0\r\n", b"x-trailer: value\r\n" * 100), DELIVERED, 200, tls="good", http2=True
    ),
    "2-100-floods": Case(repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), MALFORMED, tls="good", http2=True),
    "2-headers-flood": Case(repeat(b"HTTP/1.1 200 OK\r\n", MANY), MALFORMED, tls="good", http2=True),
    "2-one-header-floods": Case(repeat(b"HTTP/1.1 200 OK\r\nx: ", b"f" * 65536), MALFORMED, tls="good", http2=True),
    "2-gzip-bomb": Case(say(gzip_bomb()), DELIVERED, 200, tls="good", http2=True),
    "2-two-responses": Case(say(answer(200) + answer(500)), DELIVERED, 200, tls="good", http2=True),
    "2-noise": Case(say(NOISE), MALFORMED, tls="good", http2=True),
    "2-status-999": Case(say(answer(999)), MALFORMED, tls="good", http2=True),
    "2-status-101": Case(
        say(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
        MALFORMED,
        tls="good",
        http2=True,
    ),
    "2-closes": Case(say(), RESET, tls="good", http2=True),
    "2-cut": Case(say(CUT_200), DELIVERED, 200, tls="good", http2=True),
    # ---- HTTP/2 that is none
    "h2-hangs": ends_at_deadline(hang, TIMED_OUT, tls="h2", http2=True),
    "h2-noise": Case(say(NOISE, read=False, then="wait"), MALFORMED, tls="h2", http2=True),
    "h2-is-http-1": Case(say(OK, read=False, then="wait"), MALFORMED, tls="h2", http2=True),
    "h2-data-first": Case(say(b"\0\0\1\0\0\0\0\0\0x", read=False, then="wait"), MALFORMED, tls="h2", http2=True),
    "h2-frame-floods": Case(flood(b"\xff\xff\xff\0\0\0\0\0\1", bytes(65536)), MALFORMED, tls="h2", http2=True),
    "h2-closes": Case(say(SETTINGS, read=False), RESET, tls="h2", http2=True),
    "h2-goes-away": Case(say(SETTINGS + GOAWAY, read=False), RESET, tls="h2", http2=True),
    "h2-settings-flood": ends_at_deadline(flood(SETTINGS), TIMED_OUT, tls="h2", http2=True),
    "h2-pings-flood": ends_at_deadline(flood(SETTINGS, PING), TIMED_OUT, tls="h2", http2=True),
    "h2-headers-flood": Case(flood(SETTINGS + HEADERS, CONTINUATION), MALFORMED, tls="h2", http2=True),
    # ---- redirects
    "redirects-to-itself": Case(say(answer(307, b"location: /again\r\n")), REDIRECT, 307),
    "redirects-to-metadata": Case(say(answer(302, b"location: http://169.254.169.254/latest\r\n")), REDIRECT, 302),
    "redirects-to-a-file": Case(say(answer(308, b"location: file:///etc/passwd\r\n")), REDIRECT, 308),
    "not-modified": Case(say(b"HTTP/1.1 304 No\r\n\r\n"), REDIRECT, 304),
}

FLOODS = ("gzip-bomb", "body-floods", "body-of-404-floods", "chunks-flood", "trailers-flood")
HEALTHY = "healthy"


@dataclass
class Run:
    """What was seen of the daemon."""

    daemon: Daemon
    street: Street
    lines: list[dict[str, Any]] = field(default_factory=list)
    peak: int = 0
    before: int = 0
    sockets: int = 0
    sockets_before: int = 0
    held_up: float = 0.0  # seconds for which the machine had no core for the daemon, or for the receivers
    floods: list[int] = field(default_factory=list)  # resident bytes, before and after each round
    flood_peak: int = 0


def make_contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """Give the servers' TLS by name; what the daemon trusts is written to `ca.pem`."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    longago = datetime(2020, 1, 1, tzinfo=UTC)
    certificates = {
        "good": authority.issue_cert("127.0.0.1"),
        "old": authority.issue_cert("127.0.0.1"),
        "h2": authority.issue_cert("127.0.0.1"),
        "wrong-host": authority.issue_cert("127.0.0.2", "elsewhere.example"),
        "unknown-ca": other.issue_cert("127.0.0.1"),
        "expired": authority.issue_cert("127.0.0.1", not_before=longago, not_after=longago.replace(year=2021)),
    }
    contexts = {}
    for name, certificate in certificates.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if name == "old":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        if name == "h2":
            context.set_alpn_protocols(["h2"])
        contexts[name] = context
    return contexts


def webhook_yaml(name: str, case: Case, url: str) -> str:
    tls = "\n    tls: {ca: ca.pem}" if case.tls else ""
    tls += "\n    http2: true" if case.http2 else ""
    events = ", ".join((*case.events, "flood") if name in FLOODS else case.events)
    return f"""
  {name}:
    url: {url}
    allow_networks: [127.0.0.0/8]
    events: [{events}]
    timeout: {case.timeout if case.least else ENOUGH_S:g}s
    concurrency: 1
    retry: {{schedule: []}}{tls}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Send to all of them twice, and to those that flood ten times more."""
    folder = tmp_path_factory.mktemp("hostile")
    contexts = make_contexts(folder)
    manners = {name: case.manner for name, case in CASES.items() if case.manner is not None} | {HEALTHY: say(OK)}
    tls = {name: contexts[case.tls] for name, case in CASES.items() if case.tls in contexts}
    with ExitStack() as opened:
        street = Street(manners, tls)
        opened.callback(street.close)
        urls = {name: street[name].url().replace("https:", "http:") for name in manners}
        urls["connect-hangs"] = f"http://127.0.0.1:{opened.enter_context(full_listener())}/"
        urls["connect-refused"] = "http://127.0.0.1:9/"
        for name, case in CASES.items():
            if case.tls:
                urls[name] = urls[name].replace("http:", "https:")
        cases = {HEALTHY: Case(None, DELIVERED, 200, events=("small", "large")), **CASES}
        text = "webhooks:" + "".join(webhook_yaml(name, case, urls[name]) for name, case in cases.items())
        daemon = Daemon(write_config(folder, text))
        opened.callback(daemon.close)
        daemon.start()
        assert daemon.process is not None
        yield watch(Run(daemon, street), daemon.process.pid, len(cases))


def watch(run: Run, pid: int, count: int) -> Run:
    daemon = run.daemon
    run.before, run.sockets_before = resident_bytes(pid), open_sockets(pid)
    peak = Peak(pid)
    stopwatch = Stopwatch(pid, os.getpid())
    for number in (1, 2):
        small = {"type": "small", "data": {"n": number}}
        large = {"type": "large", "data": {"n": number, "pad": "p" * 900_000}}
        assert [reply["status"] for reply in daemon.send(small, large)] == ["accepted", "accepted"]

        def all_came(wanted: int = number * (count + 1)) -> bool:
            return [line["msg"] for line in list(daemon.lines)].count("delivery.attempted") >= wanted

        until(all_came, "not every webhook was attempted")
        if number == 1:
            POISONED.set()
            until(lambda: hasattr(run.street["answers-once-too-often"], "poisoned"), "no second answer")
    run.held_up = stopwatch.held_up()
    run.lines = list(daemon.lines)
    run.peak = peak.stop()
    peak = Peak(pid)
    for number in range(10):
        run.floods.append(resident_bytes(pid))
        mark = len(daemon.lines)
        daemon.send({"type": "flood", "data": number})
        for name in FLOODS:
            daemon.wait_line("delivery.attempted", since=mark, webhook=name)
    run.floods.append(resident_bytes(pid))
    run.flood_peak = peak.stop()
    until(lambda: open_sockets(pid) <= run.sockets_before + 2, "connections are left open", timeout=10)
    run.sockets = open_sockets(pid)
    return run


@pytest.mark.parametrize("name", CASES)
def test_the_attempt_ends_in_time_with_its_cause(run: Run, name: str) -> None:
    case = CASES[name]
    lines = attempts_of(run.lines, name)
    assert len(lines) == 2, lines
    wanted = [(case.outcome, case.status), case.second or (case.outcome, case.status)]
    # Where the machine had no core for them, the deadline may have come before there was a connection, or a head.
    starved = case.least > 0 and run.held_up > TIMEOUT_S / 2
    for line, want in zip(lines, wanted, strict=True):
        if starved and line["cause"] in {"timeout", "connect_timeout"}:
            continue
        assert ((line["outcome"], line["cause"]), line["status"]) == want, lines
        assert line["attempt"] == 1
        assert case.least <= line["duration_ms"] / 1000 <= case.most + LATE_S + run.held_up, (line, run.held_up)
        assert starved or case.detail in (line.get("detail") or ""), line


def test_a_healthy_webhook_does_not_notice(run: Run) -> None:
    lines = attempts_of(run.lines, HEALTHY)
    assert [line["outcome"] for line in lines] == ["delivered"] * 4


def test_memory_is_bounded(run: Run) -> None:
    # All of them at once, with a megabyte each to send for some. And then the floods again and again.
    assert run.peak - run.before < 48 * MEBIBYTE
    assert run.floods[-1] - run.floods[2] < 5 * MEBIBYTE, run.floods
    assert run.flood_peak - run.floods[0] < 8 * MEBIBYTE


def test_what_floods_is_not_read_on(run: Run) -> None:
    for name in FLOODS:
        receiver = run.street[name]
        # What the kernel's buffers take is written, too.
        assert receiver.written / receiver.connections < 8 * MEBIBYTE, name


def test_nothing_is_left_open(run: Run) -> None:
    assert run.sockets <= run.sockets_before + 2


def test_a_silent_second_try_costs_no_attempt(run: Run) -> None:
    # The connection that closed when it was reused, and the fresh one after it.
    assert run.street["closes-when-reused"].connections == 2
    assert len(attempts_of(run.lines, "closes-when-reused")) == 2


def test_a_redirect_tells_its_host_and_is_not_followed(run: Run) -> None:
    assert run.street["redirects-to-itself"].connections == 2
    (first, second) = attempts_of(run.lines, "redirects-to-metadata")
    assert first["detail"] == second["detail"] == "redirect to 169.254.169.254 not followed"


def test_it_stops_at_once_and_well(run: Run) -> None:
    assert run.daemon.stop(5) == 0
