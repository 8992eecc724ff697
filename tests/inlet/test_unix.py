"""The Unix socket, with real sockets: bad input is answered, nobody is blocked, and it ends in good order."""

from __future__ import annotations

import json
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from hookd.core.config import EventType, Fault
from hookd.core.daemonconfig import Allow, Limits
from hookd.inlet import connection as connection_module
from hookd.inlet import unix
from hookd.web.sockets import open_unix_listener
from tests.inlet.door import Door, make_config, make_line, open_door

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hookd.core.config import Config

PATIENCE_S = 20


class House:
    """A served socket."""

    def __init__(self, door: Door, path: str, stopping: trio.Event) -> None:
        self.door = door
        self.path = path
        self.stopping = stopping
        self.ended = trio.Event()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        with trio.fail_after(PATIENCE_S):
            async with await trio.open_unix_socket(self.path) as stream:
                yield Client(stream)


class Client:
    """Somebody who sends lines and reads replies."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, *lines: bytes) -> None:
        await self.stream.send_all(b"".join(line + b"\n" for line in lines))

    async def reply(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            received = await self.stream.receive_some()
            assert received, "the stream ended before the reply"
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply

    async def ask(self, *lines: bytes) -> list[dict[str, Any]]:
        await self.send(*lines)
        return [await self.reply() for _ in lines]

    async def rest(self) -> bytes:
        """Read to the end of the stream."""
        return self._rest + b"".join([chunk async for chunk in self.stream])


@asynccontextmanager
async def open_house(
    folder: Path, *, config: Config | None = None, allow: tuple[Allow, ...] | None = None, limits: Limits | None = None
) -> AsyncIterator[House]:
    async with open_door(config) as door, trio.open_nursery() as nursery:
        house = House(door, str(folder / "events.sock"), trio.Event())
        listener = open_unix_listener(house.path, 0o600)

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            await unix.serve_unix(
                door.intake,
                listener,
                allow=allow,
                limits=limits or Limits(),
                stopping=house.stopping,
                task_status=task_status,
            )
            house.ended.set()

        await nursery.start(serve)
        yield house
        door.store.gate.set()
        house.stopping.set()
        with trio.fail_after(PATIENCE_S):
            await house.ended.wait()


def _ids(replies: list[dict[str, Any]]) -> list[str]:
    return [reply["id"] for reply in replies]


# --------------------------------------------------------------------------- lines and replies


async def test_a_line_is_answered_as_the_contract_says(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        line = make_line("1", tenant="acme")
        assert await client.ask(line, line) == [
            {"status": "accepted", "id": "1", "deliveries": 0},
            {"status": "duplicate", "id": "1"},
        ]
        assert await client.ask(make_line("1", tenant="acme", data=5)) == [
            {
                "status": "refused",
                "code": "id_conflict",
                "message": "an event with this id, of the same source and tenant, has other content",
                "path": "/id",
                "id": "1",
                "retry": False,
            }
        ]


BAD = [
    (b"{", "malformed_json"),
    (b"\xff\xfe", "malformed_json"),
    (b'{"type":"a","data":NaN}', "malformed_json"),
    (b'{"type":"a","data":1e400}', "malformed_json"),
    (b'{"type":"a","type":"b"}', "malformed_json"),
    (b'{"type":"a","data":"\\ud800"}', "malformed_json"),
    (b"\x00" * 100, "malformed_json"),
    (b"   ", "malformed_json"),
    (b'{"type":"a","data":' + b"[" * 64 + b"]" * 64 + b"}", "too_deep"),
    (b"[" * 5_000, "too_large"),
    (b'{"type":"a","data":"' + b"x" * 200_000 + b'"}', "too_large"),
    (b"[]", "invalid_event"),
    (b'{"type":"a","tennant":"b"}', "invalid_event"),
    (b"GET / HTTP/1.1\r", "malformed_json"),
]


async def test_bad_input_is_answered_and_the_connection_lives_on(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits=Limits(event_bytes=4_096)) as house, house.client() as client:
        for number, (line, code) in enumerate(BAD):
            refused, accepted = await client.ask(line, make_line(str(number)))
            assert (refused["status"], refused["code"]) == ("refused", code)
            assert accepted == {"status": "accepted", "id": str(number), "deliveries": 0}
        replies = await client.ask(*[line for line, _ in BAD])
        assert [reply["code"] for reply in replies] == [code for _, code in BAD]


async def test_empty_lines_get_no_reply_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        await client.stream.send_all(b"\n\r\n" + make_line("1") + b"\r\n\n\n" + make_line("2") + b"\n")
        assert _ids([await client.reply(), await client.reply()]) == ["1", "2"]
        await client.stream.send_eof()
        assert await client.rest() == b""


async def test_a_line_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        for byte in make_line("1") + b"\n":
            await client.stream.send_all(bytes([byte]))
        assert _ids([await client.reply()]) == ["1"]


async def test_a_last_line_without_a_newline_is_an_event(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        await client.stream.send_all(make_line("1") + b"\n" + make_line("2"))
        await client.stream.send_eof()
        assert (await client.rest()).count(b'"accepted"') == 2
        assert [event.id for event in house.door.store.given] == ["1", "2"]


async def test_half_a_line_is_no_event(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        await client.stream.send_all(make_line("1") + b"\n" + make_line("2")[:-1])
        await client.stream.send_eof()
        accepted, refused = (await client.rest()).splitlines()
        assert json.loads(accepted)["id"] == "1"
        assert json.loads(refused)["code"] == "malformed_json"
        assert [event.id for event in house.door.store.given] == ["1"]


async def test_a_large_event_is_taken(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        data = "x" * 900_000
        replies = await client.ask(make_line("before"), make_line("large", data=data), make_line("after"))
        assert _ids(replies) == ["before", "large", "after"]
        assert house.door.store.given[1].data == json.dumps(data).encode()


async def test_ten_thousand_lines_before_one_reply_is_read(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client:
        count = 10_000
        await client.send(*[make_line(str(number)) for number in range(count)])
        assert _ids([await client.reply() for _ in range(count)]) == [str(number) for number in range(count)]
        assert len(house.door.store.batches) < count / 10


async def test_many_clients_at_once_get_their_own_replies(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, trio.open_nursery() as nursery:

        async def send_and_check(name: str) -> None:
            async with house.client() as client:
                ids = [f"{name}-{number}" for number in range(200)]
                assert _ids(await client.ask(*[make_line(one) for one in ids])) == ids

        for number in range(20):
            nursery.start_soon(send_and_check, str(number))


# --------------------------------------------------------------------------- clients that misbehave


async def _write_without_reading(stream: trio.SocketStream) -> None:
    for number in range(1_000_000):
        await stream.send_all(b"".join(make_line(f"{number}-{part}") + b"\n" for part in range(100)))


async def test_a_client_that_never_reads_is_not_read_and_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "BACKLOG_BYTES", 256 * 1024)
    monkeypatch.setattr(connection_module, "STOP_GRACE_S", 0.1)
    async with open_house(tmp_path) as house, house.client() as deaf, trio.open_nursery() as nursery:
        nursery.start_soon(_write_without_reading, deaf.stream)
        await trio.testing.wait_all_tasks_blocked(0.1)
        taken = len(house.door.store.given)
        # What it is owed: the backlog, one turn, and what the kernel keeps between us.
        assert 256 * 1024 / 80 < taken < (256 * 1024 + 1024 * 1024) / 60
        async with house.client() as client:
            assert _ids(await client.ask(make_line("other"))) == ["other"]
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert len(house.door.store.given) == taken + 1
        nursery.cancel_scope.cancel()
        house.stopping.set()
        with trio.fail_after(PATIENCE_S):
            await house.ended.wait()


async def test_a_client_that_reads_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "BACKLOG_BYTES", 16 * 1024)
    async with open_house(tmp_path) as house, house.client() as client, trio.open_nursery() as nursery:
        lines = [make_line(str(number)) for number in range(20_000)]
        nursery.start_soon(client.send, *lines)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert len(house.door.store.given) < len(lines)
        assert _ids([await client.reply() for _ in lines]) == [str(number) for number in range(len(lines))]


async def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as other:
        for number in range(20):
            async with house.client() as client:
                await client.send(*[make_line(f"{number}-{part}") for part in range(50)])
        house.door.store.hold()
        async with house.client() as client:
            await client.send(make_line("gone"))
            await house.door.store.began.wait()
        house.door.store.gate.set()
        assert _ids(await other.ask(make_line("here"))) == ["here"]
        assert "gone" in {event.id for event in house.door.store.given}


class Broken:
    """A schema whose judge has a fault of its own."""

    def fault(self, _value: object) -> Fault | None:
        raise RuntimeError


async def test_a_fault_of_ours_ends_one_connection_only(tmp_path: Path) -> None:
    config = make_config(types=[EventType(name="poison", validator=Broken()), EventType(name="user.updated")])
    async with open_house(tmp_path, config=config) as house, house.client() as healthy:
        async with house.client() as client:
            await client.send(make_line("1", type="poison", data=1))
            assert await client.rest() == b""
        assert _ids(await healthy.ask(make_line("2"))) == ["2"]


# --------------------------------------------------------------------------- who may come in


async def test_a_peer_that_is_listed_may_send_for_its_tenant(tmp_path: Path) -> None:
    allow = (Allow(users=("nobody-here",)), Allow(users=(str(os.getuid()),), tenant="acme"))
    async with open_house(tmp_path, allow=allow) as house, house.client() as client:
        accepted, refused = await client.ask(make_line("1"), make_line("2", tenant="other"))
        assert accepted["status"] == "accepted"
        assert (refused["code"], refused["path"]) == ("not_allowed", "/tenant")
        assert [event.tenant for event in house.door.store.given] == ["acme"]


async def test_a_peer_that_is_not_listed_gets_one_line_and_the_end(tmp_path: Path) -> None:
    async with open_house(tmp_path, allow=(Allow(users=("54321",)),)) as house, house.client() as client:
        reply = await client.reply()
        assert reply == {
            "status": "refused",
            "code": "not_allowed",
            "message": "this user may not send events here",
            "retry": False,
        }
        assert await client.rest() == b""


async def test_there_is_a_bound_on_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix, "MAX_CONNECTIONS", 2)
    async with open_house(tmp_path) as house, house.client() as first, house.client() as second:
        assert _ids(await first.ask(make_line("1"))) + _ids(await second.ask(make_line("2"))) == ["1", "2"]
        async with house.client() as third:
            reply = await third.reply()
            assert (reply["code"], reply["retry"]) == ("overloaded", True)
            assert await third.rest() == b""
        await first.stream.send_eof()
        assert await first.rest() == b""
        async with house.client() as fourth:
            assert _ids(await fourth.ask(make_line("4"))) == ["4"]


# --------------------------------------------------------------------------- the end


async def test_what_was_read_is_stored_and_answered_before_the_end(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client, house.client() as idle:
        await idle.ask(make_line("idle"))
        house.door.store.hold()
        await client.stream.send_all(make_line("1") + b"\n" + make_line("2") + b"\n" + make_line("half"))
        await house.door.store.began.wait()
        house.stopping.set()
        assert await idle.rest() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert not house.ended.is_set()
        house.door.store.gate.set()
        assert _ids([await client.reply(), await client.reply()]) == ["1", "2"]
        assert await client.rest() == b""
        await house.ended.wait()


async def test_a_client_that_does_not_read_its_last_replies_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "STOP_GRACE_S", 0.2)
    async with open_house(tmp_path) as house, house.client() as deaf:
        house.door.store.hold()
        await deaf.send(*[make_line(f"{number:0250}") for number in range(5_000)])
        await trio.testing.wait_all_tasks_blocked(0.1)
        house.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        house.door.store.gate.set()
        await house.ended.wait()
        assert len(house.door.store.given) == 5_000


async def test_the_end_is_clean_while_a_client_is_writing(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client() as client, trio.open_nursery() as nursery:

        async def write() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await _write_without_reading(client.stream)

        nursery.start_soon(write)
        first = await client.reply()
        house.stopping.set()
        replies = [first, *map(json.loads, (await client.rest()).splitlines())]
        # Each whole line that was taken has its reply, and no other has; the end is an end and not a reset.
        assert _ids(replies) == [event.id for event in house.door.store.given]


async def test_nobody_is_let_in_after_the_end(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.stopping.set()
        await house.ended.wait()
        with pytest.raises(OSError, match=r"failed to connect|refused"), socket.socket(socket.AF_UNIX) as late:
            late.connect(house.path)
