"""What holds a backlog and what frees it, seen from outside: a real daemon, YAML that is edited, and the verbs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import Receiver, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.house import Daemon

LONG_S = 60.0

CONFIG = """
webhooks:
  crm:
    url: {url}crm
    allow_networks: [127.0.0.0/8]
    events: [x]
    body: {{template: $(data)}}
    retry: {{schedule: [1s, 1h, 1h]}}
  beside:
    url: {url}beside
    allow_networks: [127.0.0.0/8]
    events: ["*"]
    tenant: "*"
    body: {{template: $(data)}}
  ops:
    url: {url}ops
    allow_networks: [127.0.0.0/8]
    events: ["hookd.*"]
    tenant: "*"
    body: {{template: {{type: $(type), data: $(data)}}}}
"""


class Scene:
    """A daemon, its receiver, and how the webhook `crm` is answered."""

    def __init__(self, daemon_of: Callable[[str], Daemon]) -> None:
        self.statuses: dict[str, int] = {}
        self.receiver = Receiver(lambda taken: self.statuses.get(taken.path, 200))
        self.daemon = daemon_of(CONFIG.format(url=self.receiver.url))
        self.daemon.start()

    def send(self, *bodies: object, kind: str = "x", **attributes: object) -> None:
        replies = self.daemon.send(*({"type": kind, "data": body, **attributes} for body in bodies))
        assert {reply["status"] for reply in replies} == {"accepted"}

    def edit(self, old: str, new: str) -> None:
        """Edit the file as a person does, and wait until it runs."""
        mark = len(self.daemon.lines)
        text = self.daemon.config.read_text()
        assert text.count(old) == 1, (old, text)
        self.daemon.config.write_text(text.replace(old, new))
        self.daemon.wait_line("config.reloaded", since=mark)

    def at(self, path: str) -> list[Any]:
        return [taken.json() for taken in list(self.receiver.taken) if taken.path == path]

    def wait(self, path: str, count: int) -> list[Any]:
        """Wait until a path got so many requests; give their bodies."""

        def arrived() -> bool:
            return len(self.at(path)) >= count

        with self.receiver._news:
            assert self.receiver._news.wait_for(arrived, LONG_S), (
                path,
                count,
                self.at(path),
                self.daemon.lines[-8:],
            )
        return self.at(path)

    def pass_by(self, body: object) -> None:
        """Send one that `beside` gets: what was sent before it has had its chance."""
        self.send(body, kind="y")
        with self.receiver._news:
            assert self.receiver._news.wait_for(lambda: body in self.at("/beside"), LONG_S), self.daemon.lines[-8:]

    def verb(self, *arguments: str) -> str:
        code, out, err = self.daemon.verb(*arguments)
        assert (code, err) == (0, ""), (arguments, code, out, err)
        return out

    def status(self, webhook: str = "crm") -> dict[str, Any]:
        row = json.loads(self.daemon.verb("status", webhook, "--output", "json")[1])
        assert isinstance(row, dict)
        return row

    def told(self, kind: str) -> list[Any]:
        return [each["data"] for each in self.at("/ops") if each["type"] == kind]


@pytest.fixture
def scene(daemon_of: Callable[[str], Daemon]) -> Iterator[Scene]:
    one = Scene(daemon_of)
    yield one
    assert one.daemon.stop() == 0
    one.receiver.close()


def test_paused_holds_and_matches(scene: Scene) -> None:
    scene.edit("/crm\n", "/crm\n    paused: true\n")
    scene.send(1, 2)
    scene.pass_by("after")
    row = scene.status()
    assert (row["state"], row["pending"], row["held"], scene.at("/crm")) == ("paused", 2, 2, [])
    scene.edit("    paused: true\n", "")
    assert sorted(scene.wait("/crm", 2)) == [1, 2]


def test_inactive_matches_nothing_and_holds_what_it_was_owed(scene: Scene) -> None:
    scene.statuses["/crm"] = 500
    scene.send("owed")
    scene.wait("/crm", 1)
    scene.edit("/crm\n", "/crm\n    active: false\n")
    scene.send("not owed")
    row = scene.status()
    assert (row["state"], row["pending"], row["held"]) == ("inactive", 1, 1)
    scene.statuses.clear()
    scene.edit("    active: false\n", "")
    scene.wait("/crm", 2)
    scene.pass_by("after")
    assert scene.at("/crm") == ["owed", "owed"]


def test_a_webhook_that_leaves_the_files_keeps_its_backlog(scene: Scene) -> None:
    scene.statuses["/crm"] = 500
    scene.send("owed")
    scene.wait("/crm", 1)
    text = scene.daemon.config.read_text()
    start, end = text.index("  crm:"), text.index("  beside:")
    scene.edit(text[start:end], "")
    row = scene.status()
    assert (row["state"], row["pending"], row["held"]) == ("missing", 1, 1)
    scene.daemon.kill()  # and over a restart
    scene.daemon.start()
    assert scene.status()["pending"] == 1
    scene.statuses.clear()
    scene.edit("webhooks:\n", "webhooks:\n" + text[start:end])
    assert scene.wait("/crm", 2) == ["owed", "owed"]


def test_what_is_held_for_one_that_is_gone_needs_a_person_who_may_give_it_up(scene: Scene) -> None:
    scene.statuses["/crm"] = 500
    scene.send(1, 2)
    scene.wait("/crm", 2)
    assert scene.daemon.verb("status")[0] == 0, "it is retried"
    assert scene.daemon.verb("remove", "crm")[0] == 1, "it stands in a file"
    text = scene.daemon.config.read_text()
    start, end = text.index("  crm:"), text.index("  beside:")
    scene.edit(text[start:end], "")
    code, out, _ = scene.daemon.verb("status")
    assert code == 1
    assert "2 deliveries are held for webhooks that are gone: crm (2)" in out.splitlines()
    code, out, _ = scene.daemon.verb("status", "crm", "--output", "json")
    assert (code, json.loads(out)["needs_person"]) == (1, "missing")
    assert scene.daemon.verb("remove", "crm", "--revision", "0" * 32)[0] == 1
    code, out, err = scene.daemon.verb("remove", "crm")
    assert (code, out, err) == (0, "crm is in no file; 2 deliveries that were held for it are dead now\n", "")
    code, out, _ = scene.daemon.verb("status", "--output", "json")
    assert (code, json.loads(out)["needs"]) == (0, [])
    row = scene.status()
    assert (row["state"], row["pending"], row["dead"]) == ("missing", 0, 2)
    changed = scene.daemon.wait_line("webhook.changed")
    assert (changed["webhook"], changed["change"]) == ("crm", "removed")
    attempted = len(scene.at("/crm"))  # a retry may have come before the edit
    # There is nothing left to give up; and what was is still to be had, for as long as the events are kept.
    code, _, err = scene.daemon.verb("remove", "crm")
    assert (code, "nothing is held" in err) == (1, True)
    assert scene.daemon.verb("remove", "crn")[0] == 1
    scene.statuses.clear()
    scene.edit("webhooks:\n", "webhooks:\n" + text[start:end])
    scene.pass_by("after")
    assert len(scene.at("/crm")) == attempted
    assert scene.verb("redrive", "crm").startswith("2 ")
    assert sorted(scene.wait("/crm", attempted + 2)[attempted:]) == [1, 2]


def test_suspended_by_hand_until_resumed_and_over_a_restart(scene: Scene) -> None:
    assert (
        scene.verb("suspend", "crm", "--cause", "they move house")
        == "crm is suspended; 0 pending deliveries are held\n"
    )
    assert scene.verb("suspend", "crm").startswith("crm was suspended already")
    scene.send(1, 2)
    scene.pass_by("after")
    code, out, _ = scene.daemon.verb("status")
    assert (code, "they move house" in out) == (1, True)
    assert (scene.status()["held"], scene.at("/crm")) == (2, [])
    scene.wait("/ops", 1)
    scene.daemon.kill()
    scene.daemon.start()
    assert (scene.status()["state"], scene.at("/crm")) == ("suspended", [])
    assert scene.verb("resume", "crm") == "crm is resumed; 2 pending deliveries are due now\n"
    assert sorted(scene.wait("/crm", 2)) == [1, 2]
    scene.wait("/ops", 2)
    assert [each["cause"] for each in scene.told("hookd.webhook.suspended")] == ["they move house"]
    assert [each["suspended_cause"] for each in scene.told("hookd.webhook.resumed")] == ["they move house"]
    assert scene.verb("resume", "crm").startswith("crm was not suspended")


def test_gone_suspends_and_another_url_heals(scene: Scene) -> None:
    scene.statuses["/crm"] = 410
    scene.send("owed")
    scene.daemon.wait_line("webhook.suspended", webhook="crm", cause="gone")
    scene.send("more")
    scene.pass_by("after")
    assert (scene.status()["held"], scene.at("/crm")) == (2, ["owed"])
    scene.wait("/ops", 1)
    mark = len(scene.daemon.lines)
    scene.edit("/crm\n", "/new\n")
    assert sorted(scene.wait("/new", 2)) == ["more", "owed"]
    scene.daemon.wait_line("webhook.resumed", since=mark, webhook="crm")
    scene.wait("/ops", 2)
    assert [each["cause"] for each in scene.told("hookd.webhook.suspended")] == ["gone"]
    assert len(scene.told("hookd.webhook.resumed")) == 1


def test_a_mended_definition_heals_what_failed(scene: Scene) -> None:
    scene.statuses["/crm"] = 500
    scene.send(*range(3))
    scene.wait("/crm", 3)
    scene.statuses["/crm"] = 404
    scene.edit("    body: {template: $(data)}\n    retry", "    body: {template: {v: $(data)}}\n    retry")
    scene.wait("/crm", 6)  # due at once, and again refused: now for an hour
    scene.edit("/crm\n", "/mended\n")
    assert sorted(body["v"] for body in scene.wait("/mended", 3)) == [0, 1, 2]
    assert scene.status()["pending"] == 0


def test_a_webhook_that_passes_to_another_tenant_gets_nothing_of_the_old_one(scene: Scene) -> None:
    scene.edit("/crm\n", "/crm\n    tenant: acme\n")
    scene.statuses["/crm"] = 500
    scene.send("acme's", tenant="acme")
    scene.wait("/crm", 1)
    scene.statuses.clear()
    scene.edit(
        "    url: " + scene.receiver.url + "crm\n    tenant: acme\n",
        "    url: " + scene.receiver.url + "zeta\n    tenant: zeta\n",
    )
    scene.send("zeta's", tenant="zeta")
    assert scene.wait("/zeta", 1) == ["zeta's"]
    scene.pass_by("after")
    row = scene.status()
    assert (row["pending"], row["held"], scene.at("/zeta")) == (1, 1, ["zeta's"])
    out = scene.verb("replay", "--webhook", "crm", "--all", "--dry-run", "--output", "json")
    assert json.loads(out)["new"] == 0
    scene.edit("    tenant: zeta\n", "    tenant: acme\n")
    assert sorted(scene.wait("/zeta", 2)) == ["acme's", "zeta's"]


def test_a_new_webhook_gets_what_was_kept_before_it(scene: Scene) -> None:
    scene.send(*range(1200))
    scene.wait("/crm", 1200)
    young = f"""  young:
    url: {scene.receiver.url}young
    allow_networks: [127.0.0.0/8]
    events: [x]
    filter: {{data: {{gte: 600}}}}
    body: {{template: $(data)}}
"""
    scene.edit("  beside:\n", young + "  beside:\n")
    out = scene.verb("replay", "--webhook", "young", "--since", "1h", "--dry-run")
    assert out == (
        "would replay 600 events to young\n  600 for the first time, 0 anew\n"
        "  passed over: 0 pending already, 600 not for this webhook\n"
    )
    scene.pass_by("after")
    assert scene.at("/young") == []
    out = scene.verb("replay", "--webhook", "young", "--since", "1h")
    assert out.startswith("600 events replayed to young\n")
    assert sorted(scene.wait("/young", 600)) == list(range(600, 1200))
    assert len(scene.at("/crm")) == 1200


def test_what_was_delivered_comes_again_under_its_id(scene: Scene) -> None:
    scene.send("once")
    (first,) = (taken for taken in scene.receiver.wait(2) if taken.path == "/crm")
    scene.verb("replay", "--webhook", "crm", "--type", "x")
    scene.wait("/crm", 2)
    second: Taken = [taken for taken in scene.receiver.taken if taken.path == "/crm"][1]
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body


def test_dead_ones_are_told_counted_and_redriven_but_tests_are_not(scene: Scene) -> None:
    scene.edit("    retry: {schedule: [1s, 1h, 1h]}\n", "    retry: {schedule: []}\n")
    scene.statuses["/crm"] = 400
    scene.send("SECRET")
    dead = scene.daemon.wait_line("delivery.dead", webhook="crm")
    assert scene.daemon.verb("test", "crm", "--type", "x", "--data", '"test"')[0] == 1
    assert scene.status()["dead"] == 1
    assert scene.verb("redrive", "crm", "--dry-run") == "1 dead delivery would be due again\n  crm  1\n"
    assert scene.status()["dead"] == 1
    scene.wait("/ops", 1)
    (told,) = scene.told("hookd.delivery.dead")
    assert (told["webhook"], told["count"], told["causes"]) == ("crm", 1, {"exhausted": 1})
    assert told["deliveries"][0]["delivery_id"] == dead["delivery_id"]
    assert told["deliveries"][0]["last_status"] == 400
    assert "SECRET" not in json.dumps(told)
    scene.statuses.clear()
    assert scene.verb("redrive", "crm") == "1 dead delivery is due again\n"
    assert scene.wait("/crm", 3) == ["SECRET", "test", "SECRET"]
    scene.pass_by("after")
    assert scene.at("/crm") == ["SECRET", "test", "SECRET"]


def test_refused_files_are_told_and_deaths_of_own_events_are_not(scene: Scene) -> None:
    scene.edit('    events: ["hookd.*"]\n', '    events: ["hookd.*"]\n    retry: {schedule: []}\n')
    scene.statuses["/ops"] = 400
    mark = len(scene.daemon.lines)
    good = scene.daemon.config.read_text()
    scene.daemon.config.write_text(good.replace("    events: [x]\n", "    evnts: [x]\n"))
    scene.daemon.wait_line("config.rejected", since=mark)
    (told,) = scene.wait("/ops", 1)
    assert told["type"] == "hookd.config.rejected"
    assert told["data"]["problems"][0]["line"] == good[: good.index("    events: [x]")].count("\n") + 1
    scene.daemon.wait_line("delivery.dead", webhook="ops", event_type="hookd.config.rejected")
    scene.daemon.config.write_text(good)
    scene.daemon.wait_line("config.restored", since=mark)
    scene.pass_by("after")
    assert len(scene.at("/ops")) == 1
    assert scene.status("ops")["dead"] == 1
