"""The durable outbox: `base` is what every store promises, `queries` what can be asked of it.

Two stores keep that promise. `memory` is the verified fake, in `memory_tables`, `memory_revising` and `memory_reading`.
`sqlite` is the real one:

    writing     the one writer, which commits once for all that wait (`ops`), in a thread of its own (`thread`)
    ledger      what it knows in memory: an account of each webhook, and what is claimed; `opening` reads it from a
                file, and `recent` holds events that will be claimed in a moment
    accepting   `claiming`, `recording`, `revising`, `replaying`, `pruning`: what the verbs write, a module for each
    reading     what people ask, on connections of its own
    tables      the tables, and how a connection is set up; `batches` writes many rows at once

Both stores share `standing` (how a webhook stands), `turns` (whose turn it is), `content` and `deliveryids`.
`vitals` is how a store itself does. The state directory is owned by `lock`, its disk watched by `space`, its copies
made by `copying`, with what stands in files beside it (`belongings`). `binding` tells a store what a config says,
`retention` what is too old.
"""
