"""`hookd`, started as a socket unit does it: its sockets are open before it is there.

Run as a program, with a verb and its options. `ACTIVATED` holds the paths of Unix sockets, each after its name:
`events=/a/b.sock`, separated by spaces. The process that opens them becomes hookd, as systemd's child does.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

FIRST = 3

if __name__ == "__main__":
    names = []
    opened = []
    for number, each in enumerate(os.environ.pop("ACTIVATED").split()):
        name, _, path = each.partition("=")
        Path(path).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen()
        if sock.fileno() != FIRST + number:
            os.dup2(sock.fileno(), FIRST + number)
        os.set_inheritable(FIRST + number, True)  # noqa: FBT003  the signature of os
        names.append(name)
        opened.append(sock)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    os.execve(sys.executable, [sys.executable, "-m", "hookd", *sys.argv[1:]], {**os.environ, **environ})
