"""W3C Trace Context: which trace an event belongs to.

Rules of this module:

1. hookd makes no spans of its own: the producer's `traceparent` is stored with the event and goes out as it came, so
   that the receiver's work stands in the producer's trace.
2. What is no traceparent is none: a header that cannot be read is left aside, since it must not cost an event
   (w3.org/TR/trace-context, "Processing Model"). An attribute that was written into an event is its producer's mistake,
   and refused.
3. In log lines the ids are called as OpenTelemetry's log data model has them, `trace_id` and `span_id`.
"""

from __future__ import annotations

import re
from typing import Final

#: Trace Context section 3.2: version ff and identifiers of zeros are not valid.
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Whether a text is a traceparent, of the version that is known or of a later one in the same form."""
    return _TRACEPARENT.fullmatch(text) is not None


def read_traceparent(header: bytes | None) -> str | None:
    """Give the traceparent of a request's header; None if there is none that can be read."""
    if header is None:
        return None
    text = header.strip().decode("latin-1")
    return text if is_traceparent(text) else None


def trace_ids(traceparent: str | None) -> dict[str, str]:
    """Give the ids as fields of a log line; none without a traceparent."""
    if traceparent is None:
        return {}
    _, trace_id, span_id, *_ = f"{traceparent}---".split("-")
    return {"trace_id": trace_id, "span_id": span_id}
