"""The durable outbox: `base` is what every store promises, `memory` a verified fake, `sqlite` the real one."""
