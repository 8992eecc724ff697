"""The three platforms, from outside: each event type over both inlets, what arrives, and what is refused and where."""

from __future__ import annotations

import csv
import io
import json
import shutil
import ssl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import trustme

from tests.e2e.house import Daemon, Receiver
from tests.platforms.platforms import (
    PLATFORMS,
    SIGNING,
    TOKEN,
    PhpSite,
    open_daemon,
    post,
    read_bad,
    read_good,
    sorted_bodies,
    types_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Receiver]:
    """Give a receiver that speaks TLS; the authority that it is trusted by stands in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    receiver = Receiver(tls=context)
    yield receiver
    receiver.close()


@pytest.fixture
def plain() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def run(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Daemon]]:
    """Give a function that runs a daemon with these webhooks."""
    made: list[Daemon] = []

    def make(webhooks: dict[str, Any], *, http: bool = False) -> Daemon:
        daemon = open_daemon(tmp_path, webhooks, http=free_port if http else 0)
        made.append(daemon)
        return daemon.start()

    yield make
    for daemon in made:
        daemon.close()


def debtor(number: str, url: str, **more: Any) -> dict[str, Any]:
    return {
        "profile": "payroll",
        "tenant": number,
        "url": url,
        "events": ["run.finish", "journals.finish", "wage_tax_declaration.*", "pension_export.*"],
        "tls": {"ca": "ca.pem"},
        "allow_networks": LOCAL,
        **more,
    }


def registration(url: str, **more: Any) -> dict[str, Any]:
    return {
        "profile": "registration",
        "url": url,
        "events": ["user.*", "company.*"],
        "allow_networks": LOCAL,
        **more,
    }


def shop(url: str, *events: str) -> dict[str, Any]:
    return {
        "profile": "qr",
        "url": url,
        "events": list(events),
        "secrets": {"token": {"credential": "shop-token"}},
        "allow_networks": LOCAL,
    }


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php-cli")
def test_every_event_type_over_both_inlets_arrives_with_its_parameters_and_nothing_else(
    run: Callable[..., Daemon], plain: Receiver, secure: Receiver, tmp_path: Path, free_port: int
) -> None:
    site = PhpSite(tmp_path / "site")
    try:
        daemon = run(
            {
                "crm": registration(plain.url),
                "debtor": debtor("4711", secure.url),
                "shop": shop(site.url, *types_of("qr")),
            },
            http=True,
        )
        good = {platform: read_good(platform) for platform in PLATFORMS}
        for events in good.values():
            replies = daemon.send(*events)
            assert [(reply["status"], reply["deliveries"]) for reply in replies] == [("accepted", 1)] * len(events)
            for event in events:
                status, answer = post(free_port, event)
                assert (status, answer["status"]) == (202, "accepted")
        count = 2 * sum(map(len, good.values()))
        deadline = time.monotonic() + 60
        while sum(line.get("outcome") == "delivered" for line in list(daemon.lines)) < count:
            assert time.monotonic() < deadline, daemon.lines[-5:]
            time.sleep(0.02)
        assert daemon.stop() == 0
    finally:
        site.close()
    users = [event["data"] for event in good["registration"]]
    assert sorted_bodies([taken.json() for taken in plain.taken]) == sorted_bodies(users * 2)
    runs = [{"event": event["type"], "debtor": "4711", **event["data"]} for event in good["payroll"]]
    assert sorted_bodies([taken.json() for taken in secure.taken]) == sorted_bodies(runs * 2)
    forms = [
        {"event": event["type"], "secrettoken": TOKEN, **{key: str(value) for key, value in event["data"].items()}}
        for event in good["qr"]
    ]
    assert sorted_bodies(site.posted()) == sorted_bodies(forms * 2)


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php-cli")
def test_no_name_of_a_producers_is_the_token_to_php(run: Callable[..., Daemon], tmp_path: Path) -> None:
    site = PhpSite(tmp_path / "site")
    try:
        daemon = run({"shop": shop(site.url, "QR_CODE_CREATED")})
        names = ["secrettoken", " secrettoken", "secrettoken[x]", "secrettoken\0x", " event", "event[]", "+event"]
        always = {"timestamp": 1, "user": 2, "code": "c"}
        daemon.send(*({"type": "QR_CODE_CREATED", "data": {**always, name: "theirs"}} for name in names))
        deadline = time.monotonic() + 60
        while sum(line.get("outcome") == "delivered" for line in list(daemon.lines)) < len(names):
            assert time.monotonic() < deadline, daemon.lines[-5:]
            time.sleep(0.02)
        assert daemon.stop() == 0
    finally:
        site.close()
    expected = {"event": "QR_CODE_CREATED", "secrettoken": TOKEN, "timestamp": "1", "user": "2", "code": "c"}
    found = sorted_bodies(site.posted())
    assert found == sorted_bodies([expected] * 6 + [{**expected, "+event": "theirs"}])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_bad_sample_is_refused_with_the_path_of_its_fault_and_without_its_values(
    platform: str, run: Callable[..., Daemon], free_port: int
) -> None:
    daemon = run({"crm": registration("https://crm.example.com/")}, http=True)
    bad = read_bad(platform)
    replies = daemon.send(*(each.event for each in bad))
    expected = [("refused", each.code, each.path) for each in bad]
    assert [(reply["status"], reply["code"], reply["path"]) for reply in replies] == expected
    for each in bad:
        status, problem = post(free_port, each.event)
        assert (status, problem["code"], problem["path"]) == (422, each.code, each.path), each
    assert daemon.stop() == 0
    assert json.loads(daemon.verb("status", "--output", "json")[1])["error"]["code"] == "no_daemon"  # it has stopped


def test_no_value_of_an_event_or_a_secret_is_told_to_anyone_but_its_receiver(
    run: Callable[..., Daemon], plain: Receiver, free_port: int, tmp_path: Path
) -> None:
    """Every value is a canary: in good events, in bad ones, in what cannot be rendered, in secrets and URLs."""
    url = f"{plain.url}hook?key=canary-query"
    daemon = run(
        {
            "crm": registration(url, headers={"X-Key": {"file": "key"}}),
            "shop": shop(url, "LEAD_CREATED"),
            "torn": {**shop(url, "LEAD_CREATED"), "body": {"template": {"x": "$(data.absent)"}}},
        },
        http=True,
    )
    (tmp_path / "key").write_text("canary-key")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "credentials/shop-token").write_text("canary-token")
    record = {"id": 7, "name_first": "canary-first", "checkin": "canary-checkin", "companies": ["canary-company"]}
    good = {**record, "checkin": None, "companies": [5], "canary-field": "canary-value"}
    change = {"entity_id": 7, "entity_type": "user", "action_type": "new"}
    lead = {"timestamp": 1, "user": 1, "name": "canary-name"}
    events = [
        {"type": "user.new", "id": "1", "subject": "canary-subject", "data": {**change, "result": good}},
        {"type": "user.new", "id": "2", "data": {**change, "result": record}},
        {"type": "user.new", "id": "3", "data": {**change, "action_type": "canary-action", "result": good}},
        {"type": "user.new", "id": "1", "data": {**change, "result": {**good, "code": "canary-conflict"}}},
        {"type": "LEAD_CREATED", "id": "5", "data": {**lead, "code": "canary-code", "email": "canary@example.com"}},
        {"type": "LEAD_CREATED", "id": "6", "data": {"timestamp": "canary-time", "user": "canary-user"}},
    ]
    said = [json.dumps(daemon.send(*events)), *(json.dumps(post(free_port, event)[1]) for event in events)]
    said += [json.dumps(daemon.send(b'{"type": "canary-torn', b'{"type": "user.new", "data": "canary-\xff"}'))]
    plain.wait(2)
    daemon.wait_line("delivery.attempted", webhook="torn", cause="render_failed")
    said += daemon.verb("status")[1:]
    said += daemon.verb("attempts", "--output", "json")[1:]  # the log of all webhooks holds no bodies
    said += daemon.verb("show", "crm")[1:]
    assert daemon.stop() == 0
    arrived = b"".join(taken.body + taken.path.encode() + str(taken.headers).encode() for taken in plain.taken)
    for canary in (b"canary-first", b"canary-query", b"canary-key", b"canary-token", b"canary-code"):
        assert canary in arrived
    for text in [*said, *map(json.dumps, daemon.lines), daemon.stderr.decode()]:
        assert "canary" not in text, text


# --------------------------------------------------------------------------- event registration


def edit(daemon: Daemon, old: str, new: str) -> None:
    """Change the config file, and wait until the change runs."""
    mark = len(daemon.lines)
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))
    daemon.wait_line("config.reloaded", since=mark)


def test_triggers_one_by_one_and_nothing_of_the_meantime(run: Callable[..., Daemon], plain: Receiver) -> None:
    events = ["user.new", {"event": "user.update", "active": False}]
    daemon = run({"crm": registration(plain.url, events=events)})
    new, _, update, delete, *_ = read_good("registration")
    assert [reply["deliveries"] for reply in daemon.send(update, new, delete)] == [0, 1, 0]
    plain.wait(1)
    edit(daemon, "active: false", "active: true")
    assert daemon.send(update)[0]["deliveries"] == 1
    assert [taken.json()["action_type"] for taken in plain.wait(2)] == ["new", "update"]
    edit(daemon, "    url:", "    active: false\n    url:")
    assert daemon.send(new)[0]["deliveries"] == 0
    edit(daemon, "    active: false\n    url:", "    url:")
    assert daemon.send(new)[0]["deliveries"] == 1
    assert daemon.stop() == 0
    assert [taken.json()["action_type"] for taken in plain.taken] == ["new", "update", "new"]


def test_the_test_button_passes_triggers_and_filters_and_goes_to_one_webhook(
    run: Callable[..., Daemon], plain: Receiver
) -> None:
    button = read_good("registration")[4]
    assert button["type"] == "user.test"
    only_new = registration(plain.url + "crm", events=["user.new"], test_event=button, filter={"data.entity_id": 99})
    daemon = run({"crm": only_new, "other": registration(plain.url + "other")})
    code, out, _ = daemon.verb("test", "crm")
    assert code == 0, out
    assert daemon.stop() == 0
    (taken,) = plain.taken
    assert (taken.path, taken.json()) == ("/crm", button["data"])
    assert taken.json()["action_type"] == "test"


def test_the_past_ten_requests_whole_newest_first_after_a_restart_too(
    run: Callable[..., Daemon], plain: Receiver
) -> None:
    daemon = run({"crm": registration(plain.url)})
    template = read_good("registration")[1]
    for number in range(1, 13):
        template["data"]["entity_id"] = template["data"]["result"]["id"] = number
        daemon.send({**template, "id": f"e{number}"})
        daemon.wait_line("delivery.attempted", event_id=f"e{number}")
    assert daemon.stop() == 0
    daemon.start()
    code, out, _ = daemon.verb("attempts", "crm", "--output", "json")
    assert code == 0
    rows = json.loads(out)
    assert [row["event_id"] for row in rows] == [f"e{number}" for number in range(12, 2, -1)]
    for row, number in zip(rows, range(12, 2, -1), strict=True):
        assert json.loads(row["request"]["body"])["entity_id"] == number
        assert row["response"]["body"] == "ok\n"
        assert (row["status"], row["duration_ms"] > 0) == (200, True)
    assert SIGNING not in out


# --------------------------------------------------------------------------- payroll


def test_no_debtor_ever_gets_anothers(run: Callable[..., Daemon], secure: Receiver, tmp_path: Path) -> None:
    del tmp_path
    daemon = run({f"debtor-{number}": debtor(number, f"{secure.url}{number}") for number in ("4711", "4712", "4713")})
    numbers = ["4712", "4711", "4714", "4711", "04711"]
    events = [{**event, "tenant": number} for event in read_good("payroll") for number in numbers]
    replies = daemon.send(*events)
    known = [int(event["tenant"] in {"4711", "4712"}) for event in events]
    assert [reply["deliveries"] for reply in replies] == known
    for taken in secure.wait(sum(known)):
        assert taken.path == f"/{taken.json()['debtor']}"
    assert daemon.stop() == 0
    assert len(secure.taken) == sum(known)


def test_an_endpoint_without_tls_is_refused(tmp_path: Path) -> None:
    daemon = open_daemon(tmp_path, {"debtor": debtor("4711", "http://debtor.example.com/")})
    (tmp_path / "ca.pem").write_text("")
    process = daemon.spawn()
    assert process.wait(30) == 78
    daemon.wait()
    assert b"https" in daemon.stderr
    assert b"hookd.yaml:" in daemon.stderr


def test_the_overview_over_a_period_per_debtor_and_type(run: Callable[..., Daemon], secure: Receiver) -> None:
    daemon = run({f"debtor-{number}": debtor(number, secure.url) for number in ("4711", "4712")})
    lines = []
    for number in range(12):
        event = read_good("payroll")[number % 8]
        daemon.send({**event, "id": f"e{number}", "tenant": ("4711", "4712")[number % 2]})
        lines.append(daemon.wait_line("delivery.attempted", event_id=f"e{number}"))

    def listed(*options: str) -> list[str]:
        code, out, err = daemon.verb("attempts", "--output", "json", "--last", "1000", *options)
        assert code == 0, err
        return [row["event_id"] for row in json.loads(out)]

    assert listed() == [f"e{number}" for number in range(11, -1, -1)]
    assert listed("--tenant", "4711") == [f"e{number}" for number in range(10, -1, -2)]
    assert listed("--tenant", "4711", "--type", "run.finish") == ["e10", "e8", "e2", "e0"]
    rows = json.loads(daemon.verb("attempts", "--output", "json", "--last", "1000")[1])[::-1]
    since, until = rows[3]["started_at"], rows[9]["started_at"]
    inside = [row["event_id"] for row in rows if since <= row["started_at"] < until][::-1]
    assert {"e3", "e8"} <= set(inside)
    assert "e9" not in inside
    assert listed("--since", since, "--until", until) == inside
    assert datetime.fromisoformat(since).tzinfo == UTC
    _, out, _ = daemon.verb("attempts", "--all", "--tenant", "4711", "--since", since, "--output", "csv")
    table = list(csv.DictReader(io.StringIO(out, newline="")))
    assert [row["event_id"] for row in table] == ["e10", "e8", "e6", "e4"]
    assert {(row["tenant"], row["status"], row["url"]) for row in table} == {("4711", "200", secure.url)}
    assert daemon.stop() == 0


# --------------------------------------------------------------------------- QR codes and vouchers


def test_the_token_is_the_daemons_and_what_is_added_later_breaks_nothing(
    run: Callable[..., Daemon], plain: Receiver
) -> None:
    daemon = run({"shop": shop(plain.url, "QR_CODE_CREATED"), "till": shop(plain.url + "till", "VOUCHER_*")})
    event = {"timestamp": 1, "user": "a", "code": "c", "secrettoken": "the producer's", "event": "its own", "new": [1]}
    assert daemon.send({"type": "QR_CODE_CREATED", "data": event})[0]["deliveries"] == 1
    (taken,) = plain.wait(1)
    assert taken.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(taken.body.decode(), strict_parsing=True)) == {
        "event": "QR_CODE_CREATED",
        "secrettoken": TOKEN,
        "timestamp": "1",
        "user": "a",
        "code": "c",
        "new[0]": "1",
    }
    assert daemon.send({"type": "VOUCHER_EXPIRED", "data": event})[0]["deliveries"] == 1
    assert [taken.path for taken in plain.wait(2)] == ["/", "/till"]
    assert daemon.stop() == 0
