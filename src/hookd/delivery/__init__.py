"""Ways out.

The road of a delivery, and who does what on it:

    dispatcher      where the parts meet: claims in, attempts out, what became of them to the store
    lanes           who waits, a lane for each webhook (`lane`): whose turn it is (`slots`), who must wait (`gates`)
    feeder          what else is due in the store, asked for when there is reason to
    crew            who makes the attempts: flights, which nobody waits for, and workers
    attempter       one attempt of a claim: may it go out, what came of it, what is to be recorded
    request         what is sent, and `mask`, what people may see of it
    senders         which sender makes the request; `sender` says what each of them promises
    recorder        what became of attempts, to the store by the batch, and then to the log
    watch           what the world taught us of a webhook (`health`); `news` is who is told of it, `timeline` the time

`http1` is the sender for nearly everything: `attempt`, `pool`, `connection`, `readiness` and `response` are its parts.
`httpcore_sender` is the one for proxies and HTTP/2, with `streams`, `frames` and `failures`. Both connect by `connect`,
which looks names up (`lookup`) and decides whom to trust (`trust`).
"""
