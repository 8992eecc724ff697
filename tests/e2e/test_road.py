"""The main job on real input: YAML and events in, signed webhooks out, seen by receivers that are not ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import svix
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from tests.e2e.house import PATIENCE_S, hookd
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.house import Daemon, Receiver

REGISTRATION: dict[str, Any] = json.loads(
    r"""
{"entity_id":1,"entity_type":"user","action_type":"new","result":{"id":1,"external_id":"1815","code":"CODE",
"external_qr_identifier":"thebarcode","checkin":"2019-11-05 07:56:15","name_first":"Guan","name_infix":null,
"name_last":"the Man","gender":"man","company_name":"Let's Get Digital","company_role":"Awesome person",
"normal_qr_code":"thebarcode","secure_qr_code":"https:\/\/evins.nl\/1\/bd0494941c\/tyiuW2S1OUv5c3ASL1qv%2E",
"aanmelder_survey_id":"93627","qr_link":"v2d5iy6g0m60tc","custom_fields":[],"companies":[5]}}
"""
)


def webhook_yaml(url: str, rest: str = "", name: str = "one") -> str:
    return f"""
webhooks:
  {name}:
    url: {url}
    allow_networks: [127.0.0.0/8]
    events: ["*"]
{rest}"""


def test_a_registration_event_arrives_as_the_platform_documents_it(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    template = """    body:
      template:
        entity_id: $(data.entity_id)
        entity_type: $(data.entity_type)
        action_type: $(data.action_type)
        result: $(data.result?)
"""
    daemon = daemon_of(webhook_yaml(receiver.url, template)).start()
    deleted = {key: value for key, value in REGISTRATION.items() if key != "result"} | {"action_type": "delete"}
    replies = daemon.send({"type": "user.new", "data": REGISTRATION}, {"type": "user.delete", "data": deleted})
    assert [reply["status"] for reply in replies] == ["accepted", "accepted"]
    bodies = sorted((taken.json() for taken in receiver.wait(2)), key=lambda body: str(body["action_type"]))
    assert bodies == [deleted, REGISTRATION]
    assert daemon.stop() == 0


def test_data_leaves_byte_for_byte_as_it_came(daemon_of: Callable[..., Daemon], receiver: Receiver) -> None:
    data = rb'{"n":1E2,"f":0.10,"z":-0,"u":"\u00e9\/","big":12345678901234567890}'
    daemon = daemon_of(webhook_yaml(receiver.url, "    body: {template: $(data)}\n")).start()
    daemon.send(b'{"type":"x","data":' + data + b"}")
    (taken,) = receiver.wait(1)
    assert taken.body == data
    assert taken.headers["content-type"] == "application/json"


def test_foreign_verifiers_accept_what_is_sent_and_nothing_else(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    for name in ("new", "old"):
        assert hookd("secret", "--file", tmp_path / name)[0] == 0
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    sign = "    sign: {scheme: standard, secrets: [{file: new}, {file: old}]}\n"
    daemon = daemon_of(webhook_yaml(receiver.url, sign)).start()
    daemon.send({"type": "x", "data": {"é": "☃"}})
    (taken,) = receiver.wait(1)
    flipped = taken.body.replace(b'"x"', b'"y"')
    for name in ("new", "old"):
        secret = (tmp_path / name).read_text().strip()
        assert StandardWebhook(secret).verify(taken.body, taken.headers)
        svix.Webhook(secret).verify(taken.body, taken.headers)  # raises when it is wrong
        with pytest.raises(WebhookVerificationError):
            StandardWebhook(secret).verify(flipped, taken.headers)
        with pytest.raises(svix.WebhookVerificationError):
            svix.Webhook(secret).verify(flipped, taken.headers)


PHP_SCRIPT = """<?php
file_put_contents(__DIR__ . '/posted.json', json_encode($_POST, JSON_UNESCAPED_UNICODE) . "\\n", FILE_APPEND);
echo "ok";
"""


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php-cli")
def test_a_php_script_reads_a_form_as_php_means_it(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "hook.php").write_text(PHP_SCRIPT)
    (tmp_path / "token").write_text("s3cret+&=token\n")
    with subprocess.Popen(
        ["php", "-S", "127.0.0.1:0", "-t", str(site)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as php:
        assert php.stderr is not None
        line = php.stderr.readline().decode()
        port = line.rpartition("http://127.0.0.1:")[2].partition(")")[0]
        form = """    secrets: {token: {file: token}}
    body:
      format: form
      template: {event: $(type), secrettoken: $(secrets.token), "...": $(data)}
"""
        daemon = daemon_of(webhook_yaml(f"http://127.0.0.1:{port}/hook.php", form)).start()
        data: dict[str, Any] = {
            "timestamp": 1795278005,
            "user": 42,
            "code": "ü+&=% ☃",
            "secrettoken": "the producer's own never gets out",
            "redirects": 0,
            "visitors": 12345678901234567890,
            "device": "",
            "os": None,
            "country": "NL",
            "lng": 4.895168,
            "lat": -0.5,
            "yes": True,
            "no": False,
            "nested": {"a": {"b": [1, "two", {"c": False}]}, "empty": [], "none": None},
        }
        daemon.send({"type": "QR_CODE_SCANNED", "data": data})
        daemon.wait_line("delivery.attempted", outcome="delivered")
        daemon.stop()
        php.terminate()
    (posted,) = [json.loads(line) for line in (site / "posted.json").read_text().splitlines()]
    assert posted == {
        "event": "QR_CODE_SCANNED",
        "timestamp": "1795278005",
        "user": "42",
        "code": "ü+&=% ☃",
        "secrettoken": "s3cret+&=token",
        "redirects": "0",
        "visitors": "12345678901234567890",
        "device": "",
        "country": "NL",
        "lng": "4.895168",
        "lat": "-0.5",
        "yes": "1",
        "no": "0",
        "nested": {"a": {"b": ["1", "two", {"c": "0"}]}},
    }


def test_an_edit_that_breaks_the_yaml_stops_nothing_and_the_next_good_one_is_live_within_a_second(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    daemon = daemon_of(webhook_yaml(receiver.url)).start()
    good = daemon.config.read_text()
    first = daemon.lines[-1]
    sent = 0
    mark = len(daemon.lines)
    daemon.config.write_text(good.replace("    events:", "    evnets:"))
    deadline = time.monotonic() + PATIENCE_S
    while not any(line["msg"] == "config.rejected" for line in daemon.lines[mark:]):
        assert time.monotonic() < deadline
        assert daemon.send({"type": "flow", "data": sent})[0]["status"] == "accepted"
        sent += 1
    rejected = daemon.wait_line("config.rejected", since=mark)
    assert rejected["file"].endswith("hookd.yaml")
    assert (rejected["line"], rejected["column"]) == (11, 5)
    assert len([line for line in daemon.lines[mark:] if line["msg"] == "config.rejected"]) == 1
    code, out, _ = daemon.verb("status")
    assert code == 1
    assert "evnets" in out
    mark = len(daemon.lines)
    assert daemon.process is not None
    edited = Stopwatch(daemon.process.pid, os.getpid())
    daemon.config.write_text(good.replace('events: ["*"]', "events: [other]"))
    daemon.wait_line("config.reloaded", since=mark)
    assert edited.seconds() < 1.0
    assert daemon.send({"type": "flow"})[0]["deliveries"] == 0
    assert len(receiver.wait(sent)) == sent
    assert daemon.verb("status")[0] == 0
    assert first["msg"] == "daemon.ready"
    assert daemon.stop() == 0


def test_ten_thousand_events_pipelined_over_one_connection(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    daemon = daemon_of(webhook_yaml(receiver.url, "    concurrency: 32\n")).start()
    started = time.monotonic()
    replies = daemon.send(*({"type": "x", "id": str(n), "data": {"n": n}} for n in range(10_000)))
    assert {reply["status"] for reply in replies} == {"accepted"}
    assert [reply["id"] for reply in replies] == [str(n) for n in range(10_000)]
    # The receiver of the standard library is the slow part here: it starts a thread a connection.
    bodies = {taken.json()["data"]["n"] for taken in receiver.wait(10_000)}
    taken_s = time.monotonic() - started
    assert bodies == set(range(10_000))
    assert taken_s < 10 * max(1.0, 2 / (os.cpu_count() or 2))


def test_the_log_and_the_last_exchanges_are_there_after_a_restart(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    rest = "    test_event: {type: user.test, data: {id: 7}}\n    retry: {schedule: []}\n"
    daemon = daemon_of(webhook_yaml(receiver.url, rest)).start()
    for n in range(12):
        daemon.send({"type": "x", "data": n})
        daemon.wait_line("delivery.attempted", since=0)
    receiver.wait(12)
    code, out, _ = daemon.verb("test", "one")
    assert code == 0
    assert '"id": 7' in out
    assert daemon.stop() == 0
    daemon.start()
    code, out, _ = daemon.verb("attempts", "one", "--output", "json")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) == 10
    assert rows == sorted(rows, key=lambda row: -row["seq"])
    assert rows[0]["event_type"] == "user.test"
    for row in rows:
        assert json.loads(row["request"]["body"])["type"] == row["event_type"]
        assert row["response"] == {"status": 200, "headers": row["response"]["headers"], "body": "ok\n"}
        assert row["duration_ms"] > 0
