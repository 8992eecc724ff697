"""What the tests of the three platforms stand on: samples, the example's catalogue and profiles, PHP."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.e2e.house import ROOT, Daemon

if TYPE_CHECKING:
    from collections.abc import Sequence

PLATFORMS: Final = ("registration", "payroll", "qr")
EXAMPLE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "config.example.yaml").read_text())
SIGNING: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN: Final = "the+shop's&own=tøken"

PHP_SCRIPT: Final = """<?php
$line = json_encode($_POST, JSON_UNESCAPED_UNICODE) . "\\n";
file_put_contents(__DIR__ . '/posted.jsonl', $line, FILE_APPEND | LOCK_EX);
"""


@dataclass(frozen=True)
class Bad:
    """An event that must be refused, and with which words."""

    why: str
    code: str
    path: str
    event: dict[str, Any]


def read_good(platform: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(__file__).parent / f"{platform}.good.jsonl").read_text().splitlines()]


def read_bad(platform: str) -> list[Bad]:
    lines = (Path(__file__).parent / f"{platform}.bad.jsonl").read_text().splitlines()
    return [Bad(**json.loads(line)) for line in lines]


def types_of(platform: str) -> list[str]:
    """Give the event types whose schemas stand in the platform's folder."""
    return [
        name for name, entry in EXAMPLE["event_types"].items() if entry["schema"].startswith(f"schemas/{platform}/")
    ]


def open_daemon(folder: Path, webhooks: dict[str, Any], *, http: int = 0) -> Daemon:
    """Give a daemon (not started) with the catalogue and the profiles of the example, and these webhooks."""
    (folder / "schemas").symlink_to(ROOT / "schemas")
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700)
    for name, secret in (
        ("registration-signing", SIGNING),
        ("payroll-signing", SIGNING),
        ("shop-token", TOKEN),
    ):
        (credentials / name).write_text(secret + "\n")
        (credentials / name).chmod(0o600)
    inlets: list[dict[str, Any]] = [{"unix": "events.sock"}]
    if http:
        inlets.append({"http": f"127.0.0.1:{http}", "tokens": "none"})
    config = {
        "version": 1,
        "daemon": {"state_dir": "state", "inlets": inlets, "control": {"unix": "control.sock"}},
        "event_types": EXAMPLE["event_types"],
        "profiles": EXAMPLE["profiles"],
        "webhooks": webhooks,
    }
    path = folder / "hookd.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return Daemon(path, {"CREDENTIALS_DIRECTORY": str(credentials)})


def post(port: int, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Send an event over HTTP; give the status and the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/events",
        json.dumps(event).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


class PhpSite:
    """`php -S` with a script that writes down `$_POST`."""

    def __init__(self, folder: Path) -> None:
        self._posted = folder / "posted.jsonl"
        folder.mkdir()
        (folder / "hook.php").write_text(PHP_SCRIPT)
        self._process = subprocess.Popen(
            ["php", "-S", "127.0.0.1:0", "-t", str(folder)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline().decode()
        self.url = f"http://127.0.0.1:{line.rpartition('http://127.0.0.1:')[2].partition(')')[0]}/hook.php"

    def posted(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._posted.read_text().splitlines()]

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


def sorted_bodies(bodies: Sequence[object]) -> list[str]:
    """Give values in an order that does not depend on when they came."""
    return sorted(json.dumps(body, sort_keys=True, ensure_ascii=False) for body in bodies)
