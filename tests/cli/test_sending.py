"""`hookd send` against sockets that break off, cut their replies, turn away, or are something else."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.main import find_cause
from hookd.cli.sending import WINDOW_BYTES, Sending
from hookd.cli.source import WHOLE_BYTES, Source, open_source
from tests.cli.doubles import Lines, accept_all, accept_line, open_double
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path


def events(count: int) -> bytes:
    return b"".join(b'{"type":"x","data":%d}\n' % number for number in range(count))


def numbers(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["data"] for line in lines]


def sending(path: Path, head: bytes, *, wait_s: float = 5.0, output: str = "human") -> Sending:
    return Sending(str(path), Source(name="here", head=head), wait_s=wait_s, output=output)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def test_all_is_sent_in_order_and_counted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []
    async with open_double(path, accept_all(seen)):
        run = sending(path, events(3_000))
        await run.run()
    assert numbers(seen) == list(range(3_000))
    assert len({json.loads(line)["id"] for line in seen}) == 3_000
    assert run.conclude() == ExitCode.FINE
    out, err = capsys.readouterr()
    assert out == "3000 accepted (6000 deliveries), 0 duplicates, 0 refused\n"
    assert err == ""  # no progress where there is no terminal


async def test_what_got_no_whole_reply_is_sent_again_with_the_same_id(path: Path) -> None:
    first: list[bytes] = []
    second: list[bytes] = []

    async def breaks_off(stream: trio.SocketStream) -> None:
        lines = Lines(stream)
        for _ in range(10):
            line = await lines.next()
            assert line is not None
            first.append(line)
        await stream.send_all(b"".join(map(accept_line, first[:4])) + accept_line(first[4])[:-1])

    async with open_double(path, breaks_off, accept_all(second)):
        run = sending(path, events(20))
        await run.run()
    assert second[:6] == first[4:]
    assert numbers(second) == list(range(4, 20))
    assert run.accepted == 20
    assert run.conclude() == ExitCode.FINE


async def test_a_daemon_that_does_not_come_back_is_waited_for_so_long(path: Path) -> None:
    async def takes_one(stream: trio.SocketStream) -> None:
        line = await Lines(stream).next()
        assert line is not None
        await stream.send_all(accept_line(line))
        await trio.Path(path).unlink()

    async with open_double(path, takes_one):
        run = sending(path, events(5), wait_s=0.5)
        started, watch = trio.current_time(), Stopwatch()
        await run.run()
    assert trio.current_time() - started >= 0.5
    assert watch.seconds() < 3
    with pytest.raises(CliError, match="went away; 4 events have no reply") as told:
        run.conclude()
    assert told.value.code is ExitCode.TRY_AGAIN


async def test_a_daemon_that_is_not_there_is_told_at_once(path: Path) -> None:
    for word in ("there is no socket", "is not a socket"):
        run = sending(path, events(1))
        await run.run()
        with pytest.raises(CliError, match=word) as told:
            run.conclude()
        assert told.value.code is ExitCode.NO_DAEMON
        await trio.Path(path).touch()


@pytest.mark.parametrize(
    ("retries", "code"),
    [([False], ExitCode.NOT_SO), ([True], ExitCode.TRY_AGAIN), ([True, False, True], ExitCode.NOT_SO)],
)
async def test_refusals_decide_the_exit_code(
    path: Path, retries: list[bool], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuses(stream: trio.SocketStream) -> None:
        lines = Lines(stream)
        for retry in retries:
            await lines.next()
            reply = {"status": "refused", "code": "disk_low", "message": "\x1b[2Jno", "path": "/a", "retry": retry}
            await stream.send_all(json.dumps(reply).encode() + b"\n")
        await lines.next()

    async with open_double(path, refuses):
        run = sending(path, events(len(retries)))
        await run.run()
    assert run.conclude() == code
    err = capsys.readouterr().err
    assert err.startswith("event 1: refused: disk_low at /a: \\x1b[2Jno")
    assert err.count("\n") == len(retries)


async def test_many_refusals_are_told_in_short(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def refuses(stream: trio.SocketStream) -> None:
        lines = Lines(stream)
        while await lines.next() is not None:
            await stream.send_all(b'{"status":"refused","code":"c","message":"m","path":"","retry":false}\n')

    async with open_double(path, refuses):
        run = sending(path, events(50))
        await run.run()
    assert run.conclude() == ExitCode.NOT_SO
    assert capsys.readouterr().err.splitlines()[19:] == ["event 20: refused: c: m", "… and 30 more refused"]


def turn_away(code: str) -> bytes:
    return b'{"status":"refused","code":"%s","message":"not you","retry":false}\n' % code.encode()


async def test_a_user_who_may_not_send_is_told_so(path: Path) -> None:
    async def turns_away(stream: trio.SocketStream) -> None:
        await stream.send_all(turn_away("not_allowed"))

    async with open_double(path, turns_away):
        run = sending(path, events(3))
        await run.run()
    with pytest.raises(CliError, match="not you") as told:
        run.conclude()
    assert told.value.code is ExitCode.NOT_ALLOWED
    assert (run.answered, len(run.waiting)) == (0, 3)


async def test_too_many_connections_are_tried_again(path: Path) -> None:
    seen: list[bytes] = []

    async def turns_away(stream: trio.SocketStream) -> None:
        await stream.send_all(turn_away("overloaded"))

    async with open_double(path, turns_away, turns_away, accept_all(seen)):
        run = sending(path, events(3))
        await run.run()
    assert numbers(seen) == [0, 1, 2]
    assert run.conclude() == ExitCode.FINE


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\n", b"{}\n", b"[]\n", b'{"status":"refused"}\n', b"\xff\n"]
)
async def test_something_else_behind_the_socket_is_told(path: Path, reply: bytes) -> None:
    async def answers(stream: trio.SocketStream) -> None:
        await stream.send_all(reply)
        await Lines(stream).next()

    async with open_double(path, answers):
        run = sending(path, events(1))
        with pytest.RaisesGroup(CliError, flatten_subgroups=True) as group:
            await run.run()
    told = find_cause(group.value)
    assert isinstance(told, CliError)
    assert told.code is ExitCode.NO_DAEMON


async def test_a_slow_stream_is_answered_line_by_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []
    reader, writer = os.pipe()
    async with open_double(path, accept_all(seen)), trio.open_nursery() as nursery:
        run = Sending(str(path), Source(name="pipe", descriptor=reader), wait_s=5, output="human")
        nursery.start_soon(run.run)
        for number in (1, 2):
            os.write(writer, b'{"type":"x","id":"%d"}\n' % number)
            with trio.fail_after(5):
                while run.answered < number:  # noqa: ASYNC110  the verb tells its reader, who is not here
                    await trio.sleep(0.001)
            assert capsys.readouterr().out == f"accepted {number} (2 deliveries)\n"
        os.close(writer)
    assert run.conclude() == ExitCode.FINE
    os.close(reader)


async def test_programs_get_each_reply_as_it_was(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []
    async with open_double(path, accept_all(seen)):
        run = sending(path, events(3), output="json")
        await run.run()
    assert run.conclude() == ExitCode.FINE
    out, err = capsys.readouterr()
    assert out.encode() == b"".join(map(accept_line, seen))
    assert err == ""


async def test_what_waits_is_bounded_however_long_the_input(path: Path) -> None:
    most = 0
    release = trio.Event()

    async def reads_late(stream: trio.SocketStream) -> None:
        await release.wait()
        await accept_all([])(stream)

    line = b'{"type":"x","data":"%s"}\n' % (b"d" * 10_000)
    async with open_double(path, reads_late), trio.open_nursery() as nursery:
        run = sending(path, line * 1_500)
        nursery.start_soon(run.run)
        with trio.fail_after(10):
            while run.waiting_bytes <= WINDOW_BYTES:  # noqa: ASYNC110  the window is no event
                await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked(0.05)
        most = run.waiting_bytes
        release.set()
    assert WINDOW_BYTES < most < WINDOW_BYTES + 11_000
    assert run.accepted == 1_500


# --------------------------------------------------------------------------- the source


async def lines_of(source: Source) -> list[bytes]:
    return [line async for line in source.lines()]


PRETTY = b'{\r\n  "type": "x",\n  "data": {"n": 1E2}\n}\n'
ONE_LINE = b'{    "type": "x",   "data": {"n": 1E2} }'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"\n \r\n\t\n", []),
        (b'{"type":"x"}', [b'{"type":"x"}']),
        (b'\n{"a":1}\r\n\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (PRETTY, [ONE_LINE]),
        (b'{"type": "x",\n"data": 1}', [b'{"type": "x", "data": 1}']),
        (b'{"a":1,\n"a":2}', [b'{"a":1, "a":2}']),  # for the daemon to refuse
        (b'bad\n{"a":1}\n', [b"bad", b'{"a":1}']),
        (b'{"a":1}\nbad\n', [b'{"a":1}', b"bad"]),
        (b'{"a":1', [b'{"a":1']),
        (b"[\n1\n]", [b"[ 1 ]"]),
    ],
)
async def test_a_file_is_lines_or_one_event(tmp_path: Path, text: bytes, lines: list[bytes]) -> None:
    (tmp_path / "f").write_bytes(text)
    assert await lines_of(open_source(str(tmp_path / "f"))) == lines


async def test_a_large_file_is_read_as_it_comes(tmp_path: Path) -> None:
    line = b'{"type":"x","data":"%s"}' % (b"d" * 1_000)
    count = WHOLE_BYTES // len(line) + 1_000
    (tmp_path / "f").write_bytes((line + b"\n") * count)
    source = open_source(str(tmp_path / "f"))
    assert len(source.head) <= WHOLE_BYTES + 512 * 1024
    assert await lines_of(source) == [line] * count


@pytest.mark.parametrize("chunks", [[PRETTY], [PRETTY[:1], PRETTY[1:2], PRETTY[2:20], PRETTY[20:]], [b"\n", PRETTY]])
async def test_a_stream_that_begins_with_a_lone_bracket_is_one_event(chunks: list[bytes]) -> None:
    reader, writer = os.pipe()
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            for chunk in chunks:
                os.write(writer, chunk)
                await trio.testing.wait_all_tasks_blocked(0.01)
            os.close(writer)

        nursery.start_soon(write)
        assert await lines_of(Source(name="pipe", descriptor=reader)) == [ONE_LINE]
    os.close(reader)


async def test_a_pipe_is_opened_once_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, events(100))
    os.close(writer)
    assert len(await lines_of(open_source(f"/dev/fd/{reader}"))) == 100
    os.close(reader)
    with pytest.raises(CliError, match="is a directory"):
        open_source(str(tmp_path))
    with pytest.raises(CliError, match="No such file"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(CliError, match="there is no such file"):
        open_source("nul\0")
    with pytest.raises(CliError, match="this is an event and no file") as caught:
        open_source('{"type": "a", "data": "hunter2"}')
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_neither_is_told_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b'{\n  "type": "x"\n  "data": "secret"\n}\n')
    with pytest.raises(CliError, match="line 3 column 3: a comma is expected") as told:
        open_source(str(tmp_path / "f"))
    assert told.value.code is ExitCode.NOT_SO
    assert "secret" not in str(told.value)
