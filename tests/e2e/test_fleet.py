"""A thousand endpoints, faults of all kinds, kills and restarts: what is true of every accepted event afterwards.

Three witnesses are held against each other: what the receivers saw, what the log said, and what the store holds, read
by the standard library's SQLite and not by ours.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hostile import Fleet, Street, chance_of, until
from tests.e2e.test_hostile import CASES, TIMEOUT_S, Case, make_contexts
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.hostile import Seen
    from tests.e2e.house import Daemon

pytestmark = pytest.mark.faults

ENDPOINTS = 1000
TYPES = 10
TO_ALL = 2
OF_A_TYPE = 30
STEPS = 3  # retries
STATES = ("pending", "delivered", "dead")
#: How long before a kill an answer may have come that was not on disk yet, in seconds, and what the machine had no core
#: for does not count; and how many, at most, of each kill are known to the store and not to the log.
UNRECORDED_S = 2.0
UNTOLD = 1000
#: The timeout of endpoints that hang, in seconds.
IMPATIENT_S = 1

#: What each endpoint does, by its number modulo 20; the rest is healthy.
MANNERS = {
    0: "fails",
    1: "not_found",
    2: "hangs",
    3: "closes",
    4: "gone",
    5: "refuses",
    6: "refuses_some",
    7: "slow",
    8: "closes_some",
    9: "hostile",
    10: "hostile",
    11: "hostile",
}

#: What the hostile ones do: each manner that reads the request of every attempt and then misbehaves in its own way.
#: Left out are those that stand for a single exchange, and floods of frames, which cost a core each for as long as they
#: last.
HOSTILE: dict[str, Case] = {
    name: case
    for name, case in CASES.items()
    if case.manner is not None
    and case.second is None
    and case.events == ("small",)
    and case.timeout <= TIMEOUT_S
    and name not in {"closes-when-reused", "h2-settings-flood", "h2-pings-flood"}
}
NAMES = [*HOSTILE]


def manner_of(number: int) -> str:
    return MANNERS.get(number % 20, "healthy")


def hostile_of(number: int) -> str:
    """Give which of the hostile manners an endpoint has: there are 150 of them, so each manner has one at least."""
    return NAMES[(number // 20 * 3 + number % 20 - 9) % len(NAMES)]


class Behaviour:
    """Decides for the fleet. What was answered with 200 once is so for ever: receivers are idempotent."""

    def __init__(self) -> None:
        self._dice = chance_of(20261121)
        self._done: set[str] = set()

    def __call__(self, _host: str, path: str, delivery: str, _body: bytes) -> tuple[int, float]:
        if delivery in self._done:
            return 200, 0.0
        manner = manner_of(int(path[2:]))
        answers = {"fails": 500, "not_found": 404, "hangs": -1, "closes": 0, "gone": 410}
        status = answers.get(manner, 200)
        if manner == "refuses_some" and self._dice.random() < 0.3:
            status = 409
        elif manner == "closes_some" and self._dice.random() < 0.1:
            status = 0
        if status == 200:
            self._done.add(delivery)
        return status, 0.2 if manner == "slow" else 0.0


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    one = Fleet(Behaviour())
    yield one
    one.close()


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    contexts = make_contexts(tmp_path)
    manners = {name: case.manner for name, case in HOSTILE.items() if case.manner is not None}
    one = Street(manners, {name: contexts[case.tls] for name, case in HOSTILE.items() if case.tls in contexts})
    yield one
    one.close()


def yaml_of(fleet: Fleet, street: Street) -> str:
    webhooks = []
    for number in range(ENDPOINTS):
        manner = manner_of(number)
        url = f"http://127.0.{1 + number // 250}.{1 + number % 250}:{9 if manner == 'refuses' else fleet.port}"
        impatient = manner == "hangs"
        tls = ""
        if manner == "hostile":
            name = hostile_of(number)
            case = HOSTILE[name]
            impatient = ends_at_deadline(case)
            url = f"{'https' if case.tls else 'http'}://127.0.0.1:{street[name].port}"
            tls = f"\n    tls: {{ca: ca.pem}}\n    http2: {str(case.http2).lower()}" if case.tls else ""
        webhooks.append(
            f"""
  w{number}:
    url: {url}/w{number}
    allow_networks: [127.0.0.0/8]
    events: [all, t{number % TYPES}]
    timeout: {IMPATIENT_S if impatient else 30}s
    retry: {{schedule: [{", ".join(["50ms"] * STEPS)}], jitter: 0.5}}{tls}"""
        )
    return f"  drain_timeout: 5s\nwebhooks:{''.join(webhooks)}\n"


def ends_at_deadline(case: Case) -> bool:
    return case.least > 0


Key = tuple[str, str]  # webhook, event


def key_of(seen: Seen) -> Key:
    return seen.path[1:], json.loads(seen.body)["data"]["id"]


def test_every_delivery_ends_in_one_state_and_all_witnesses_agree(
    daemon_of: Callable[..., Daemon], fleet: Fleet, street: Street
) -> None:
    daemon = daemon_of(yaml_of(fleet, street)).start()
    assert daemon.process is not None
    life = Stopwatch(daemon.process.pid)
    owed: dict[str, int] = {}

    def send(*types: str) -> None:
        events = [
            {"type": each, "id": f"e{len(owed) + n}", "data": {"id": f"e{len(owed) + n}"}}
            for n, each in enumerate(types)
        ]
        for reply in daemon.send(*events):
            assert reply["status"] == "accepted"
            owed[reply["id"]] = reply["deliveries"]

    kinds = [f"t{number % TYPES}" for number in range(OF_A_TYPE)]
    send("all", *kinds[:10])
    kills: list[tuple[float, float]] = []  # since when all may have been lost, and when the next one was ready
    for count, more in ((300, kinds[10:20]), (1200, ["all", *kinds[20:]])):
        fleet.wait_count(count)
        held_up = life.held_up()
        daemon.kill()
        killed = time.monotonic()
        daemon.start()
        life = Stopwatch(daemon.process.pid)
        kills.append((killed - UNRECORDED_S - held_up, time.monotonic()))
        send(*more)
    fleet.wait_count(2400)
    assert daemon.stop() == 0
    daemon.start()
    assert sum(owed.values()) == ENDPOINTS * (TO_ALL + OF_A_TYPE // TYPES)
    settle(daemon, fleet)
    assert daemon.stop() == 0

    store = Store(daemon)
    check_states(store, owed)
    check_receivers(store, fleet.seen, kills)
    check_hostile(store, street, len(kills))
    check_log(store, daemon.lines, len(kills))
    for row in store.deliveries:
        manner = manner_of(int(row["webhook"][1:]))
        if manner in {"healthy", "slow"}:
            assert row["state"] == "delivered", row
        elif manner == "hostile" and not ends_at_deadline(HOSTILE[hostile_of(int(row["webhook"][1:]))]):
            delivers = HOSTILE[hostile_of(int(row["webhook"][1:]))].outcome[0] == "delivered"
            assert (row["state"] == "delivered") == delivers, row
        elif manner in {"fails", "not_found", "hangs", "closes", "gone", "refuses"}:
            assert row["state"] != "delivered", row
        if manner == "gone":
            assert row["state"] == "pending", row
    # A thousand lines are held to the log's schema when the daemon is closed; all would take a minute.
    daemon.lines[:] = daemon.lines[:: max(1, len(daemon.lines) // 1000)]


def settle(daemon: Daemon, fleet: Fleet) -> None:
    """Wait until what can be delivered is, and the rest is dead, or waits for longer than we do."""
    can = {f"w{number}" for number in range(ENDPOINTS) if manner_of(number) in {"healthy", "slow"}}
    wanted = len(can) * (TO_ALL + OF_A_TYPE // TYPES)
    until(
        lambda: (
            len({key_of(each) for each in list(fleet.seen) if each.status == 200 and each.path[1:] in can}) == wanted
        ),
        "healthy endpoints wait",
    )
    last = -1

    def calm() -> bool:
        nonlocal last
        before, last = last, len(daemon.lines)
        return before == last and json.loads(daemon.verb("status", "--output", "json")[1])["in_flight"] == 0

    until(calm, "there is no end", timeout=90, pause=1.5)


class Store:
    """What the store holds, read with foreign eyes."""

    def __init__(self, daemon: Daemon) -> None:
        path = daemon.config.parent / "state/hookd.db"
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        self.deliveries = [
            {**row, "state": STATES[row["state"]]}
            for row in database.execute(
                "SELECT d.seq, e.id AS event, w.name AS webhook, d.state, d.attempts, d.due_at, d.cause"
                " FROM deliveries d JOIN events e ON e.seq = d.event JOIN webhooks w ON w.key = d.webhook"
            )
        ]
        self.counts = {row["name"]: dict(row) for row in database.execute("SELECT * FROM webhooks")}
        self.attempts: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        key = {row["seq"]: (row["webhook"], row["event"]) for row in self.deliveries}
        for row in database.execute("SELECT * FROM attempts ORDER BY delivery, number"):
            self.attempts[key[row["delivery"]]].append(dict(row))
        database.close()


def check_states(store: Store, owed: dict[str, int]) -> None:
    """Every accepted delivery is there once, in one state that its attempts and the webhook's counts agree with."""
    keys = [(row["webhook"], row["event"]) for row in store.deliveries]
    assert len(keys) == len(set(keys)) == sum(owed.values())
    assert Counter(event for _, event in keys) == owed
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for row in store.deliveries:
        attempts = store.attempts[row["webhook"], row["event"]]
        assert [each["number"] for each in attempts] == list(range(1, row["attempts"] + 1)), row
        outcomes = [each["outcome"] for each in attempts]
        states[row["webhook"]][row["state"]] += 1
        if row["state"] == "delivered":
            assert outcomes[-1] == "delivered"
            assert outcomes.count("delivered") == 1
        else:
            assert "delivered" not in outcomes
        if row["state"] == "dead":
            assert len(outcomes) == STEPS + 1
            assert row["cause"] == "exhausted"
        if row["state"] == "pending":
            assert len(outcomes) <= STEPS
    for name, row in store.counts.items():
        assert {state: row[state] for state in STATES} == {state: states[name][state] for state in STATES}, name


def check_receivers(store: Store, seen: list[Seen], kills: list[tuple[float, float]]) -> None:
    """Hold what was recorded against what was seen; more was seen only right before a kill, or silently sent again."""
    saw: dict[Key, Counter[int | None]] = defaultdict(Counter)
    cut: Counter[Key] = Counter()
    ids: dict[Key, set[str]] = defaultdict(set)
    for each in seen:
        key = key_of(each)
        saw[key][each.status] += 1
        ids[key].add(each.delivery)
        # What was on its way when the daemon was killed is seen after that, and before there is another.
        over = each.at + (IMPATIENT_S if each.status < 0 else 0)
        cut[key] += any(lost < over and each.at <= ready for lost, ready in kills)
    assert all(len(of_one) == 1 for of_one in ids.values())
    assert len({delivery for of_one in ids.values() for delivery in of_one}) == len(ids)
    for key, attempts in store.attempts.items():
        if manner_of(int(key[0][1:])) == "hostile":
            continue
        recorded = Counter(map(status_of, attempts))
        not_seen = recorded - saw[key]
        assert set(not_seen) <= {None}, (key, not_seen, attempts)
        # A connection that was closed when it was used again (0) is no attempt of its own.
        surplus = sum(count for status, count in (saw[key] - recorded).items() if status != 0)
        if surplus > min(cut[key], len(kills)):
            times = [(each.at, each.status) for each in seen if key_of(each) == key]
            pytest.fail(f"{key} came too often: {times}; kills: {kills}; recorded: {attempts}")
    # Who answered 200 once has it, and hookd knows.
    done = {
        (row["webhook"], row["event"])
        for row in store.deliveries
        if row["state"] == "delivered" and manner_of(int(row["webhook"][1:])) != "hostile"
    }
    assert {key for key, statuses in saw.items() if statuses[200]} == done


def check_hostile(store: Store, street: Street, kills: int) -> None:
    """Each attempt came to what its receiver's manner must come to; what was read there is what was recorded."""
    read: Counter[Key] = Counter()
    for name in HOSTILE:
        for request in street[name].requests:
            head, _, body = request.partition(b"\r\n\r\n")
            read[head.split(b" ")[1][1:].decode(), json.loads(body)["data"]["id"]] += 1
    attempted = set()
    for (webhook, event), attempts in store.attempts.items():
        if manner_of(int(webhook[1:])) != "hostile":
            continue
        name = hostile_of(int(webhook[1:]))
        case = HOSTILE[name]
        attempted.add(name)
        for each in attempts:
            found = (each["outcome"], each["cause"])
            # On a busy machine a second may be over before there is a connection, or a whole head.
            late = ends_at_deadline(case) and each["cause"] in {"timeout", "connect_timeout"}
            assert late or (found, each["status"]) == (case.outcome, case.status), (name, each)
        if street[name].requests and not ends_at_deadline(case):
            assert 0 <= read[webhook, event] - len(attempts) <= kills, (name, attempts)
    assert attempted == set(HOSTILE)


def status_of(attempt: dict[str, Any]) -> int | None:
    """Give what the fleet notes for an attempt: a status, 0 closed, -1 left hanging; None: it never came there."""
    if attempt["status"] is not None:
        status: int = attempt["status"]
        return status
    return {"timeout": -1, "reset": 0}.get(attempt["cause"])


def check_log(store: Store, lines: list[dict[str, Any]], kills: int) -> None:
    """Each line has its row; each row has its line, but for what was recorded right before a kill."""
    said = [line for line in lines if line["msg"] == "delivery.attempted"]
    rows = {
        (key, each["number"]): (each["outcome"], each["cause"], each["status"])
        for key, attempts in store.attempts.items()
        for each in attempts
    }
    told = {
        ((line["webhook"], line["event_id"]), line["attempt"]): (line["outcome"], line["cause"], line["status"])
        for line in said
    }
    assert len(told) == len(said)
    assert told.items() <= rows.items()
    assert len(rows) - len(told) <= kills * UNTOLD
    dead = {(line["webhook"], line["event_id"]) for line in lines if line["msg"] == "delivery.dead"}
    assert dead <= {(row["webhook"], row["event"]) for row in store.deliveries if row["state"] == "dead"}
