"""What callers may do, and what becomes of what they wish: the decisions, without a daemon."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from hookd.config.load import Loaded, load
from hookd.config.managing.managed import Keyring, render_file
from hookd.control import management
from hookd.control.callers import Caller
from hookd.control.management import (
    Act,
    Conditions,
    Directory,
    ManagementRefused,
    Plan,
    Wish,
    find_expired,
    make_plan,
    secret_paths,
)

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR = Caller(name="root")
ACME = Caller(name="acme-api", tenant="acme", profile="p")
OTHER = Caller(name="other-api", tenant="other", profile="p")
MAIN = """
version: 1
managed_dir: managed
profiles: {p: {timeout: 1s}, q: {timeout: 2s}}
webhooks: {ops: {url: "https://ops.example.com/", events: [a], tenant: acme}}
moved: [{from: acme/gone, to: ops}]
"""
GIVEN: dict[str, Any] = {"name": "Orders", "url": "https://example.com/", "events": ["a"]}


class Shop:
    """A config with managed webhooks, on disk and loaded."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "managed").mkdir()
        (top / "hookd.yaml").write_text(MAIN)
        numbers = count(1)
        self.keyring = Keyring(str(top), lambda: f"secret {next(numbers)}")

    def write(self, webhook_id: str, **definition: object) -> None:
        content = render_file(webhook_id, definition, who="me", when="now")
        (self.top / "managed" / f"{webhook_id.replace('/', '+')}.yaml").write_bytes(content)

    def add(self, webhook_id: str, caller: Caller, **given: object) -> None:
        self.write(webhook_id, **caller.define(webhook_id, {**GIVEN, **given}))

    def base(self) -> Loaded:
        return load(self.top / "hookd.yaml")

    def plan(self, act: Act, webhook_id: str, caller: Caller, **more: Any) -> Plan:
        wish = Wish(act=act, id=webhook_id, caller=caller, **more)
        return make_plan(wish, Directory(self.base()), self.keyring)

    def refused(self, act: Act, webhook_id: str, caller: Caller, **more: Any) -> tuple[int, str]:
        with pytest.raises(ManagementRefused) as caught:
            self.plan(act, webhook_id, caller, **more)
        return caught.value.status, caught.value.code

    def etag(self, webhook_id: str) -> str:
        written = Directory(self.base()).find(webhook_id)
        assert written is not None
        return written.etag


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


# --------------------------------------------------------------------------- who may do what


def test_a_tenant_may_leave_its_own_name_out_and_reaches_no_other() -> None:
    assert ACME.full_id("orders") == "acme/orders"
    assert ACME.full_id("acme/orders") == "acme/orders"
    assert ACME.full_id("other/orders") is None
    assert ACME.full_id("acme2/orders") is None
    assert ACME.full_id("/orders") is None
    assert OPERATOR.full_id("orders") == "orders"


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, []),
        ({"active": False, "paused": True, "filter": {"data.a": 1}, "test_event": {"type": "a"}}, []),
        ({"auth": {"bearer": {"file": "/etc/passwd"}}}, [("/auth", "not_settable")]),
        ({"headers": {"X": {"env": "HOME"}}}, [("/headers", "not_settable")]),
        ({"allow_networks": ["10.0.0.0/8"]}, [("/allow_networks", "not_settable")]),
        ({"tenant": "acme"}, [("/tenant", "not_settable")]),
        ({"profile": "p"}, [("/profile", "not_settable")]),
        ({"sign": None}, [("/sign", "not_settable")]),
        ({"x-own": 1}, [("/x-own", "not_settable")]),
        ({"a/b~": 1}, [("/a~1b~0", "not_settable")]),
        ({"url": {"file": "/etc/passwd"}}, [("/url", "wrong_type")]),
        ({"filter": None}, [("/filter", "wrong_type")]),
        ({"active": 1}, [("/active", "wrong_type")]),
        ({"name": " "}, [("/name", "bad_value")]),
        ({"name": "a\nb"}, [("/name", "bad_value")]),
        ({"name": "n" * 201}, [("/name", "bad_value")]),
        ({"events": ["a", "hookd.*"]}, [("/events/1", "unknown_event_type")]),
        ({"events": [{"event": "hookd.webhook.suspended"}]}, [("/events/0", "unknown_event_type")]),
        ({"events": ["a"] * 201}, [("/events", "bad_value")]),
        ({"test_event": {"type": "a", "tenant": "zeta"}}, [("/test_event/tenant", "bad_value")]),
        ({"test_event": {"type": "a", "tenant": 5}}, [("/test_event/tenant", "bad_value")]),
        ({"test_event": {"type": "a", "tenant": "acme"}}, []),
        ({"test_event": {"data": [{"k" * 501: 1}]}}, [("/test_event/data/0", "bad_name")]),
    ],
)
def test_a_tenant_sets_what_is_its_own(given: dict[str, object], faults: list[tuple[str, str]]) -> None:
    assert [(it.pointer, it.code) for it in ACME.complaints({**GIVEN, **given})] == faults


def test_a_name_is_a_must_for_a_tenant_and_not_for_the_operator() -> None:
    assert [(it.pointer, it.code) for it in ACME.complaints({})] == [("", "missing_key")]
    assert OPERATOR.complaints({"headers": {"X": {"env": "HOME"}}}) == ()


def test_tenant_and_profile_come_from_the_token() -> None:
    given = {**GIVEN, "tenant": "other", "profile": "q", "headers": {}}
    assert ACME.define("acme/orders", given) == {"profile": "p", "tenant": "acme", **GIVEN}
    assert OPERATOR.define("acme/orders", GIVEN) == {"tenant": "acme", **GIVEN}
    assert OPERATOR.define("orders", GIVEN) == GIVEN


def test_a_tenant_sees_its_own_and_nothing_else(shop: Shop) -> None:
    shop.add("acme/orders", ACME)
    shop.add("other/orders", OTHER)
    shop.add("acme/theirs", OPERATOR, headers={"X": "y"})
    shop.write("acme/profile", profile="q", tenant="acme", **GIVEN)
    (shop.top / "managed" / "acme+hand.yaml").write_text(
        "webhooks: {acme/hand: {tenant: acme, profile: p, url: 'https://a.example/', events: [a]},"
        " acme/two: {tenant: acme, profile: p, url: 'https://a.example/', events: [a]}}"
    )
    directory = Directory(shop.base())
    assert [name for name in directory.ids(ACME) if directory.visible(ACME, name)] == ["acme/orders"]
    assert [name for name in directory.ids(OTHER) if directory.visible(OTHER, name)] == ["other/orders"]
    assert [name for name in directory.ids(OPERATOR) if directory.visible(OPERATOR, name)] == [
        "acme/orders",
        "acme/profile",
        "acme/theirs",
        "other/orders",
    ]


# --------------------------------------------------------------------------- what becomes of a wish


def test_a_new_webhook_gets_a_secret_of_its_own(shop: Shop) -> None:
    plan = shop.plan(Act.PUT, "acme/orders", ACME, given=GIVEN)
    assert plan.word == "created"
    assert plan.changes
    assert plan.new_secret is not None
    assert secret_paths(plan.definition) == [plan.new_secret]
    plain = shop.plan(Act.PUT, "orders", OPERATOR, given=GIVEN)
    assert plain.new_secret is None
    assert "sign" not in (plain.definition or {})
    unsigned = shop.plan(Act.PUT, "acme/unsigned", OPERATOR, given={**GIVEN, "sign": None})
    assert unsigned.new_secret is None


def test_the_same_again_is_no_change_and_another_keeps_the_secret(shop: Shop) -> None:
    first = shop.plan(Act.PUT, "acme/orders", ACME, given=GIVEN)
    assert first.definition is not None
    shop.write("acme/orders", **first.definition)
    assert not shop.plan(Act.PUT, "acme/orders", ACME, given=GIVEN).changes
    replaced = shop.plan(Act.PUT, "acme/orders", ACME, given={**GIVEN, "active": False})
    assert (replaced.word, replaced.changes, replaced.new_secret) == ("replaced", True, None)
    assert (replaced.definition or {})["sign"] == first.definition["sign"]


def test_what_is_somebody_elses_is_not_taken_over(shop: Shop) -> None:
    shop.add("acme/theirs", OPERATOR, headers={"X": "y"})
    (shop.top / "managed" / "acme+file.yaml").write_text("x-note: a person's\n")
    assert shop.refused(Act.PUT, "acme/theirs", ACME, given=GIVEN) == (409, "taken")
    assert shop.refused(Act.PUT, "acme/file", ACME, given=GIVEN) == (409, "taken")
    assert shop.refused(Act.PUT, "acme/gone", ACME, given=GIVEN) == (409, "taken")
    assert shop.refused(Act.PUT, "ops", OPERATOR, given=GIVEN) == (409, "taken")
    assert shop.refused(Act.REMOVE, "ops", OPERATOR) == (409, "not_managed")
    assert shop.refused(Act.ROTATE, "ops", OPERATOR) == (409, "not_managed")
    assert shop.refused(Act.REMOVE, "acme/theirs", ACME) == (404, "not_found")
    assert shop.refused(Act.ROTATE, "acme/theirs", ACME) == (404, "not_found")
    assert shop.refused(Act.REMOVE, "acme/never", ACME) == (404, "not_found")


def test_of_one_that_is_in_no_file_the_operator_may_end_the_backlog(shop: Shop) -> None:
    plan = shop.plan(Act.REMOVE, "acme/never", OPERATOR)
    assert (plan.only_backlog, plan.word) == (True, "removed")
    shop.add("acme/orders", ACME)
    assert not shop.plan(Act.REMOVE, "acme/orders", OPERATOR).only_backlog
    assert not shop.plan(Act.PUT, "acme/new", OPERATOR, given=GIVEN).only_backlog
    # Nobody says whose it was: for a tenant it is not there. Nor is there a secret to rotate, or a revision to match.
    assert shop.refused(Act.REMOVE, "acme/never", ACME) == (404, "not_found")
    assert shop.refused(Act.ROTATE, "acme/never", OPERATOR) == (404, "not_found")
    conditions = Conditions(etags=("*",))
    assert shop.refused(Act.REMOVE, "acme/never", OPERATOR, conditions=conditions) == (412, "revision_conflict")
    # It takes no managed directory, since no file is concerned.
    (shop.top / "hookd.yaml").write_text("version: 1\n")
    assert shop.plan(Act.REMOVE, "crm", OPERATOR).only_backlog


def test_an_id_that_is_none_is_refused(shop: Shop) -> None:
    assert shop.refused(Act.PUT, "acme/Orders", ACME, given=GIVEN) == (422, "bad_id")
    assert shop.refused(Act.PUT, "acme/test", ACME, given=GIVEN) == (422, "bad_id")
    assert shop.refused(Act.PUT, "acme/../ops", OPERATOR, given=GIVEN) == (422, "bad_id")


def test_a_revision_that_is_gone_changes_nothing(shop: Shop) -> None:
    shop.add("acme/orders", ACME)
    etag = shop.etag("acme/orders")
    for conditions in (Conditions(etags=(etag,)), Conditions(etags=("x", etag)), Conditions(etags=("*",))):
        shop.plan(Act.PUT, "acme/orders", ACME, given=GIVEN, conditions=conditions)
        shop.plan(Act.REMOVE, "acme/orders", ACME, conditions=conditions)
    for conditions in (Conditions(etags=("x",)), Conditions(etags=())):
        assert shop.refused(Act.PUT, "acme/orders", ACME, given=GIVEN, conditions=conditions)[0] == 412
        assert shop.refused(Act.REMOVE, "acme/orders", ACME, conditions=conditions)[0] == 412
    absent = Conditions(absent=True)
    assert shop.refused(Act.PUT, "acme/orders", ACME, given=GIVEN, conditions=absent) == (412, "exists")
    assert shop.refused(Act.PUT, "acme/new", ACME, given=GIVEN, conditions=Conditions(etags=("*",)))[0] == 412


def test_a_tenant_has_so_many_webhooks_and_no_more(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "MOST_WEBHOOKS", 2)
    shop.add("acme/one", ACME)
    shop.plan(Act.PUT, "acme/two", ACME, given=GIVEN)
    shop.add("acme/two", ACME)
    assert shop.refused(Act.PUT, "acme/three", ACME, given=GIVEN) == (409, "too_many_webhooks")
    shop.plan(Act.PUT, "acme/two", ACME, given=GIVEN)
    shop.plan(Act.PUT, "other/one", OTHER, given=GIVEN)


def test_without_a_managed_directory_nothing_is_changed(shop: Shop) -> None:
    (shop.top / "hookd.yaml").write_text("version: 1\n")
    assert shop.refused(Act.PUT, "acme/orders", ACME, given=GIVEN) == (409, "not_managed")
    assert Directory(shop.base()).ids(OPERATOR) == []


# --------------------------------------------------------------------------- secrets


def test_a_rotated_secret_signs_beside_the_one_before_for_a_day(shop: Shop) -> None:
    first = shop.plan(Act.PUT, "acme/orders", ACME, given=GIVEN)
    assert first.definition is not None
    assert first.new_secret is not None
    shop.keyring.make(first.new_secret)
    shop.write("acme/orders", **first.definition)
    rotated = shop.plan(Act.ROTATE, "acme/orders", ACME)
    assert rotated.definition is not None
    assert rotated.new_secret is not None
    assert secret_paths(rotated.definition) == [rotated.new_secret, first.new_secret]
    shop.keyring.make(rotated.new_secret)
    shop.write("acme/orders", **rotated.definition)
    made_at = shop.keyring.made_at(rotated.new_secret)
    assert made_at is not None
    assert find_expired(Directory(shop.base()), shop.keyring, made_at + 86_399) == []
    assert find_expired(Directory(shop.base()), shop.keyring, made_at + 86_401) == ["acme/orders"]
    expired = shop.plan(Act.EXPIRE, "acme/orders", OPERATOR)
    assert (expired.word, expired.new_secret) == ("rotated", None)
    assert secret_paths(expired.definition) == [rotated.new_secret]
    again = shop.plan(Act.ROTATE, "acme/orders", ACME)
    assert secret_paths(again.definition) == [again.new_secret, rotated.new_secret], "two at most"


def test_a_secret_that_hookd_did_not_make_is_not_rotated(shop: Shop) -> None:
    shop.write("crm", **GIVEN, sign={"secrets": [{"file": "/etc/hookd/secret"}]})
    shop.write("bare", **GIVEN)
    assert shop.refused(Act.ROTATE, "crm", OPERATOR) == (409, "no_secret")
    assert shop.refused(Act.ROTATE, "bare", OPERATOR) == (409, "no_secret")
