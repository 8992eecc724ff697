"""The client of the control API: what goes wrong on the way is a `CliError` that says what to do.

Rule: it is http.client over a Unix socket, not httpx, which takes longer to import (a quarter of a second: with it come
trio, rich and a second HTTP) than all the rest of a verb takes. A request has a connection of its own, so a daemon that
restarts between two requests is no error.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from hookd.cli.errors import CliError, ExitCode, describe_error
from hookd.cli.reaching import explain_unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A test waits for an attempt, a reload for the files to settle: both may take the better part of two minutes.
TIMEOUT_S: Final = 120.0
#: What is only read is there in a moment.
READ_TIMEOUT_S: Final = 20.0
_EXIT_CODES: Final = {401: ExitCode.NOT_ALLOWED, 403: ExitCode.NOT_ALLOWED, 503: ExitCode.TRY_AGAIN}
_NO_CONTENT: Final = 204


class Refused(CliError):  # noqa: N818  a fact, as those of the daemon are
    """The daemon says no. `errors` are the places in what was sent that are not right: pointer, code, message.

    `word` is the code of its answer, `status` HTTP's.
    """

    def __init__(
        self, message: str, code: ExitCode, errors: Sequence[Mapping[str, Any]], *, word: str, status: int
    ) -> None:
        super().__init__(message, code, errors)
        self.word = word
        self.status = status

    def describe(self) -> dict[str, object]:
        """Give it for programs, under the code of the daemon's answer."""
        return describe_error(self.word, str(self), self.code, self.errors, status=self.status)


class _Unreachable(Exception):  # noqa: N818  a fact
    """Nobody takes the connection."""


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("control", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket. Raises `_Unreachable`."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except (OSError, ValueError):  # a path may be too long, or hold NUL
            raise _Unreachable from None


class ControlClient:
    """Asks the daemon over its control socket; what goes wrong is a `CliError`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get(self, path: str, **asked: object) -> Any:
        """Read something."""
        params = {k: str(v) for k, v in asked.items() if v is not None}
        query = urlencode(params, quote_via=quote, errors="replace")
        return self._ask("GET", f"{path}?{query}" if query else path, timeout=READ_TIMEOUT_S)

    def post(self, path: str, body: object) -> Any:
        """Have something done."""
        return self._ask("POST", path, _encode(body))

    def post_text(self, path: str, text: bytes | None) -> Any:
        """Have something done with a JSON text as it was written; None: without a body."""
        return self._ask("POST", path, text)

    def put(self, path: str, body: object, headers: dict[str, str]) -> Any:
        """Have something be so."""
        return self._ask("PUT", path, _encode(body), headers)

    def delete(self, path: str, headers: dict[str, str]) -> Any:
        """Have something gone; give what is said of it, None if that is nothing."""
        return self._ask("DELETE", path, None, headers)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT_S,
    ) -> Any:
        connection = _Connection(self._path, timeout)
        try:
            with suppress(BrokenPipeError):  # who does not want all of a body may have answered already
                connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            status, text = response.status, response.read()
        except _Unreachable:
            raise explain_unreachable(self._path, "control socket") from None
        except HTTPException:
            raise self._foreign() from None
        except OSError as error:
            why = f"within {timeout:.0f} s" if isinstance(error, TimeoutError) else f"({error.strerror})"
            raise CliError(f"the daemon at {self._path} did not answer {why}", ExitCode.TRY_AGAIN) from None
        finally:
            connection.close()
        if status == _NO_CONTENT:
            return None
        try:
            answer = json.loads(text)
            if status < 300:  # noqa: PLR2004  RFC 9110, 15: below it is success
                return answer
            code = _EXIT_CODES.get(status, ExitCode.NOT_SO)
            detail, word = str(answer["detail"]), str(answer["code"])
            errors = answer.get("errors", [])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._foreign() from None
        raise Refused(detail, code, errors, word=word, status=status)

    def _foreign(self) -> CliError:
        message = f"what listens at {self._path} broke off, or is no control socket of hookd"
        return CliError(message, ExitCode.TRY_AGAIN)


def _encode(body: object) -> bytes:
    return json.dumps(body).encode()
