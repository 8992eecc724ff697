"""Why nobody can be reached at a Unix socket: said in one way by all verbs, whichever socket it is."""

from __future__ import annotations

import errno
import os
import socket
import stat

from hookd.cli.errors import CliError, ExitCode


def explain_unreachable(path: str, what: str) -> CliError:
    """Say why nobody can be reached at a Unix socket, by trying it once more. `what` names it: `event socket`."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # noqa: FBT003  its only argument
            probe.connect(path)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
    else:
        return CliError(f"the daemon at {path} is just starting: try again", ExitCode.TRY_AGAIN)
    if number in {errno.EACCES, errno.EPERM}:
        return CliError(f"you may not use the {what} {path}", ExitCode.NOT_ALLOWED)
    if number == errno.EAGAIN:
        return CliError(f"the daemon at {path} takes no connections at the moment", ExitCode.TRY_AGAIN)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  the path is a text, and may be no path at all
    except (OSError, ValueError):
        return CliError(f"no daemon is running: there is no socket at {path}", ExitCode.NO_DAEMON)
    if not stat.S_ISSOCK(mode):
        return CliError(f"no daemon is running: {path} is not a socket", ExitCode.NO_DAEMON)
    return CliError(f"no daemon is running: nobody listens at {path}", ExitCode.NO_DAEMON)
