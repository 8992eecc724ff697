"""Listening sockets: opened whole or not at all, and never over a living one."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.core.daemonconfig import Allow
from hookd.web.sockets import (
    AddressUnusable,
    Peer,
    allowed,
    inode_of,
    listener_from_fd,
    open_tcp_listeners,
    open_unix_listener,
    peer_of,
    peer_of_socket,
    remove_unix_socket,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o400])
async def test_a_socket_has_its_mode_and_the_umask_is_as_before(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s.sock"
    before = os.umask(0o027)
    try:
        async with open_unix_listener(str(path), mode):
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


async def test_a_peer_is_who_the_kernel_says(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    async with open_unix_listener(path, 0o600) as listener, await trio.open_unix_socket(path):
        stream = await listener.accept()
        peer = peer_of(stream)
        await stream.aclose()
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert peer.groups == frozenset(os.getgroups())


async def test_a_tcp_peer_has_no_credentials() -> None:
    [listener] = await open_tcp_listeners("127.0.0.1", 0)
    async with listener, await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1]):
        stream = await listener.accept()
        with pytest.raises(OSError, match="not supported"):
            peer_of(stream)
        await stream.aclose()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with open_unix_listener(str(path), 0o600) as listener, await trio.open_unix_socket(str(path)):
        await (await listener.accept()).aclose()


async def test_a_living_socket_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    async with open_unix_listener(path, 0o600) as listener:
        with pytest.raises(AddressUnusable, match="another process listens"):
            open_unix_listener(path, 0o600)
        async with await trio.open_unix_socket(path):
            await (await listener.accept()).aclose()


async def test_a_living_socket_with_a_full_backlog_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(AddressUnusable, match="another process uses"):
            open_unix_listener(path, 0o600)


async def test_a_datagram_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(AddressUnusable, match="another process uses"):
            open_unix_listener(path, 0o600)


async def test_what_is_not_a_socket_is_never_removed(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("dear")
    link.symlink_to(file)
    for path in (file, link, tmp_path):
        with pytest.raises(AddressUnusable, match="not a socket"):
            open_unix_listener(str(path), 0o600)
    assert file.read_text() == "dear"
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing/deeper/s.sock", "missing/deeper does not exist"),
        ("file/s.sock", "not a directory"),
        ("x" * 120, "107 bytes"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AddressUnusable, match=says):
        open_unix_listener(str(tmp_path / name), 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


async def test_a_directory_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s.sock"
    before = os.umask(0o077)
    try:
        listener = open_unix_listener(str(path), 0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    await listener.aclose()


def test_a_closed_directory_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(AddressUnusable, match="permission denied"):
            open_unix_listener(str(tmp_path / "s.sock"), 0o600)
        tmp_path.chmod(0o700)
    else:  # root may write anywhere, but not into /proc
        with pytest.raises(AddressUnusable, match="/proc"):
            open_unix_listener("/proc/s.sock", 0o600)


async def test_only_our_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    first = open_unix_listener(str(path), 0o600)
    ours = inode_of(str(path))
    path.unlink()
    async with open_unix_listener(str(path), 0o600):  # a successor, while we still hold our inode
        assert not remove_unix_socket(str(path), ours)
        assert path.is_socket()
        assert remove_unix_socket(str(path), inode_of(str(path)))
    assert not path.exists()
    assert not remove_unix_socket(str(path), ours)
    await first.aclose()


async def test_what_is_wrong_with_a_port_is_said() -> None:
    [listener] = await open_tcp_listeners("127.0.0.1", 0)
    async with listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(AddressUnusable, match=f"127.0.0.1:{port}: this port is taken"):
            await open_tcp_listeners("127.0.0.1", port)
    with pytest.raises(AddressUnusable, match="does not have that address"):
        await open_tcp_listeners("192.0.2.1", 0)
    with pytest.raises(AddressUnusable, match="not known"):
        await open_tcp_listeners("no-such-host.invalid", 0)


async def test_an_inherited_descriptor_becomes_a_listener(tmp_path: Path) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s.sock"))
    with pytest.raises(AddressUnusable, match="not a listening stream socket"):
        listener_from_fd(sock.fileno())
    sock.listen()
    async with listener_from_fd(sock.detach()) as listener:
        assert not listener.socket.get_inheritable()
        async with await trio.open_unix_socket(tmp_path / "s.sock"):
            await (await listener.accept()).aclose()


async def test_a_descriptor_that_is_no_socket_is_said(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        with pytest.raises(AddressUnusable, match=f"file descriptor {file.fileno()}"):
            listener_from_fd(file.fileno())
        file.write("still open")


ROOT, DAEMON = pwd.getpwuid(0).pw_name, grp.getgrgid(1).gr_name
PEER = Peer(pid=1, uid=1000, gid=100, groups=frozenset({1, 27}))


@pytest.mark.parametrize(
    ("allow", "passes"),
    [
        (Allow(users=("1000",)), True),
        (Allow(users=("1001",)), False),
        (Allow(groups=("100",)), True),  # the primary group counts
        (Allow(groups=("27",)), True),
        (Allow(groups=("28",)), False),
        (Allow(groups=(DAEMON,)), True),
        (Allow(users=(ROOT,)), False),
        (Allow(users=("no such user",), groups=("no such group",)), False),
        (Allow(users=("27",), groups=("1000",)), False),  # a user is not a group
        (Allow(), False),
    ],
)
def test_who_is_allowed(allow: Allow, *, passes: bool) -> None:
    assert allowed(PEER, (Allow(users=("7",)), allow)) is (allow if passes else None)


def test_root_passes_only_if_it_is_listed() -> None:
    root = Peer(pid=1, uid=0, gid=0)
    assert allowed(root, (Allow(users=("1000",), groups=("100",)),)) is None
    assert allowed(root, (listed := Allow(users=(ROOT,)),)) is listed


def test_supplementary_groups_of_another_process_are_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may change its groups")
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        many = list(range(5000, 5100))  # more than the first try has room for
        child = os.fork()
        if child == 0:
            os.setgroups(many)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.recv(1)
            os._exit(0)
        with listener.accept()[0] as accepted:
            assert peer_of_socket(accepted).groups == frozenset(many)
        os.waitpid(child, 0)
