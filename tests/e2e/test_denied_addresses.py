"""Addresses from outside: listeners on loopback that nothing may connect to, and a real daemon that is told to.

The daemon's names are turned by `strange.py`. What is refused when the config is checked comes in through a reference,
which is read at use: so each text meets the last line of defence too.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.core.spellings import FORBIDDEN, FORBIDDEN_V6, spell_v4, spell_v6
from tests.delivery.receivers import OK
from tests.e2e.hostile import STRANGE, answer, attempts_of, until
from tests.e2e.house import hookd, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.house import Daemon

pytestmark = pytest.mark.faults

#: Where a receiver stands that may be talked to; 127.0.0.1 and ::1 are where nothing may go.
OPEN = "127.0.0.5"
BLOCKED = {"blocked_address", "request_invalid"}


class Listener:
    """Listens at some addresses on one port, counts connections, and answers each with the same bytes."""

    def __init__(self, *addresses: str, port: int = 0) -> None:
        self.connections = 0
        self.port = port
        self.reply: Callable[[str], bytes] = lambda _path: OK
        self._sockets = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listening = socket.create_server((address, self.port), family=family, backlog=256)
            self.port = listening.getsockname()[1]
            self._sockets.append(listening)
        for each in self._sockets:
            threading.Thread(target=self._accept, args=(each,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                data = b""
                while b"\r\n\r\n" not in data:
                    if not (more := connection.recv(65536)):
                        return
                    data += more
                connection.sendall(self.reply(data.split(b" ")[1].decode()))
            except OSError:
                return

    def close(self) -> None:
        for each in self._sockets:
            each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def trap() -> Iterator[Listener]:
    one = Listener("127.0.0.1", "::1")
    yield one
    one.close()


@pytest.fixture
def receiver(trap: Listener) -> Iterator[Listener]:
    """Give a receiver on the trap's port, at the address that may be talked to."""
    one = Listener(OPEN, port=trap.port)
    yield one
    one.close()


def strange(daemon: Daemon, names: dict[str, list[list[str]]], trap: Listener) -> Daemon:
    """Give a daemon other names, and proxies that it must not heed."""
    path = daemon.config.parent / "names.json"
    path.write_text(json.dumps(names))
    daemon.program = STRANGE
    proxy = f"http://127.0.0.1:{trap.port}"
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        daemon.environ |= {name: proxy, name.upper(): proxy}
    daemon.environ |= {"STRANGE_NAMES": str(path), "no_proxy": "", "NO_PROXY": ""}
    return daemon


def webhook_yaml(name: str, url: str, networks: str = "", rest: str = "retry: {schedule: []}") -> str:
    opened = f"\n    allow_networks: [{networks}]" if networks else ""
    return f"\n  {name}:\n    url: {url}\n    events: [x]\n    timeout: 3s\n    {rest}{opened}"


def test_nothing_connects_to_a_denied_address_however_it_is_written(
    daemon_of: Callable[..., Daemon], trap: Listener, tmp_path: Path
) -> None:
    texts = [*spell_v4("127.0.0.1"), *spell_v4("0.0.0.0"), *spell_v6("::1"), *spell_v6("::")]
    texts += [
        *FORBIDDEN,
        *(f"[{address}]" for address in FORBIDDEN_V6),
        "localhost",
        "LOCALHOST.",
        "localhost.localdomain",
    ]
    urls = [f"http://{text}:{trap.port}/" for text in texts]
    urls += [
        f"https://{text}:{trap.port}/" for text in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.1")
    ]
    urls += [f"http://{OPEN}:1@127.0.0.1:{trap.port}/", f"http:\\\\127.0.0.1:{trap.port}", f"//127.0.0.1:{trap.port}/"]
    urls += [f"gopher://127.0.0.1:{trap.port}/", f"http:/127.0.0.1:{trap.port}/", f"unix:///127.0.0.1:{trap.port}"]
    text = "webhooks:"
    for number, url in enumerate(urls):
        (tmp_path / f"url{number}").write_bytes(url.encode("utf-8", "surrogatepass"))
        text += webhook_yaml(f"w{number}", f"{{file: url{number}}}")
    text += webhook_yaml("teeth", f"http://127.0.0.1:{trap.port}/", "127.0.0.1/32").replace("[x]", "[bite]")
    daemon = strange(daemon_of(text), {"localhost.localdomain": [["127.0.0.1"]]}, trap).start()
    assert daemon.send({"type": "x"})[0]["deliveries"] == len(urls)
    until(lambda: len(attempted(daemon)) == len(urls), "not all were attempted")
    for line in attempted(daemon):
        url = urls[int(line["webhook"][1:])]
        assert line["outcome"] == "not_sent", url
        assert line["cause"] in BLOCKED or ("\0" in url and line["cause"] == "secret_unreadable"), (url, line)
    assert {line["cause"] for line in attempted(daemon)} >= BLOCKED
    assert trap.connections == 0
    # The trap has teeth: a webhook that opens the network gets through.
    daemon.send({"type": "bite"})
    daemon.wait_line("delivery.attempted", webhook="teeth", outcome="delivered")
    assert trap.connections == 1


def attempted(daemon: Daemon) -> list[dict[str, Any]]:
    return [line for line in list(daemon.lines) if line["msg"] == "delivery.attempted"]


NAMES = {
    "v4": ["127.0.0.1"],
    "v6": ["::1"],
    "both": ["::1", "127.0.0.1"],
    "mapped": ["::ffff:127.0.0.1"],
    "mapped-hex": ["::ffff:7f00:1"],
    "compatible": ["::127.0.0.1"],
    "nat64": ["64:ff9b::7f00:1"],
    "nat64-local": ["64:ff9b:1::7f00:1"],
    "6to4": ["2002:7f00:1::"],
    "teredo": ["2001:0:7f00:1::"],
    "any": ["0.0.0.0"],
    "any6": ["::"],
    "scoped": ["fe80::1%lo"],
    "loop-scoped": ["::1%lo"],
    "other-loopback": ["127.0.0.2", "127.1.2.3"],
    "metadata": ["169.254.169.254"],
    "metadata6": ["fd00:ec2::254"],
    "ula": ["fc00::1"],
    "many": [f"127.0.0.{n}" for n in range(10, 100)],
}


def test_nothing_connects_to_what_a_name_stands_for_when_it_is_denied(
    daemon_of: Callable[..., Daemon], trap: Listener
) -> None:
    own = socket.gethostname()
    text = "webhooks:" + "".join(
        webhook_yaml(name, f"http://{name}.example:{trap.port}/", f"{OPEN}/32, 10.9.0.0/16") for name in NAMES
    )
    text += webhook_yaml("own", f"http://{own}:{trap.port}/")
    # The sender for HTTP/2 has its own way to connections.
    for name in NAMES:
        rest = "http2: true\n    retry: {schedule: []}"
        text += webhook_yaml(f"h2.{name}", f"https://{name}.example:{trap.port}/", f"{OPEN}/32", rest)
    daemon = strange(daemon_of(text), {f"{name}.example": [found] for name, found in NAMES.items()}, trap).start()
    daemon.send({"type": "x"})
    until(lambda: len(attempted(daemon)) == 2 * len(NAMES) + 1, "not all were attempted")
    for line in attempted(daemon):
        causes = {"blocked_address", "dns"} if line["webhook"] == "own" else {"blocked_address"}
        assert line["outcome"] == "not_sent"
        assert line["cause"] in causes, line
    assert trap.connections == 0


def test_a_name_that_changes_between_two_look_ups_finds_nothing(
    daemon_of: Callable[..., Daemon], trap: Listener, receiver: Listener
) -> None:
    receiver.reply = lambda _path: answer(404, b"connection: close\r\n")
    answers = [[OPEN], ["127.0.0.1"], [OPEN, "127.0.0.1"], ["127.0.0.1", "::1", OPEN], ["::1"], [OPEN]]
    schedule = "retry: {schedule: [20ms, 20ms, 20ms, 20ms, 20ms], jitter: 0}"
    url = f"http://flip.example:{trap.port}/"
    daemon = strange(
        daemon_of("webhooks:" + webhook_yaml("flip", url, f"{OPEN}/32", schedule)), {"flip.example": answers}, trap
    ).start()
    daemon.send({"type": "x"})
    daemon.wait_line("delivery.dead")
    causes = [line["cause"] for line in attempts_of(daemon.lines, "flip")]
    assert causes == ["status", "blocked_address", "status", "status", "blocked_address", "status"]
    assert (receiver.connections, trap.connections) == (4, 0)


def test_no_header_of_a_receiver_leads_to_a_denied_address(
    daemon_of: Callable[..., Daemon], trap: Listener, receiver: Listener
) -> None:
    places = [
        f"http://127.0.0.1:{trap.port}/",
        f"http://[::1]:{trap.port}/",
        f"//127.0.0.1:{trap.port}/",
        f"http://localhost:{trap.port}/",
        f"http://2130706433:{trap.port}/",
        f"http://x@127.0.0.1:{trap.port}/",
    ]
    replies: dict[str, bytes] = {}
    for number, place in enumerate(places):
        for status in (301, 302, 303, 307, 308):
            replies[f"/{status}-{number}"] = answer(status, f"location: {place}\r\nconnection: close\r\n".encode())
    replies["/300-0"] = answer(300, f"location: {places[0]}\r\nlink: <{places[0]}>; rel=alternate\r\n".encode())
    replies["/305-0"] = answer(305, f"location: {places[0]}\r\n".encode())
    hints = f"refresh: 0; url={places[0]}\r\ncontent-location: {places[0]}\r\nlocation: {places[0]}\r\n"
    hints += f'alt-svc: h2=":{trap.port}", http/1.1="127.0.0.1:{trap.port}"\r\nlink: <{places[0]}>; rel=preload\r\n'
    replies["/200-0"] = answer(200, hints.encode())
    receiver.reply = replies.__getitem__
    text = "webhooks:" + "".join(
        webhook_yaml(f"w{path[1:]}", f"http://{OPEN}:{trap.port}{path}", f"{OPEN}/32") for path in replies
    )
    daemon = strange(daemon_of(text), {}, trap).start()
    daemon.send({"type": "x"})
    until(lambda: len(attempted(daemon)) == len(replies), "not all were attempted")
    for line in attempted(daemon):
        wanted = ("delivered", None) if line["status"] == 200 else ("rejected", "redirect")
        assert (line["outcome"], line["cause"]) == wanted, line
    assert (receiver.connections, trap.connections) == (len(replies), 0)


# --------------------------------------------------------------------------- what `hookd check` refuses

GOOD = 'url: "https://example.com/in?a=b"'
CANARY = "s3cr3tcanary"

REFUSED = [
    # user info
    f'url: "https://user:{CANARY}@example.com/"',
    f'url: "https://{CANARY}@example.com/"',
    'url: "https://@example.com/"',
    'url: "https://example.com\\\\@evil.example/"',
    # schemes
    *(f'url: "{scheme}://example.com/?{CANARY}"' for scheme in ("ftp", "file", "gopher", "unix", "ws", "dict", "ldap")),
    'url: "//example.com/"',
    'url: "example.com"',
    'url: "http:example.com"',
    'url: "javascript:alert(1)"',
    'url: "file:///etc/passwd"',
    # control characters and white space
    *(
        f'url: "https://example.com/?{mark}x{CANARY}"'
        for mark in ("\\r\\n", "\\t", "\\0", "\\x7f", "\\x1f", " ", "\\u2028")
    ),
    'url: "https://exa\\nmple.com/"',
    'url: " https://example.com/"',
    # hosts and ports
    *(
        f'url: "http://{host}/"'
        for host in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127\\u30020.0.1", "[::1%25lo]")
    ),
    *(f'url: "http://example.com:{port}/"' for port in ("0", "65536", "", "http", "-1")),
    'url: "http:///x"',
    'url: ""',
    # headers that are hookd's own
    *(
        f'{GOOD}\n    headers: {{"{name}": "x"}}'
        for name in (
            *("Host", "content-LENGTH", "Transfer-Encoding", "Connection", "Expect", "TE", "Trailer", "Upgrade"),
            *("Proxy-Authorization", "proxy-x", "Keep-Alive", "webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE"),
            *("X Y", "X:", "", "X\\r\\nY", "\\u00dc", "X\\0"),
        )
    ),
    # headers whose values would be more than a value
    *(
        f'{GOOD}\n    headers: {{X-Key: "{value}"}}'
        for value in (f"a\\r\\nx: {CANARY}", f"a\\n{CANARY}", f"{CANARY}\\r", f"{CANARY}\\0", "a\\x7f", "\\u00e9", " a")
    ),
    f'{GOOD}\n    headers: {{X-Key: "{"l" * 8193}"}}',
    # networks
    *(f'{GOOD}\n    allow_networks: ["{network}"]' for network in ("10.0.0.1/8", "10.0.0.0/33", "private", "10.*", "")),
]

PASSED = [
    GOOD,
    'url: "http://127.0.0.1:8080/"\n    allow_networks: [127.0.0.0/8]',
    f'{GOOD}\n    headers: {{X-Key: "a b", authorization: "Bearer x=="}}',
    'url: "https://m\\u00fcnchen.example/\\u00e9"',
]


def test_check_refuses_what_cannot_be_sent_to_each_where_it_stands(tmp_path: Path) -> None:
    path = write_config(tmp_path, "webhooks:\n")
    lines = path.read_text().splitlines()
    places: dict[int, str] = {}  # line -> the definition it belongs to
    for number, definition in enumerate((*REFUSED, *PASSED)):
        block = f"  w{number}:\n    events: [x]\n    {definition}".split("\n")
        places |= dict.fromkeys(range(len(lines) + 1, len(lines) + len(block) + 1), definition)
        lines += block
    path.write_text("\n".join(lines) + "\n")
    code, out, err = hookd("check", "--config", path)
    assert code == 1
    said = out + err
    found = {
        places[int(line.split(":")[1])]
        for line in said.splitlines()
        if line.startswith(f"{path}:") and ": warning: " not in line
    }
    assert set(REFUSED) - found == set()
    assert found & set(PASSED) == set()


@pytest.mark.parametrize("verb", ["check", "run"])
def test_what_is_said_of_them_quotes_no_secret(tmp_path: Path, verb: str) -> None:
    # In user info, queries and header values: what stands in a path is shown.
    telling = [each for each in REFUSED if CANARY in each]
    assert len(telling) > 10
    text = "".join(f"  w{number}:\n    events: [x]\n    {each}\n" for number, each in enumerate(telling))
    code, out, err = hookd(verb, "--config", write_config(tmp_path, f"webhooks:\n{text}"))
    assert code == {"check": 1, "run": 78}[verb]
    assert CANARY not in out + err
