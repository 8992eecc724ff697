"""The README's words on webhooks that customers manage: its config, its curl through a TLS proxy, its verbs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml

from tests.e2e.house import Daemon
from tests.e2e.readme import block, told
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "hooks.example.com"

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("git") is None, reason="needs curl and git"
)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Give the port of a proxy that speaks TLS, and the one that it passes everything on to, in plain HTTP."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    behind = free_port()

    class Passing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", behind)) as server,
            ):
                back = threading.Thread(target=_pass, args=(server, client), daemon=True)
                back.start()
                _pass(client, server)
                back.join()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_address[1], behind
    server.shutdown()
    server.server_close()
    thread.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


def test_a_tenant_makes_a_webhook_and_so_do_you(tmp_path: Path, proxy: tuple[int, int]) -> None:
    outside, behind = proxy
    written = block("managed")
    assert "/var/lib/hookd/managed" in written
    text = written.replace("/var/lib/hookd/managed", "managed").replace("127.0.0.1:8481", f"127.0.0.1:{behind}")
    here = "  state_dir: state\n  inlets: [{unix: events.sock}]\n"
    text = text.replace("  control:\n", f"{here}  control:\n    unix: control.sock\n")
    rest = "profiles:\n  payroll: {require_https: true}\nevent_types:\n  run.finish: {}\n"
    config = tmp_path / "hookd.yaml"
    config.write_text(f"version: 1\n{text}{rest}")
    (tmp_path / "acme-api").write_text("token-of-acme\n")
    # Where the host is, and who vouches for it, as a machine in the world would know.
    (tmp_path / ".curlrc").write_text(
        f'connect-to = "{HOST}:443:127.0.0.1:{outside}"\ncacert = "{tmp_path / "ca.pem"}"\nsilent\nfail-with-body\n'
        "max-time = 60\n"
    )
    environ = {**os.environ, "CURL_HOME": str(tmp_path), "TOKEN": "token-of-acme"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"

    def sh(command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    daemon = Daemon(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).start()
    try:
        made = json.loads(sh(block("tenant")))
        assert made["secret"].startswith("whsec_")
        assert made["definition"]["url"] == "https://acme.example/hooks"
        (definition,) = (tmp_path / "managed").glob("*.yaml")
        assert definition.name == "4711+orders.yaml"
        log = sh("git -C managed log --format=%an%n%s")
        assert "4711" in log
        # The same, with every key, for who runs it.
        (tmp_path / "orders.yaml").write_text(
            "name: Orders\nurl: https://acme.example/hooks\nevents: [run.finish]\ntimeout: 3s\n"
        )
        sh(told("hookd put 4711/orders --file orders.yaml"))
        assert yaml.safe_load(definition.read_text())["webhooks"]["4711/orders"]["timeout"] == "3s"
        sh(told("hookd remove 4711/orders"))
        assert not definition.exists()
    finally:
        daemon.close()
