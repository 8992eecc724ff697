"""Every metric, once: its name, what it tells, its labels.

Rules of this module:

1. Names, units and endings are Prometheus' (prometheus.io/docs/practices/naming): base units, `_total` for counters.
2. A label has few values. `webhook` is bounded to `MOST_WEBHOOKS`, `type` to 500 (`inlet.counts`); the rest share one
   series, `_other`. No tenant, no URL, no event id is ever a label.
3. Alerts and dashboards in `systemd/monitoring/` live on these names: to rename one is to break somebody's pager.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: Webhooks with series of their own; a thousand of them make some fifteen thousand series.
MOST_WEBHOOKS: Final = 1000

#: Seconds. The longest timeout people give is about a minute.
DURATION_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
#: Seconds. Below a few milliseconds is the kernel's business, 50 ms is what a config of 10,000 webhooks may cost.
LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what is asked for by `name` has `labels`, and `help` in a line for people."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_ALL: Final[list[Metric]] = []


def _declare(name: str, kind: Literal["counter", "gauge", "histogram"], text: str, *labels: str) -> Metric:
    metric = Metric(name, kind, text, labels)
    _ALL.append(metric)
    return metric


# --------------------------------------------------------------------------- the daemon

BUILD = _declare("hookd_build_info", "gauge", "Which hookd this is; always 1.", "version")
READY = _declare("hookd_ready", "gauge", "1: it takes events. 0: it is starting or draining.")
LOOP_LAG = _declare("hookd_loop_lag_seconds", "histogram", "How much later than asked a sleeping task was woken.")
LOG_DROPPED = _declare("hookd_log_lines_dropped_total", "counter", "Log lines dropped since nobody read them in time.")

# --------------------------------------------------------------------------- config

CONFIG = _declare("hookd_config_info", "gauge", "The config that runs; always 1.", "revision", "commit", "dirty")
CONFIG_GOOD = _declare(
    "hookd_config_last_reload_successful", "gauge", "1: the files on disk run. 0: they are refused, the last good run."
)
CONFIG_APPLIED = _declare(
    "hookd_config_last_applied_timestamp_seconds", "gauge", "When the config that runs was put to work."
)
CONFIG_TOOK = _declare(
    "hookd_config_last_apply_seconds",
    "gauge",
    "How long it took to put the config that runs to work, once it was read.",
)
RELOADS = _declare("hookd_config_reloads_total", "counter", "Reloads that changed something, and refusals.", "result")
RESTART_REQUIRED = _declare(
    "hookd_config_restart_required", "gauge", "How many keys of daemon: differ from those that it was started with."
)
WEBHOOKS = _declare("hookd_webhooks", "gauge", "Webhooks by the word that `hookd status` has for them.", "state")

# --------------------------------------------------------------------------- events in

EVENTS = _declare(
    "hookd_events_total",
    "counter",
    "Events offered, by type and result: accepted, duplicate, or why not.",
    "type",
    "result",
)

# --------------------------------------------------------------------------- deliveries out

ATTEMPTS = _declare("hookd_attempts_total", "counter", "Attempts that are recorded.", "webhook", "outcome")
FAILURES = _declare("hookd_attempt_failures_total", "counter", "Attempts that failed, by cause.", "cause")
DURATION = _declare("hookd_attempt_duration_seconds", "histogram", "How long attempts took.", "outcome")
DELIVERIES = _declare(
    "hookd_deliveries_total", "counter", "Deliveries that came to an end: delivered, or dead.", "webhook", "result"
)
IN_FLIGHT = _declare("hookd_attempts_in_flight", "gauge", "Attempts that are being made.")
CONCURRENCY = _declare("hookd_attempts_limit", "gauge", "limits.concurrency: how many may be made at once.")
IN_MEMORY = _declare("hookd_deliveries_in_memory", "gauge", "Deliveries that wait in memory for their turn.")
UNRECORDED = _declare("hookd_attempts_unrecorded", "gauge", "Attempts that wait for their record.")

# --------------------------------------------------------------------------- each webhook

PENDING = _declare("hookd_webhook_pending", "gauge", "Deliveries that are owed, held ones too.", "webhook")
HELD = _declare("hookd_webhook_held", "gauge", "Pending deliveries that are not attempted.", "webhook")
DEAD = _declare("hookd_webhook_dead", "gauge", "Deliveries that ended undelivered and can be redriven.", "webhook")
OLDEST = _declare(
    "hookd_webhook_oldest_pending_age_seconds", "gauge", "Since when the oldest one is owed; 0: none.", "webhook"
)
FAILING = _declare(
    "hookd_webhook_failing_seconds", "gauge", "For how long no attempt has succeeded; 0: it does not fail.", "webhook"
)
SUSPENDED = _declare("hookd_webhook_suspended", "gauge", "1: suspended, until `hookd resume` or an edit.", "webhook")
PAUSED = _declare("hookd_webhook_receiver_paused", "gauge", "1: its receiver asked to wait (Retry-After).", "webhook")
BREAKER = _declare("hookd_webhook_breaker_open", "gauge", "1: its breaker is open, it is probed only.", "webhook")

# --------------------------------------------------------------------------- the store

COMMIT = _declare("hookd_store_commit_seconds", "histogram", "How long commits took, the fsync included.")
BATCH = _declare("hookd_store_batch_operations", "histogram", "Operations that were written by one commit.")
BUSY = _declare("hookd_store_writer_busy_seconds", "gauge", "For how long the writer has been at its current batch.")
FILES = _declare("hookd_store_file_bytes", "gauge", "Sizes of the store's files.", "file")
DISK_FREE = _declare("hookd_disk_free_bytes", "gauge", "Free on the disk of state_dir.")
DISK_RESERVED = _declare(
    "hookd_disk_reserved_bytes", "gauge", "limits.disk_free: with less than this free, events are refused."
)

#: All of them, in the order in which they are shown.
METRICS: Final = tuple(_ALL)
