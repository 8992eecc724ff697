"""The management API under stress: many at once, and killed in the middle."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.e2e.house import Receiver, hookd
from tests.e2e.tenants import CANARY, House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITES = 200


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    one.daemon.start()
    yield one
    one.daemon.close()
    assert CANARY not in one.everything_logged() + one.daemon.stderr.decode()


def given(number: int = 0, **more: object) -> dict[str, Any]:
    return {"name": f"Orders {number}", "url": f"https://example.com/{number}", "events": ["run.finish"], **more}


def client_of(house: House, token: str = "a") -> httpx.Client:
    headers = {"authorization": f"Bearer {CANARY}-token-{token}"}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{house.port}/v1", headers=headers, timeout=60, trust_env=False, verify=False
    )


@pytest.mark.slow
def test_200_writes_at_once_lose_none_and_share_reloads(house: House) -> None:
    barrier = threading.Barrier(WRITES, timeout=60)

    def write(number: int) -> httpx.Response:
        with client_of(house, "ab"[number % 2]) as client:
            client.get("/event-types")  # connected before the rush begins
            barrier.wait()
            return client.put(f"/webhooks/w{number}", json=given(number))

    began = time.monotonic()
    with ThreadPoolExecutor(WRITES) as pool:
        answers = list(pool.map(write, range(WRITES)))
    took = time.monotonic() - began
    assert [answer.status_code for answer in answers] == [201] * WRITES
    secrets = {answer.json()["secret"] for answer in answers}
    assert len(secrets) == WRITES
    found: dict[str, str] = {}
    for token in "ab":
        with client_of(house, token) as client:
            listed = client.get("/webhooks", params={"limit": 500}).json()
        assert listed["next"] is None
        found |= {each["id"]: each["definition"]["name"] for each in listed["webhooks"]}
    assert found == {f"{4711 + number % 2}/w{number}": f"Orders {number}" for number in range(WRITES)}
    assert len(list((house.top / "managed").glob("*.yaml"))) == WRITES
    assert len(house.git("log", "--format=%s").splitlines()) == WRITES
    assert house.git("status", "--porcelain") == ""
    reloads = [line for line in house.daemon.lines if line["msg"] == "config.reloaded"]
    assert len(reloads) <= WRITES // 10, f"{len(reloads)} reloads in {took:.1f} s"
    assert sum(line["added"] for line in reloads) == WRITES
    # The files say what runs.
    code, out, err = hookd("check", "--config", house.config)
    assert code == 0, out + err
    _, out, _ = house.daemon.verb("status", "--output", "json")
    assert yaml.safe_load(out)["revision"] in hookd("check", "--config", house.config)[1]


def test_of_many_who_saw_the_same_revision_one_wins(house: House) -> None:
    with client_of(house) as client:
        etag = client.put("/webhooks/orders", json=given()).headers["etag"]

    def replace(number: int) -> int:
        with client_of(house) as client:
            return client.put("/webhooks/orders", json=given(number), headers={"if-match": etag}).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(replace, range(1, 21)))
    assert statuses == [200] + [412] * 19


def test_good_ones_are_not_kept_back_by_bad_ones(house: House) -> None:
    def write(number: int) -> int:
        with client_of(house) as client:
            bad = {"url": "ftp://x"} if number % 3 == 0 else {"nonsense": 1} if number % 3 == 1 else {}
            return client.put(f"/webhooks/w{number}", json=given(number, **bad)).status_code

    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(write, range(30)))
    assert statuses == [201 if number % 3 == 2 else 422 for number in range(30)]
    assert len(list((house.top / "managed").glob("*.yaml"))) == 10
    assert len(list((house.top / "state" / "secrets").iterdir())) == 10, "no secret is made for what is refused"


@pytest.mark.faults
def test_killed_in_the_middle_of_writes_files_are_whole(house: House) -> None:
    answered: dict[str, str] = {}  # what was answered, and must be there
    lock = threading.Lock()

    tried = [0] * 8  # the number of the last write of each; it goes on after a kill

    def write(number: int, stop: threading.Event) -> None:
        with client_of(house) as client:
            while not stop.is_set():
                tried[number] += 1
                name = f"Orders {number} {tried[number]}" + "." * 100
                try:
                    done = client.put(f"/webhooks/w{number}", json={**given(), "name": name})
                except httpx.HTTPError:
                    return
                assert done.status_code in {200, 201}, done.text
                with lock:
                    answered[f"4711/w{number}"] = name

    for _ in range(3):
        stop = threading.Event()
        writers = [threading.Thread(target=write, args=(number, stop)) for number in range(8)]
        for writer in writers:
            writer.start()
        mark = len(house.daemon.lines)
        for _ in range(3):  # in the middle of it, wherever that is
            house.daemon.wait_line("webhook.changed", since=mark)
            mark = len(house.daemon.lines)
        house.daemon.kill()
        stop.set()
        for writer in writers:
            writer.join(60)
        for path in (house.top / "managed").glob("*.yaml"):
            value = yaml.safe_load(path.read_text())
            assert path.read_text().startswith("# Written by hookd for ")
            ((_, definition),) = value["webhooks"].items()
            assert definition["name"].endswith("." * 100)
        house.daemon.start()
        with client_of(house) as client:
            listed = client.get("/webhooks", params={"limit": 500}).json()["webhooks"]
        there = {each["id"]: each["definition"]["name"] for each in listed}
        for webhook, name in answered.items():
            kept, told = (int(text.rstrip(".").split(" ")[2]) for text in (there[webhook], name))
            assert told <= kept <= tried[int(webhook[-1])], "what was answered, or what was on its way after it"
    house.daemon.stop()
    house.daemon.start()
    house.daemon.stop()
    assert house.git("status", "--porcelain") == "", "what a crash left is committed at the next start"


def test_a_removal_that_a_crash_cut_short_is_finished(house: House) -> None:
    silent = Receiver(lambda _taken: 500)
    try:
        with client_of(house) as client:
            client.put("/webhooks/orders", json={**given(), "url": silent.url})
        house.daemon.send({"type": "run.finish", "tenant": "4711"})
        silent.wait(1)
        house.daemon.kill()
        # As it stands between the removal of the file and the end of the backlog.
        (house.top / "state" / "removed").mkdir(exist_ok=True)
        (house.top / "state" / "removed" / "4711+orders").write_text("4711/orders")
        house.file("4711/orders").unlink()
        house.daemon.start()
        deadline = time.monotonic() + 30
        while (house.top / "state" / "removed" / "4711+orders").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        _, out, _ = house.daemon.verb("status", "4711/orders", "--output", "json")
        row = json.loads(out)
        assert (row["pending"], row["dead"]) == (0, 1)
    finally:
        silent.close()
