"""Sockets that were opened for us: taken by their address, left as they are, and told when nobody wants them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.web.inherited import Inherited

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Give a list of descriptors that are closed, unless somebody took them over and closed them."""
    made: list[int] = []
    yield made
    for fd in made:
        try:
            os.close(fd)
        except OSError:
            continue


def open_unix(opened: list[int], path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        opened.append(sock.detach())
    return opened[-1]


def open_tcp(opened: list[int], host: str, family: socket.AddressFamily = socket.AF_INET) -> tuple[int, int]:
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen()
        port = sock.getsockname()[1]
        opened.append(sock.detach())
    return opened[-1], port


async def test_a_unix_socket_is_known_by_its_path_however_it_is_written(tmp_path: Path, opened: list[int]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    inherited = Inherited([(open_unix(opened, tmp_path / "run/a.sock"), "events")])
    assert inherited.take_unix(str(tmp_path / "run/b.sock")) is None
    listener = inherited.take_unix(str(tmp_path / "var/../var/a.sock"))
    assert listener is not None
    assert inherited.take_unix(str(tmp_path / "run/a.sock")) is None  # once
    assert inherited.end() == []
    async with listener, await trio.open_unix_socket(str(tmp_path / "run/a.sock")):
        await (await listener.accept()).aclose()
    assert (tmp_path / "run/a.sock").exists()  # whoever made it removes it


async def test_a_port_is_known_by_its_host_and_not_by_one_that_covers_it(opened: list[int]) -> None:
    fd, port = open_tcp(opened, "127.0.0.1")
    everywhere, open_port = open_tcp(opened, "0.0.0.0")
    inherited = Inherited([(fd, "http"), (everywhere, "world")])
    assert await inherited.take_tcp("127.0.0.1", open_port) == []
    assert await inherited.take_tcp("0.0.0.0", port) == []
    assert await inherited.take_tcp("host.invalid", port) == []
    (listener,) = await inherited.take_tcp("localhost", port)
    await listener.aclose()
    (unclaimed,) = inherited.end()
    assert (unclaimed.name, unclaimed.address) == ("world", f"0.0.0.0:{open_port}")


async def test_what_nobody_wants_is_told_and_closed(tmp_path: Path, opened: list[int]) -> None:
    with socket.socket(socket.AF_UNIX) as mere:
        mere.bind("\0" + str(tmp_path))
        mere.listen()
        opened.append(abstract := mere.detach())
    with (tmp_path / "file").open("w") as file:
        opened.append(plain := os.dup(file.fileno()))
    path = tmp_path / "a.sock"
    inherited = Inherited([(open_unix(opened, path), "events"), (abstract, ""), (plain, "odd"), (9999, "gone")])
    told = {each.name: each for each in inherited.end()}
    assert told["events"].address == str(path)
    assert told[""].address == f"@{tmp_path}"
    assert "nothing in the config" in told["events"].reason
    assert "not a listening stream socket" in told["odd"].reason or "socket" in told["odd"].reason
    assert "Bad file descriptor" in told["gone"].reason
    assert inherited.end() == []
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(path))


async def test_without_any_nothing_is_taken() -> None:
    assert Inherited().take_unix("/run/hookd/events.sock") is None
    assert await Inherited().take_tcp("127.0.0.1", 1) == []
    assert Inherited().end() == []
