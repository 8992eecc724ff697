"""hookd delivers webhooks.

The road of an event, which is also the listing of this folder:

    inlet/      ways in. `unix` and `http` read bytes, `intake` is the one door
    core/       what they all think with: pure values and decisions
    store/      the durable outbox: `base` says what a store promises
    delivery/   ways out. `dispatcher` decides who goes next, `sender` makes one HTTP request

The road of a change: `config/` turns YAML files into one frozen Config, `config.reload` swaps it.

Around them: `web/` (HTTP/1.1 serving), `control/` (the API of the CLI and of tenants), `cli/` (the verbs),
`logs` (the vocabulary of the log), `systemd` (the protocol of the service manager), `metrics/` (what is counted, by
name), `daemon/` (what runs, opened in order and closed in reverse, and what it shows of itself).

Imports point down: cli, daemon, then inlet | delivery | control | config.reload, then
web | store | logs | metrics | systemd | config, then core. Siblings never import each other.
"""

__version__ = "0.1.0"
