"""The messages of the log (`msg`), for people: what each says, and what to do about it.

Rules of this module:

1. What a message says stands in the schema of the log, as its description; what follows from it stands here, once for
   each message that the schema knows.
2. A word of a message is no entry of its own: `not_moved` leads to `webhook.not_moved` (see `explain`).
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hookd.config.resources import resource

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUG: Final = "`exception` and `where` say what to report. Nobody's payload is in them."
_RECORD: Final = "It is for the record: nothing is to be done."

#: msg -> what happens next by itself, and what to do.
_FOLLOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "daemon.ready": _RECORD,
        "daemon.stopping": (
            "What is not delivered by the end of `drain_timeout` stays pending, and goes out after the next start."
        ),
        "daemon.stopped": "`good: false`: the exit code and the lines before say why.",
        "daemon.cut": (
            "What was cut may have arrived; it is attempted again after the next start, under the same `webhook-id`."
        ),
        "daemon.failed": f"What was accepted is on disk and goes out after the next start. {_BUG}",
        "event.accepted": "`deliveries` is how many webhooks it goes to.",
        "event.refused": (
            "Its sender was told the same: `hookd explain CODE` says what the `code` means, `path` where the"
            " fault is, never what stands there. Of the refusals of one second the first are told, and how many"
            " more there were."
        ),
        "delivery.attempted": (
            "`outcome` and `cause` say how it went (`hookd explain CAUSE`), `next_attempt_at` whether there"
            " will be another one. `hookd attempts WEBHOOK` lists them."
        ),
        "delivery.dead": (
            "`cause` says why (`hookd explain CAUSE`). Once that is mended: `hookd redrive WEBHOOK`, while the"
            " event is kept (`retention.events`)."
        ),
        "delivery.lost": "What its receiver answered is not recorded; the delivery goes its way without it.",
        "attempt.failed": _BUG,
        "webhook.failing": (
            "It is told once; the attempts go on. `hookd attempts WEBHOOK` shows what fails, `hookd test"
            " WEBHOOK` tries it now. When nothing succeeds for `suspend_after`, it is suspended."
        ),
        "webhook.recovered": _RECORD,
        "webhook.suspended": (
            "Its events are matched and held, nothing is lost. `cause` says why; once it is mended: `hookd"
            " resume WEBHOOK`."
        ),
        "webhook.resumed": "What was held goes out, slowly at first.",
        "webhook.overflowing": (
            "More comes in than goes out: `hookd status WEBHOOK` says what it waits for. `max_pending`, `rate`"
            " and `concurrency` are its bounds."
        ),
        "webhook.not_moved": (
            "What is pending under the old id is held. The entry is tried again at each reload, and goes"
            " through once the webhook under `to` has no backlog of its own, or `to:` names another one."
            " `reason` says what is in the way."
        ),
        "webhook.changed": "`change` says what became of it, `by` who asked for it.",
        "management.unfit": (
            "The tenant was told that the profile does not take it; `reason` says what the operator has to mend"
            " in the files."
        ),
        "management.unwritten": (
            "Nothing was changed, and who asked was told. See that `managed_dir` can be written to and its disk"
            " has room."
        ),
        "management.untidy": "The change holds. `reason` says what was left undone.",
        "management.failed": f"Who asked was told `failed`. {_BUG}",
        "config.reloaded": (
            "`added`, `removed` and `changed` count webhooks; what was pending for a removed one is held."
            " `restart_required` names what waits for a restart, `not_moved` the entries of `moved:` that were"
            " refused."
        ),
        "config.rejected": (
            "`code` is that of the first problem (`hookd explain CODE`); `hookd check` shows them all with"
            " their lines. Mend the files, and they are read by themselves."
        ),
        "config.last_good": (
            "Mend the files: they are read by themselves. With `--no-last-good` the start fails instead."
        ),
        "config.restored": "What was wrong is undone; nothing is reloaded, since nothing differs.",
        "config.committed": _RECORD,
        "config.deferred": (
            "`reason` says what it waits for: mostly a git operation that is under way, or an `index.lock` that"
            " one has left behind. `hookd reload` says so as well."
        ),
        "config.polling": (
            "Changes are found a little later. `reason` says why they cannot be watched; mostly"
            " `fs.inotify.max_user_watches` is too low."
        ),
        "config.watching": _RECORD,
        "config.not_kept": (
            "The config runs all the same. Should the files be broken at the next start, there is no copy to"
            " start from; see that the state directory can be written to."
        ),
        "watch.failed": "It heals by itself; a look at the files every 30 s finds what was missed meanwhile.",
        "store.failed": (
            "Senders were told `store_failed`, and send again. The service manager starts another process;"
            " `reason` says what the disk or the system refused."
        ),
        "store.full": (
            "Senders are told to send again later; what was accepted goes out. Make room, or lower `retention`;"
            " `limits.disk_free` is the bound."
        ),
        "store.relieved": "Events are accepted again.",
        "store.pruned": (
            "`retention` says what is kept for how long. `held_too_long` counts deliveries that are dead now,"
            " since they were held for longer than that."
        ),
        "http.failed": f"Who asked was told 500. {_BUG}",
        "connection.refused": (
            "`cause` or `reason` says why: mostly too many connections, or too few file descriptors (`LimitNOFILE=`)."
        ),
        "connection.broken": "What was read whole and has no reply is the sender's to send again.",
        "connection.failed": f"The connection was closed; what has no reply is the sender's to send again. {_BUG}",
        "socket.unclaimed": "Name it under `daemon.inlets`, `control` or `metrics`, or take it out of the socket unit.",
        "start.failed": (
            "`reason` says what was wrong, `exit_code` of which kind it was, `problems` which lines of the config."
        ),
        "token.unreadable": (
            "Whoever has it is refused until it can be read; it is looked at again when it is needed. `hookd"
            " check --environment` says which it is."
        ),
        "log.dropped": (
            "`lines` is how many. Deliveries did not wait for them; `hookd attempts` has what the log lacks."
            " See what reads the log so slowly."
        ),
    }
)


def read_lines() -> list[tuple[str, str, str]]:
    """Give each message of the log, what it says, and what follows from it, in the order of the schema."""
    schema: dict[str, Any] = json.loads(resource("schemas/log.schema.json"))
    messages: list[str] = schema["properties"]["msg"]["enum"]
    return [(msg, schema["$defs"][msg]["description"], _FOLLOWS[msg]) for msg in messages]
