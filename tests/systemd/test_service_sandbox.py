"""What a hardened service must still be able to do, each for real: names, TLS, git, secrets, HTTP, many connections."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.systemd.service import CONFIG, HOOKD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.house import Receiver
    from tests.systemd.machine import Machine
    from tests.systemd.service import Service

pytestmark = pytest.mark.systemd

NAME = "receiver.test"


@pytest.fixture
def names(machine: Machine) -> Iterator[list[str]]:
    """Answer for the names of the machine, as the resolver of /etc/resolv.conf; give what was asked."""

    def bind() -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.53", 53))
        return bound

    asked: list[str] = []
    server = machine.listen(bind)

    def answer() -> None:
        while True:
            try:
                query, peer = server.recvfrom(512)
            except OSError:
                return
            if not query:
                return
            end = query.index(b"\0", 12)
            question, kind = query[12 : end + 5], struct.unpack_from(">H", query, end + 1)[0]
            labels, at = [], 0
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode())
                at += 1 + question[at]
            asked.append(".".join(labels))
            record = b"\xc0\x0c" + struct.pack(">HHIH4s", 1, 1, 60, 4, socket.inet_aton("127.0.0.1"))
            found = kind == 1
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(found), 0, 0)
            server.sendto(head + question + (record if found else b""), peer)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield asked
    server.close()


def test_names_tls_git_secrets_and_both_ways_in(
    service: Service, receiver_of: Callable[..., Receiver], names: list[str]
) -> None:
    machine = service.machine
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    receiver = receiver_of()
    receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)

    # A tree of somebody else's, under git, with a schema; secrets that only root can read.
    tree = machine.path("/etc/hookd")
    (tree / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (tree / "user.json").write_text('{"type": "object", "properties": {"name": {"pattern": "^[a-z]+$"}}}')
    (tree / "token").write_text("s3cret-token\n")
    (tree / "token").chmod(0o600)
    service.configure(
        f"""
version: 1
daemon:
  inlets: [{{unix: /run/hookd/events.sock}}, {{http: 127.0.0.1:8480, tokens: [{{credential: inlet}}]}}]
event_types: {{user.new: {{schema: user.json}}}}
webhooks:
  one:
    url: https://{NAME}:{receiver.port}/hook
    allow_networks: [127.0.0.0/8]
    tls: {{ca: ca.pem}}
    events: ["user.*"]
    filter: {{data.name: {{regex: "^al"}}}}
    auth: {{bearer: {{credential: inlet}}}}
"""
    )
    commit = (
        "chown -R deploy: /etc/hookd && chown root: /etc/hookd/token && cd /etc/hookd && runuser -u deploy -- sh -c '"
        "git init -q && git add hookd.yaml user.json ca.pem && "
        "git -c user.name=d -c user.email=d@example.com commit -qm first && git rev-parse HEAD'"
    )
    revision = machine.run("sh", "-c", commit).stdout.strip()
    service.drop_in("[Service]\nLoadCredential=inlet:/etc/hookd/token\n")
    machine.run("systemctl", "start", "hookd-http.socket")
    service.start()
    assert f"@{revision[:12]}" in service.wait_status("0 pending")  # not `+`: what is not committed is ignored

    # In over the Unix socket, and over the HTTP port that systemd has open.
    code, out, err = service.hookd(
        "send", "--type", "user.new", "--data", '{"name": "alice"}', "--config", CONFIG, user="app"
    )
    assert code == 0, out + err
    post = ["curl", "-sS", "-H", "authorization: Bearer s3cret-token", "-H", "content-type: application/json"]
    event = '{"type": "user.new", "data": {"name": "alan"}}'
    assert '"accepted"' in machine.run(*post, "-d", event, "http://127.0.0.1:8480/v1/events").stdout
    taken = receiver.wait(2)
    assert {each.json()["data"]["name"] for each in taken} == {"alice", "alan"}
    assert {each.headers["authorization"] for each in taken} == {"Bearer s3cret-token"}
    assert NAME in names
    assert machine.run("runuser", "-u", "hookd", "--", "cat", "/etc/hookd/token", check=False).returncode != 0
    assert machine.journal("-t", "hookd", "-p", "warning") == []


def test_the_directory_of_the_sockets_is_mended(service: Service) -> None:
    machine = service.machine
    machine.run("rm", "-rf", "/run/hookd")  # and the socket unit makes it again, as root's
    service.start("version: 1\nwebhooks: {}\n")
    assert machine.run("stat", "-c", "%U %a", "/run/hookd").stdout.split() == ["hookd", "755"]
    assert machine.run("stat", "-c", "%U %G %a", "/run/hookd/events.sock").stdout.split() == [
        "root",
        "hookd-events",
        "660",
    ]
    assert machine.run("stat", "-c", "%U %G %a", "/run/hookd/control.sock").stdout.split() == ["hookd", "hookd", "600"]


def test_the_optional_sockets_are_enabled_beside_a_running_service(service: Service) -> None:
    machine = service.machine
    service.start("version: 1\ndaemon: {inlets: [{http: 127.0.0.1:8480, tokens: none}]}\nwebhooks: {}\n")
    optional = ("hookd-http.socket", "hookd-control.socket")
    try:
        machine.run("systemctl", "enable", *optional)
        machine.run("systemctl", "restart", "hookd")
        for unit in optional:
            assert machine.show("ActiveState", unit) == "active"
        service.wait_status("0 pending")
        machine.run("systemctl", "stop", "hookd.service")
        code, out, err = service.hookd("status", "--config", CONFIG)  # the socket is there, and starts it
        assert code == 0, out + err
        assert machine.show("ActiveState") == "active"
    finally:
        machine.run("systemctl", "disable", *optional)


def test_what_root_restores_is_the_service_s(service: Service) -> None:
    machine = service.start("version: 1\nwebhooks: {}\n").machine
    service.send({"type": "x", "id": "kept"})
    machine.run(HOOKD, "backup", "/root/hookd.db", "--config", CONFIG)
    machine.run("systemctl", "stop", "hookd.socket", "hookd.service")
    # A directory that is the service's already is not looked through by systemd when it starts.
    machine.run("find", "/var/lib/hookd", "-mindepth", "1", "-delete")
    machine.run(HOOKD, "restore", "/root/hookd.db", "--config", CONFIG)
    service.start()
    code, out, err = service.hookd("send", "--type", "x", "--id", "kept", "--config", CONFIG)
    assert (code, "duplicate" in out) == (0, True), out + err


def test_a_socket_that_the_config_does_not_know_is_told(service: Service) -> None:
    machine = service.machine
    machine.run("systemctl", "start", "hookd-http.socket")
    service.start("version: 1\nwebhooks: {}\n")
    assert "socket 127.0.0.1:8480 is nobody's" in service.wait_status("nobody's")
    (entry,) = machine.journal("-t", "hookd", "-p", "err")
    assert '"socket.unclaimed"' in entry["MESSAGE"]
    assert '"http"' in entry["MESSAGE"]
    service.send({"type": "x"})
