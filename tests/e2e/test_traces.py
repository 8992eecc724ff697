"""A producer's trace goes through the store to the receiver, and its ids are in the log lines: from outside."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import Daemon, Receiver, write_config
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE = f"00-{TRACE_ID}-{SPAN_ID}-01"
OTHER = f"00-{'a' * 32}-{'b' * 16}-00"


class Road:
    """A daemon with both inlets, one receiver that takes everything and one that refuses."""

    def __init__(self, folder: Path, receiver: Receiver, angry: Receiver) -> None:
        self.port = free_port()
        self.receiver = receiver
        config = write_config(
            folder,
            f"webhooks:\n  crm: {{url: '{receiver.url}', events: ['*'], allow_networks: [127.0.0.0/8]}}\n"
            f"  angry: {{url: '{angry.url}', events: ['*'], allow_networks: [127.0.0.0/8], retry: {{schedule: []}}}}\n",
        )
        inlets = f"inlets: [{{unix: events.sock}}, {{http: '127.0.0.1:{self.port}', tokens: none}}]"
        text = config.read_text().replace("inlets: [{unix: events.sock}]", f"{inlets}\n  log: {{level: debug}}")
        config.write_text(text)
        self.daemon = Daemon(config)

    def post(self, event: object, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = event if isinstance(event, str) else json.dumps(event)
        connection.request("POST", "/v1/events", body, {"content-type": "application/json", **headers})
        response = connection.getresponse()
        assert response.status == 202, response.read()
        connection.close()


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    receiver, angry = Receiver(), Receiver(lambda _: 500)
    road = Road(tmp_path, receiver, angry)
    try:
        road.daemon.start()
        yield road
    finally:
        road.daemon.close()
        receiver.close()
        angry.close()


def test_from_the_socket_to_the_receiver_and_the_log(road: Road) -> None:
    road.daemon.send({"type": "a", "id": "1", "traceparent": TRACE}, {"type": "a", "id": "2"})
    assert sorted(each.headers.get("traceparent", "") for each in road.receiver.wait(2)) == ["", TRACE]
    for msg in ("event.accepted", "delivery.attempted", "delivery.dead"):
        line = road.daemon.wait_line(msg, event_id="1")
        assert (line["trace_id"], line["span_id"]) == (TRACE_ID, SPAN_ID)
        assert "trace_id" not in road.daemon.wait_line(msg, event_id="2")


def test_a_request_s_trace_is_that_of_its_events_but_for_those_that_name_one(road: Road) -> None:
    road.post({"type": "a", "id": "1"}, {"traceparent": TRACE})
    road.post({"type": "a", "id": "2", "traceparent": OTHER}, {"traceparent": TRACE})
    road.post({"type": "a", "id": "3"}, {"traceparent": "00-zz"})
    lines = "".join(
        json.dumps(each) + "\n" for each in ({"type": "a", "id": "4"}, {"type": "a", "id": "5", "traceparent": OTHER})
    )
    road.post(lines, {"traceparent": TRACE, "content-type": "application/x-ndjson"})
    batch = [{"specversion": "1.0", "type": "a", "id": "6", "source": "/s"}]
    road.post(batch, {"traceparent": TRACE, "content-type": "application/cloudevents-batch+json"})
    binary = {"ce-specversion": "1.0", "ce-type": "a", "ce-id": "7", "ce-source": "/s", "traceparent": TRACE}
    road.post("1", binary)
    found = {}
    for number in range(1, 8):
        line = road.daemon.wait_line("delivery.attempted", event_id=str(number), webhook="crm")
        found[number] = line.get("trace_id")
    assert found == {1: TRACE_ID, 2: "a" * 32, 3: None, 4: TRACE_ID, 5: "a" * 32, 6: TRACE_ID, 7: TRACE_ID}
    sent = sorted(each.headers.get("traceparent", "") for each in road.receiver.wait(7))
    assert sent == sorted(["", TRACE, TRACE, TRACE, TRACE, OTHER, OTHER])


def test_it_outlives_a_restart(road: Road) -> None:
    config = road.daemon.config
    good = config.read_text()
    config.write_text(good.replace("  crm: {", "  crm: {paused: true, "))
    road.daemon.wait_line("config.reloaded")
    road.daemon.send({"type": "a", "id": "1", "traceparent": TRACE})
    road.daemon.stop()
    config.write_text(good)
    road.daemon.start()
    [taken] = road.receiver.wait(1)
    assert taken.headers["traceparent"] == TRACE
