"""`hookd listen`: what it prints, answers, and how it ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hookd.core.signing import generate_secret, parse_secret, sign
from tests.e2e.house import HOOKD, hookd
from tests.stopwatch import withheld_s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = generate_secret(b"k" * 32)


class Listener:
    """A `hookd listen` on a free port."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*HOOKD, "listen", "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline().decode()
        assert line.startswith("listening on http://127.0.0.1:"), line
        self.port = int(line.rpartition(":")[2].strip("/\n"))

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Wait for its end, after a signal if one is given: exit code, standard output, standard error."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=10)
        assert b"Traceback" not in err
        return self.process.returncode, out.decode(), err.decode()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    at = int(time.time())
    return {
        "content-type": "application/json",
        "webhook-id": "dlv_1",
        "webhook-timestamp": str(at),
        "webhook-signature": sign([parse_secret(secret)], "dlv_1", at, body),
    }


def test_requests_are_printed_readably() -> None:
    listener = Listener("--count", "3", "--status", "202")
    assert listener.post(b'{"a":1E2,"b":"\\u00e9"}', {"content-type": "application/json"}, "/x?y=1") == (202, b"")
    form = {"content-type": "application/x-www-form-urlencoded", "x-team": "crm", "accept": "text/x"}
    assert listener.post(b"a=1&long+name=%C3%BC", form)[0] == 202
    assert listener.post(b"\xff\x1b[2J", {"content-type": "application/octet-stream"})[0] == 202
    code, out, err = listener.end()
    assert (code, err) == (0, "")
    assert "── 1: POST /x?y=1\n" in out
    assert '{\n  "a": 1E2,\n  "b": "é"\n}\n' in out
    assert "a         = 1\nlong name = ü\n" in out
    assert "x-team: crm\n" in out
    assert "accept" not in out
    assert "\x1b" not in out


def test_signatures_are_verified(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    other = generate_secret(b"o" * 32)
    listener = Listener("--secret-file", str(tmp_path / "key"), "--secret", other, "--count", "4", "--output", "json")
    body = b'{"a":1}'
    assert listener.post(body, signed(body))[0] == 200
    assert listener.post(body, signed(body, other))[0] == 200
    assert listener.post(b'{"a":2}', signed(body)) == (401, b"webhook-signature does not match\n")
    assert listener.post(body)[0] == 401
    code, out, _ = listener.end()
    assert code == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["signature"] for line in lines] == ["right", "right", "wrong", "wrong"]
    assert lines[0]["fault"] is None
    assert lines[2]["fault"] == "webhook-signature does not match"
    assert lines[0]["body"] == '{"a":1}'


def test_an_answer_can_be_late() -> None:
    listener = Listener("--delay", "0.3", "--count", "1", "--status", "503")
    started = time.monotonic()
    assert listener.post(b"x")[0] == 503
    assert 0.3 <= time.monotonic() - started < 5
    assert listener.end()[0] == 0


@pytest.mark.parametrize("how", ["signal", "count"])
def test_it_ends_at_once_while_a_request_hangs(how: str) -> None:
    listener = Listener("--hang", *(["--count", "1"] if how == "count" else []))
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi")
        assert listener.process.stdout is not None
        first = listener.process.stdout.readline().decode()
        started, withheld = time.monotonic(), withheld_s()
        code, _, _ = listener.end(signal.SIGINT if how == "signal" else None)
        assert time.monotonic() - started < 2 + withheld_s() - withheld
        assert client.recv(100) == b""
    assert (code, first) == (0, "── 1: POST /\n")


def test_what_it_cannot_do_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, _, err = hookd("listen", "--port", port)
    assert code == 75
    assert port in err
    code, _, err = hookd("listen", "--port", "0", "--secret", "whsec_shorts3cret")
    assert code == 2
    assert "s3cret" not in err
    assert hookd("listen", "--port", "0", "--secret-file", "/none")[0] == 2
    assert hookd("listen", "--port", "0", "--delay", "-1")[0] == 2
