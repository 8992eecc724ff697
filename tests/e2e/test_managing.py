"""The management API from outside: a tenant's developer with curl, another tenant, and the operator's verbs."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hookd.core.signing import parse_secret, verify
from tests.e2e.house import PATIENCE_S, Receiver, Taken, hookd
from tests.e2e.tenants import CANARY, REST, House
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    one.daemon.start()
    yield one
    one.daemon.close()
    assert CANARY not in one.everything_logged() + one.daemon.stderr.decode()


def given(receiver: Receiver | None = None, **more: object) -> dict[str, Any]:
    url = "https://example.com/hooks" if receiver is None else f"{receiver.url}in?key={CANARY}"
    return {"name": "Orders", "url": url, "events": ["run.finish"], **more}


def is_signed(taken: Taken, secret: str) -> bool:
    headers = taken.headers
    fault = verify(
        [parse_secret(secret)],
        headers["webhook-id"],
        headers["webhook-timestamp"],
        headers["webhook-signature"],
        taken.body,
        int(time.time()),
    )
    return fault is None


def test_a_developer_with_curl_alone(house: House, receiver: Receiver) -> None:
    types = house.curl("GET", "/v1/event-types").json()["event_types"]
    assert [each["type"] for each in types] == ["run.finish", "run.start"]

    # Create; it is live when the answer is there.
    made = house.curl("PUT", "/v1/webhooks/orders", given(receiver))
    assert made.status == 201, made
    assert made.headers["location"] == "/v1/webhooks/4711/orders"
    assert made.headers["cache-control"] == "no-store"
    webhook = made.json()
    assert webhook["id"] == "4711/orders"
    assert (webhook["tenant"], webhook["profile"]) == ("4711", "payroll")
    assert made.headers["etag"] == f'"{webhook["revision"]}"'
    secret = webhook["secret"]
    [reply] = house.daemon.send({"type": "run.finish", "tenant": "4711", "data": {"run": 1}})
    assert reply["deliveries"] == 1
    [first] = receiver.wait(1)
    assert is_signed(first, secret)
    assert first.headers["x-operator"] == "plain"

    # See it in git, in the name of the token, as a person would have written it.
    assert house.git("log", "--format=%an|%s") == "acme-api (tenant 4711)|created 4711/orders\n"
    shown = house.git("show", "--format=", "HEAD")
    assert "\n+    name: Orders\n" in shown
    assert shown.count("\n+") == shown.count("\n") - shown.count("\n-") - 4
    assert "whsec_" not in shown
    assert house.file("4711/orders").read_text().startswith("# Written by hookd for acme-api (tenant 4711) at 20")
    (kept,) = (house.top / "state" / "secrets").iterdir()
    assert kept.read_text().strip() == secret
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700

    # Read, change what was read, put it back.
    read = house.curl("GET", "/v1/webhooks/orders")
    assert read.json()["definition"] == given(receiver)
    assert "secret" not in read.json()
    changed = house.curl(
        "PUT", "/v1/webhooks/orders", {**given(receiver), "active": False}, f"If-Match: {read.headers['etag']}"
    )
    assert changed.status == 200, changed
    assert "secret" not in changed.json()
    assert house.git("show", "--format=%s", "HEAD").count("\n+    ") == 1, "one changed line is one line of the diff"

    # A stale revision, a lost update that is none.
    stale = house.curl("PUT", "/v1/webhooks/orders", given(), f"If-Match: {read.headers['etag']}")
    assert (stale.status, stale.code) == (412, "revision_conflict")
    assert house.curl("PUT", "/v1/webhooks/orders", given(), "If-None-Match: *").status == 412

    # Gone.
    assert house.curl("DELETE", "/v1/webhooks/orders").status == 204
    assert house.curl("GET", "/v1/webhooks/orders").status == 404
    assert not house.file("4711/orders").exists()
    assert not list((house.top / "state" / "secrets").iterdir())
    assert house.git("status", "--porcelain") == ""
    assert house.git("log", "-1", "--format=%an|%s") == "acme-api (tenant 4711)|removed 4711/orders\n"


def test_the_test_and_the_request_log(house: House, receiver: Receiver) -> None:
    secret = house.curl("PUT", "/v1/webhooks/orders", given(receiver, active=False)).json()["secret"]
    # A test goes through although it is inactive.
    tested = house.curl("POST", "/v1/webhooks/orders/test", {"type": "run.start", "data": {"n": 1}})
    assert tested.json()["outcome"] == "delivered", tested
    assert is_signed(receiver.wait(1)[0], secret)
    assert house.curl("POST", "/v1/webhooks/orders/test").code == "no_test_event"
    log = house.curl("GET", "/v1/webhooks/orders/attempts").json()
    assert [line["event_type"] for line in log["attempts"]] == ["run.start"]
    assert log["attempts"][0]["request"]["method"] == "POST"
    assert CANARY not in str(log), "not the query of the URL"
    since = log["attempts"][0]["started_at"]
    later = house.curl("GET", f"/v1/webhooks/orders/attempts?since={since}&type=run.finish").json()
    assert later == {"attempts": [], "next": None}


def test_what_is_wrong_is_told_at_once_with_its_place(house: House) -> None:
    wrong = house.curl(
        "PUT",
        "/v1/webhooks/orders",
        {"name": "x", "url": f"ftp://{CANARY}", "events": ["run.finsh"], "filter": {"data.x": {"gtx": CANARY}}, "a": 1},
    )
    assert (wrong.status, wrong.code) == (422, "definition_invalid")
    assert wrong.pointers == ["/a", "/url", "/events/0", "/filter/data.x/gtx"]
    assert CANARY not in wrong.body.decode()
    assert "did you mean `run.finish`?" in wrong.body.decode()
    assert house.curl("PUT", "/v1/webhooks/orders", b'{"name": "x", "name": "y"}').code == "malformed_json"
    assert house.curl("PUT", "/v1/webhooks/orders", b"[]").pointers == [""]
    assert house.curl("PUT", "/v1/webhooks/Orders", given()).code == "bad_id"
    assert house.curl("PUT", "/v1/webhooks/orders", given(url="https://10.0.0.1/")).pointers == ["/url"]
    assert house.curl("PUT", "/v1/webhooks/orders", b" " * 70_000).status == 413
    assert house.curl("PUT", "/v1/webhooks/orders", given(), "If-Match: abc").code == "bad_condition"
    assert house.curl("GET", "/v1/webhooks?limit=0").code == "bad_query"
    assert house.curl("GET", "/v1/webhooks?page=1").code == "bad_query"
    assert house.curl("PATCH", "/v1/webhooks/orders", {}).headers["allow"] == "GET, PUT, DELETE"
    assert house.curl("GET", "/v1/status").status == 404
    assert not (house.top / "managed").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auth", {"bearer": {"file": "/etc/passwd"}}),
        ("headers", {"X-Key": {"env": "OPERATOR_HEADER"}}),
        ("allow_networks", ["0.0.0.0/0"]),
        ("tenant", "4712"),
        ("profile", "other"),
        ("sign", {"secrets": [{"file": "acme-api"}]}),
        ("secrets", {"a": {"credential": "acme-api"}}),
        ("body", {"template": "$(secrets.a)"}),
        ("proxy", "http://127.0.0.1:3128"),
        ("tls", {"ca": "/etc/passwd"}),
        ("url", {"file": "/etc/passwd"}),
        ("require_https", False),
        ("x-own", 1),
    ],
)
def test_nothing_of_the_operators_can_be_set(house: House, key: str, value: object) -> None:
    refused = house.curl("PUT", "/v1/webhooks/orders", {**given(), key: value})
    assert (refused.status, refused.pointers) == (422, [f"/{key}"]), refused


def test_two_tenants_do_not_see_each_other(house: House, receiver: Receiver) -> None:
    assert house.curl("PUT", "/v1/webhooks/orders", given(receiver)).status == 201
    ours = house.curl("GET", "/v1/webhooks/4711/orders").body
    never = house.curl("GET", "/v1/webhooks/4711/never", token="b")
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", given()),
        ("DELETE", "", None),
        ("POST", "/test", {"type": "run.finish"}),
        ("POST", "/rotate-secret", None),
        ("POST", "/resume", None),
        ("GET", "/attempts", None),
    ):
        for name in ("4711/orders", "4711%2Forders", "4713/orders", "../4711/orders", "4712/../4711/orders"):
            answer = house.curl(method, f"/v1/webhooks/{name}{path}", body, token="b")
            assert answer.status in {404, 422} if method == "PUT" else answer.status == 404, (method, name, answer)
            if method == "GET":
                assert answer.json() == never.json(), "the same words whether it is there or not"
    assert house.curl("GET", "/v1/webhooks", token="b").json() == {"webhooks": [], "next": None}
    assert house.curl("PUT", "/v1/webhooks/orders", given(receiver), token="b").json()["id"] == "4712/orders"
    assert house.curl("GET", "/v1/webhooks/4711/orders").body == ours
    house.daemon.send({"type": "run.finish", "tenant": "4712", "data": 1})
    [only] = receiver.wait(1)
    assert only.json()["data"] == 1
    assert house.curl("GET", "/v1/webhooks/orders/attempts").json()["attempts"] == []
    assert len(house.curl("GET", "/v1/webhooks/orders/attempts", token="b").json()["attempts"]) == 1
    # A test cannot be sent in another tenant's name either.
    named = house.curl("POST", "/v1/webhooks/orders/test", {"type": "run.finish", "tenant": "4711"}, token="b")
    assert named.status == 422


def test_without_a_token_there_is_nothing(house: House) -> None:
    for token in (None, "c"):
        for method, path in (("GET", "/v1/webhooks"), ("PUT", "/v1/webhooks/a"), ("GET", "/nothing")):
            refused = house.curl(method, path, token=token)
            assert (refused.status, refused.code) == (401, "unauthorized")
            assert refused.headers["www-authenticate"].startswith("Bearer")
    assert house.curl("GET", "/v1/openapi.json", token=None).json()["openapi"] == "3.1.0"
    # A rotated token needs no reload.
    (house.top / "acme-api").write_text(f"{CANARY}-token-new\n")
    assert house.curl("GET", "/v1/webhooks", token="a").status == 401
    assert house.curl("GET", "/v1/webhooks", token="new").status == 200


def test_pages_of_a_listing(house: House) -> None:
    made = {house.curl("POST", "/v1/webhooks", given()).json()["id"] for _ in range(5)}
    assert len(made) == 5
    found: list[str] = []
    path = "/v1/webhooks?limit=2"
    while True:
        page = house.curl("GET", path).json()
        found += [each["id"] for each in page["webhooks"]]
        if page["next"] is None:
            break
        path = f"/v1/webhooks?limit=2&after={page['next']}"
    assert found == sorted(made)


def test_a_secret_is_rotated_and_the_old_one_goes_after_a_day(house: House, receiver: Receiver) -> None:
    old = house.curl("PUT", "/v1/webhooks/orders", given(receiver)).json()["secret"]
    new = house.curl("POST", "/v1/webhooks/orders/rotate-secret").json()["secret"]
    assert new != old
    house.daemon.send({"type": "run.finish", "tenant": "4711"})
    [both] = receiver.wait(1)
    assert is_signed(both, old)
    assert is_signed(both, new)
    # A day later, as the file system tells it.
    for path in (house.top / "state" / "secrets").iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)
    assert house.daemon.stop() == 0
    mark = len(house.daemon.lines)
    house.daemon.start()
    house.daemon.wait_line("webhook.changed", since=mark, change="rotated", by="hookd")
    house.daemon.send({"type": "run.finish", "tenant": "4711"})
    alone = receiver.wait(2)[1]
    assert is_signed(alone, new)
    assert not is_signed(alone, old)
    assert len(list((house.top / "state" / "secrets").iterdir())) == 1


def test_a_broken_file_of_the_operator_blocks_no_customer_and_leaks_to_none(house: House, receiver: Receiver) -> None:
    good = house.config.read_text()
    house.config.write_text(good + f"broken-{CANARY[:6]}: [\n")
    house.daemon.wait_line("config.rejected")
    made = house.curl("PUT", "/v1/webhooks/orders", given(receiver))
    assert made.status == 201, made
    assert "broken" not in house.curl("PUT", "/v1/webhooks/orders", {"a": 1}).body.decode()
    house.daemon.send({"type": "run.finish", "tenant": "4711"})
    receiver.wait(1)
    assert house.curl("DELETE", "/v1/webhooks/orders").status == 204
    made = house.curl("PUT", "/v1/webhooks/again", given(receiver))
    assert made.status == 201, made
    code, out, _ = house.daemon.verb("status", "--output", "json")
    assert code == 1
    assert yaml.safe_load(out)["config_rejected"]["problems"], "the operator is still told"
    # Mended: the operator's files and what came meanwhile are one config.
    house.config.write_text(
        good.replace("webhooks:\n", 'webhooks:\n  more: {url: "https://m.example/", events: ["*"]}\n')
    )
    code, out, err = house.daemon.verb("reload", "--output", "json")
    assert code == 0, err
    _, out, _ = house.daemon.verb("list", "--output", "json")
    assert [each["id"] for each in yaml.safe_load(out)] == ["4711/again", "more", "ops"]


def test_what_is_pending_for_a_removed_webhook_is_dead(house: House) -> None:
    silent = Receiver(lambda _taken: 500)
    try:
        house.curl("PUT", "/v1/webhooks/orders", given(silent))
        house.daemon.send(*({"type": "run.finish", "tenant": "4711", "data": n} for n in range(3)))
        silent.wait(3)
        assert house.curl("DELETE", "/v1/webhooks/orders").status == 204
        _, out, _ = house.daemon.verb("status", "4711/orders", "--output", "json")
        row = yaml.safe_load(out)
        assert (row["pending"], row["dead"]) == (0, 3), row
        # The next one of this id begins anew.
        house.curl("PUT", "/v1/webhooks/orders", given(silent))
        _, out, _ = house.daemon.verb("status", "4711/orders", "--output", "json")
        assert yaml.safe_load(out)["pending"] == 0
    finally:
        silent.close()


def test_a_suspended_webhook_that_is_made_again_is_not_suspended(house: House, receiver: Receiver) -> None:
    house.curl("PUT", "/v1/webhooks/orders", given(receiver))
    assert house.daemon.verb("suspend", "4711/orders")[0] == 0
    assert house.curl("POST", "/v1/webhooks/orders/resume").json()["changed"] is True
    assert house.daemon.verb("suspend", "4711/orders")[0] == 0
    house.curl("DELETE", "/v1/webhooks/orders")
    house.curl("PUT", "/v1/webhooks/orders", given(receiver))
    house.daemon.send({"type": "run.finish", "tenant": "4711"})
    receiver.wait(1)


def test_a_profile_that_is_gone_is_the_operators_to_mend(house: House) -> None:
    without = REST.replace("  payroll:\n", "  wages:\n")
    house.config.write_text(house.head.replace("profile: payroll", "profile: wages") + without)
    house.daemon.wait_line("config.reloaded")
    refused = house.curl("PUT", "/v1/webhooks/orders", given())
    assert (refused.status, refused.code) == (409, "profile_unfit")
    assert "payroll" not in refused.body.decode()
    assert "no profile `payroll`" in str(house.daemon.wait_line("management.unfit")["reason"])


def test_a_profile_with_a_secret_is_not_for_tenants(house: House, receiver: Receiver) -> None:
    """Whoever says where requests go would read it: `check` tells, and a profile that tenants use cannot get one."""
    assert house.curl("PUT", "/v1/webhooks/orders", given(receiver)).status == 201
    good = house.config.read_text()
    house.config.write_text(good.replace("X-Operator: plain", "X-Operator: {env: OPERATOR_HEADER}"))
    rejected = house.daemon.wait_line("config.rejected")
    assert (rejected["code"], rejected["line"]) == ("secret_for_tenants", 9)
    house.daemon.send({"type": "run.finish", "tenant": "4711"})
    [taken] = receiver.wait(1)
    assert taken.headers["x-operator"] == "plain"
    code, out, err = hookd("check", "--config", house.config)
    assert code == 1
    assert (out + err).count("error[secret_for_tenants]") + (out + err).count("secret_for_tenants") >= 2, out + err
    house.config.write_text(good.replace('"4712", profile: payroll}', '"4712", profile: leaky}'))
    assert "`auth` of the profile `leaky` would be sent" in "".join(hookd("check", "--config", house.config)[1:])


def test_one_tenants_filter_does_not_take_the_time_of_all(house: House) -> None:
    """Each of these patterns takes tens of megabytes and a fifth of a second to compile, if one lets it."""
    assert house.daemon.process is not None
    heavy = [{"data.x": {"regex": f"(\\pL{{1,300}}x{number})+b"}} for number in range(1000)]
    for filter_ in (
        {"any": heavy},
        {"data.x": {"regex": "(\\pL{1,300}x)+b"}},
        {"data.x": {"regex": "a" * 501}},
        {"any": [{"data.x": {"regex": str(number)}} for number in range(9)]},
        {"data.x": {"in": list(range(1001))}},
        {"not": {"all": [{"data.x": number} for number in range(600)]}},
    ):
        watch = Stopwatch(house.daemon.process.pid, os.getpid())
        refused = house.curl("PUT", "/v1/webhooks/orders", given(filter=filter_))
        assert (refused.status, refused.pointers) == (422, ["/filter"]), refused
        assert watch.seconds() < 5
    some = {"any": [{"data.x": {"regex": f"^(\\p{{Lu}}\\p{{Ll}}+ ){{2,5}}{n}"}} for n in range(8)], "data.y": [1] * 500}
    assert house.curl("PUT", "/v1/webhooks/orders", given(filter=some)).status == 201


def test_a_change_that_cannot_be_written_is_no_change(house: House) -> None:
    (house.top / "managed").write_text("a file stands in the way\n")
    refused = house.curl("PUT", "/v1/webhooks/orders", given())
    assert (refused.status, refused.code) == (503, "not_written")
    assert house.curl("GET", "/v1/webhooks/orders").status == 404
    (house.top / "managed").unlink()
    assert house.curl("PUT", "/v1/webhooks/orders", given()).status == 201


def test_what_git_cannot_do_is_told_and_keeps_nobody(house: House) -> None:
    (house.top / "managed").mkdir()
    (house.top / "managed" / ".git").write_text("nonsense\n")
    assert house.curl("PUT", "/v1/webhooks/orders", given()).status == 201
    deadline = time.monotonic() + PATIENCE_S
    # It is told for what is left from before, too, if the directory was there when that was looked at.
    while not any("not committed: git " in str(line.get("reason")) for line in list(house.daemon.lines)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert house.curl("GET", "/v1/webhooks/orders").status == 200


def test_a_daemon_on_its_last_good_config_takes_changes(house: House, receiver: Receiver) -> None:
    assert house.curl("PUT", "/v1/webhooks/orders", given(receiver)).status == 201
    house.daemon.wait_line("webhook.changed")
    assert house.daemon.stop() == 0
    good = house.config.read_text()
    house.config.write_text(good + "broken: [\n")
    mark = len(house.daemon.lines)
    house.daemon.start()
    house.daemon.wait_line("config.last_good", since=mark)
    assert house.curl("GET", "/v1/webhooks/orders").status == 200
    assert house.curl("PUT", "/v1/webhooks/second", given(receiver)).status == 201
    house.config.write_text(good)
    assert house.daemon.verb("reload")[0] == 0
    assert len(house.curl("GET", "/v1/webhooks").json()["webhooks"]) == 2


# --------------------------------------------------------------------------- the operator


def test_put_and_remove_are_the_same_for_the_operator(house: House, tmp_path: Path) -> None:
    definition = tmp_path / "definition.yaml"
    definition.write_text(
        "profile: payroll\nurl: https://example.com/a\nevents: [run.finish]\nheaders: {X-A: {env: OPERATOR_HEADER}}\n"
    )
    code, out, err = house.daemon.verb("put", "4711/theirs", "--file", definition)
    assert (code, err) == (0, "")
    assert "4711/theirs is live, revision " in out
    assert "shown this once: whsec_" in out
    assert house.curl("GET", "/v1/webhooks/theirs").status == 404, "it has what no tenant may set"
    assert house.curl("PUT", "/v1/webhooks/theirs", given()).code == "taken"
    _, out, _ = house.daemon.verb("put", "4711/theirs", "--file", definition, "--output", "json")
    revision = yaml.safe_load(out)["revision"]
    assert house.daemon.verb("put", "4711/theirs", "--file", definition, "--new")[0] == 1
    assert house.daemon.verb("put", "4711/theirs", "--file", definition, "--revision", revision)[0] == 0
    assert house.daemon.verb("put", "4711/theirs", "--file", definition, "--revision", "0" * 32)[0] == 1
    # What was written can be put again.
    assert house.daemon.verb("put", "4711/theirs", "--file", house.file("4711/theirs"))[0] == 0
    _, out, _ = house.daemon.verb("list", "--output", "json")
    assert {each["id"]: each["managed"] for each in yaml.safe_load(out)} == {"4711/theirs": True, "ops": False}
    head, theirs, ops = house.daemon.verb("list")[1].splitlines()
    at = head.index("MANAGED")
    assert (theirs[at:].split()[0], ops[at:].split()[0]) == ("yes", "-")
    code, out, _ = house.daemon.verb("show", "4711/theirs", "--output", "json")
    assert (code, yaml.safe_load(out)["id"]) == (0, "4711/theirs")
    code, out, _ = house.daemon.verb("remove", "4711/theirs")
    assert (code, out) == (0, "4711/theirs is removed, its backlog is dead\n")
    who = house.git("log", "--format=%an").splitlines()
    assert len(who) == 2
    assert who[0] == who[1] != "acme-api (tenant 4711)"


def test_what_put_does_not_take_is_told_with_file_and_line(house: House) -> None:
    bad = (
        b'url: "http://10.0.0.1/"\nevents:\n  - run.finsh\nfilter:\n  data.x: {gtx: 1, lt: true}\n'
        b"body:\n  template: >\n    a\n    $(foo)\n"
    )
    code, out, err = house.daemon.verb("put", "plain", "--file", "-", stdin=bad)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        (
            "standard input:3:5: error: no event type of the catalogue matches `run.finsh`; did you mean `run.finish`? "
            "[unknown_event_type]"
        ),
        "  3 |   - run.finsh",
        "    |     ^^^^^^^^^",
        "standard input:5:12: error: unknown operator `gtx`; did you mean `gt`? [bad_filter]",
        "  5 |   data.x: {gtx: 1, lt: true}",
        "    |            ^^^",
        "standard input:5:24: error: `lt`: expected a number or a text [bad_filter]",
        "  5 |   data.x: {gtx: 1, lt: true}",
        "    |                        ^^^^",
        (
            "standard input:7:13: error: unknown attribute `foo`; what the event carries is written `data.foo` "
            "[bad_template]"
        ),
        "  7 |   template: >",
        "    |             ^",
        "hookd: plain: the definition is not right; nothing was changed",
    ]
    nested = b"webhooks:\n  plain:\n    url: https://a.example/\n    tiemout: 5s\n"
    code, out, err = house.daemon.verb("put", "plain", "--file", "-", "--output", "json", stdin=nested)
    missing, unknown = yaml.safe_load(out or err)["error"]["errors"]
    assert {"pointer": "", "line": 2, "column": 3, "code": "missing_key"}.items() <= missing.items()
    assert {"pointer": "/tiemout", "of_key": True, "line": 4, "column": 5, "file": "standard input"}.items() <= (
        unknown.items()
    )
    assert house.daemon.verb("put", "plain", "--file", "-", stdin=b"a: [")[0] == 1
    assert house.daemon.verb("put", "plain", "--file", "/nowhere")[0] == 2
    assert house.daemon.verb("put", "ops", "--file", "-", stdin=b"url: https://a.example/\nevents: []\n")[0] == 1
    code, _, err = house.daemon.verb("remove", "ops")
    assert code == 1
    assert re.fullmatch(
        rf"hookd: this webhook stands in the operator's files, at {re.escape(str(house.daemon.config))}:\d+:\d+; "
        r"change it there\n",
        err,
    )
    assert house.daemon.verb("remove", "nothing")[0] == 1
    code, _, err = hookd("put", "a", "--file", "-", "--control", house.top / "nobody.sock", stdin=b"a: 1")
    assert code == 69, err
