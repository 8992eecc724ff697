"""The client of the control API: what goes wrong on the way is a `CliError` that says what to do."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any, Final

import httpx

from hookd.cli.errors import CliError, ExitCode

#: A test waits for an attempt, a reload for the files to settle: both may take the better part of two minutes.
TIMEOUT_S: Final = 120.0
#: What is only read is there in a moment.
READ_TIMEOUT_S: Final = 20.0
_NOT_ALLOWED: Final = frozenset({401, 403})


class Refused(CliError):  # noqa: N818  a fact, as those of the daemon are
    """The daemon says no. `errors` are the places in what was sent that are not right: pointer, code, message."""

    def __init__(self, message: str, code: ExitCode, errors: list[dict[str, str]]) -> None:
        super().__init__(message, code)
        self.errors = errors


class ControlClient:
    """Asks the daemon over its control socket; what goes wrong is a `CliError`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=path), base_url="http://control", timeout=TIMEOUT_S, trust_env=False
        )

    def get(self, path: str, **asked: object) -> Any:
        """Read something."""
        params = {k: str(v) for k, v in asked.items() if v is not None}
        return self._ask("GET", path, params=params, timeout=READ_TIMEOUT_S)

    def post(self, path: str, body: object) -> Any:
        """Have something done."""
        return self._ask("POST", path, json=body)

    def post_text(self, path: str, text: bytes | None) -> Any:
        """Have something done with a JSON text as it was written; None: without a body."""
        return self._ask("POST", path, content=text, headers={"content-type": "application/json"})

    def put(self, path: str, body: object, headers: dict[str, str]) -> Any:
        """Have something be so."""
        return self._ask("PUT", path, json=body, headers=headers)

    def delete(self, path: str, headers: dict[str, str]) -> None:
        """Have something gone."""
        self._ask("DELETE", path, headers=headers)

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        try:
            response = self._client.request(method, path, **how)
        except httpx.ConnectError:
            raise explain_unreachable(self._path, "control socket") from None
        except httpx.ProtocolError:
            raise self._foreign() from None
        except httpx.HTTPError as error:
            message = f"the daemon at {self._path} did not answer ({type(error).__name__})"
            raise CliError(message, ExitCode.TRY_AGAIN) from None
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            answer = response.json()
            detail = "" if response.is_success else str(answer["detail"])
        except (ValueError, KeyError, TypeError):
            raise self._foreign() from None
        if response.is_success:
            return answer
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise CliError(detail, ExitCode.TRY_AGAIN)
        code = ExitCode.NOT_ALLOWED if response.status_code in _NOT_ALLOWED else ExitCode.NOT_SO
        raise Refused(detail, code, answer.get("errors", []))

    def _foreign(self) -> CliError:
        message = f"what listens at {self._path} broke off, or is no control socket of hookd"
        return CliError(message, ExitCode.TRY_AGAIN)


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
