"""What httpcore raises, as the outcome that it is.

Rules of this module:

1. Every exception that the network can cause becomes a `NoResponse` with one of our causes.
2. No text of an exception is passed on: it may quote what the receiver or the proxy sent. The words are ours, the
   numbers (a status, an HTTP/2 error code) theirs.
3. What fails before the tunnel through a proxy is there is *not sent*: our request stayed here.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpcore
from h2.events import ConnectionTerminated, StreamReset

from hookd.core.model import Cause, NoResponse
from hookd.delivery.connect import explain_tls
from hookd.delivery.sender import ConnectFailed

if TYPE_CHECKING:
    from hookd.core.model import Outcome
    from hookd.delivery.streams import Track


def explain(error: Exception, track: Track) -> Outcome:
    """Give the outcome of an attempt that ended in `error` before its response was there, as httpcore sees it.

    Notes in the track when it was the connection that was lost.
    """
    stream = track.stream
    if stream is not None and not stream.http2 and stream.reader.status:
        # Our reader had the head already (rule 3 of `streams`): it decides.
        return stream.reader.response()
    if isinstance(error, ConnectFailed):
        cause, detail = error.cause, error.detail
    elif isinstance(error, httpcore.ProxyError):
        cause, detail = Cause.CONNECT_FAILED, f"the proxy refused the tunnel with status {str(error)[:3]}"
    elif track.refused:
        return NoResponse(cause=Cause.REQUEST_INVALID, detail="the request cannot be written as HTTP", sent=False)
    elif track.tunnelling:
        cause, detail = Cause.CONNECT_FAILED, "the proxy gave no proper answer to CONNECT"
    else:
        cause, detail = _classify(error, track)
    return NoResponse(cause=cause, detail=detail, sent=track.sent)


def _classify(error: Exception, track: Track) -> tuple[Cause, str]:
    """Say why no response came to a request that was on its way."""
    stream = track.stream
    where = "inside the head of the response" if track.began else "before a response"
    told = error.args[0] if error.args else None
    if isinstance(told, StreamReset):
        return Cause.RESET, f"the receiver reset the stream (HTTP/2 error {int(told.error_code or 0)})"
    track.lost = True
    if isinstance(error, httpcore.NetworkError):
        return _explain_broken(error.__cause__, where)
    if isinstance(told, ConnectionTerminated):
        return Cause.RESET, f"the receiver ended the connection (HTTP/2 error {int(told.error_code or 0)})"
    if stream is not None and stream.ended:
        return Cause.RESET, f"the connection was closed {where}"
    track.lost = False
    fault = None if stream is None or stream.http2 else stream.reader.fault
    return Cause.RESPONSE_MALFORMED, fault or "the receiver broke the rules of HTTP"


def _explain_broken(reason: BaseException | None, where: str) -> tuple[Cause, str]:
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        # An alert that comes late: with TLS 1.3 the receiver judges our certificate after we have begun to send.
        return Cause.TLS, explain_tls(reason)
    why = (isinstance(reason, OSError) and reason.strerror) or "the connection was closed"
    return Cause.RESET, f"{why[0].lower()}{why[1:]} {where}"
