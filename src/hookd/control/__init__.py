"""The local API: what the CLI asks the running daemon. `service` answers in values, `app` speaks HTTP."""
