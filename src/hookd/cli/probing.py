"""Whether the receivers of a config can be reached: look up, check the address, connect, shake hands, hang up.

Rules of this module:

1. Nothing is sent: no byte of a request leaves, so no receiver does anything. It sees a connection that ends.
2. It goes the way of a delivery, with the sender's own connector: the same addresses are denied, the same certificates
   trusted. With `proxy` it goes to the proxy, which alone can reach the receiver.
3. Each place is tried once, however many webhooks lead to it; 16 at a time, 10 s each at most.
4. Messages show host and port, never the path or the query of a URL.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from hookd.config.comparing.origins import find_places
from hookd.config.problems import Problem
from hookd.config.references import SecretUnreadable
from hookd.core.addresses import TargetInvalid, parse_target
from hookd.core.model import Secret
from hookd.core.proxies import parse_proxy
from hookd.delivery.connect import TcpConnector
from hookd.delivery.sender import ConnectFailed, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.building.merge import Path
    from hookd.config.references import Secrets
    from hookd.config.snapshot import Snapshot
    from hookd.core.addresses import Target
    from hookd.core.config import Config, Network, Place, Tls, Webhook

AT_ONCE: Final = 16
SECONDS: Final = 10.0
#: Webhooks that a message names one by one.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a receiver is reached: what decides whether it can be."""

    target: Target
    proxied: bool
    networks: tuple[Network, ...]
    tls: Tls | None
    tls_key: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of trying a place: `fault` is None when it was reached, in `duration_ms`."""

    origin: str
    proxied: bool
    webhooks: tuple[Webhook, ...]
    duration_ms: float
    fault: str | None = None

    @property
    def names(self) -> str:
        """The webhooks that lead there."""
        names = [webhook.id for webhook in self.webhooks]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more

    @property
    def message(self) -> str:
        """Why it cannot be reached."""
        return f"{'the proxy ' if self.proxied else ''}{self.origin} cannot be reached ({self.names}): {self.fault}"


class _Untried(Exception):  # noqa: N818  a fact, for the flow of control
    """A webhook whose way cannot be known: which of its keys is the reason, and why."""

    def __init__(self, at: Path, why: Exception) -> None:
        self.at = at
        self.why = why


def probe(config: Config, snapshot: Snapshot, secrets: Secrets) -> tuple[list[Reached], list[Problem]]:
    """Try every place that an active webhook leads to; give what came of each, in the order of the config.

    The problems are those places that cannot be reached, each where its URL or its proxy is named, for the first
    webhook that leads there; and URLs and keys that stand behind a reference and cannot be read here. `snapshot` is
    what the config was made of.
    """
    ways: dict[_Way, list[Webhook]] = {}
    untried: list[tuple[Webhook, _Untried]] = []
    for webhook in config.webhooks.values():
        if not webhook.active:
            continue
        try:
            ways.setdefault(_find_way(webhook, secrets), []).append(webhook)
        except _Untried as error:
            untried.append((webhook, error))
    reached = trio.run(_probe_all, ways)
    failed = [it for it in reached if it.fault is not None]
    wanted = [(webhook, error.at) for webhook, error in untried]
    wanted += [(it.webhooks[0], ("proxy",) if it.proxied else ("url",)) for it in failed]
    places = iter(find_places(snapshot, wanted))
    problems = [_tell_untried(next(places), webhook, error.why) for webhook, error in untried]
    return reached, problems + [Problem(next(places), it.message, "unreachable") for it in failed]


def _tell_untried(place: Place, webhook: Webhook, why: Exception) -> Problem:
    message = f"webhook `{webhook.id}` cannot be tried: {why}"
    if isinstance(why, SecretUnreadable):
        return Problem(place, message, "secret_unchecked", severity="warning")
    return Problem(place, message, "bad_url")


@contextmanager
def _about(*at: str) -> Iterator[None]:
    """Say of what cannot be read or understood which key of a webhook it stands at."""
    try:
        yield
    except (SecretUnreadable, TargetInvalid) as why:
        raise _Untried(at, why) from None


def _find_way(webhook: Webhook, secrets: Secrets) -> _Way:
    """Give how the receiver of a webhook is reached. Raises `_Untried`."""
    key = None
    if webhook.tls is not None and webhook.tls.key is not None:
        with _about("tls", "key"):
            key = Secret(secrets.read(webhook.tls.key))
    proxied = webhook.proxy is not None
    with _about("url"):
        target = parse_target(secrets.read(webhook.url))
    if webhook.proxy is not None:
        with _about("proxy"):
            target = parse_proxy(secrets.read(webhook.proxy)).target
    # The path decides nothing here, and webhooks that differ in it share a connection.
    target = parse_target(target.origin + "/")
    networks = webhook.allow_networks
    tls = None if proxied or target.scheme != "https" else webhook.tls
    return _Way(target=target, proxied=proxied, networks=networks, tls=tls, tls_key=key if tls else None)


async def _probe_all(ways: dict[_Way, list[Webhook]]) -> list[Reached]:
    connector = TcpConnector()
    limiter = trio.CapacityLimiter(AT_ONCE)
    found: dict[_Way, Reached] = {}

    async def one(way: _Way, webhooks: list[Webhook]) -> None:
        async with limiter:
            began = trio.current_time()
            fault = await _probe(connector, way)
            duration_ms = (trio.current_time() - began) * 1000
        found[way] = Reached(
            origin=way.target.origin,
            proxied=way.proxied,
            webhooks=tuple(webhooks),
            duration_ms=duration_ms,
            fault=fault,
        )

    async with trio.open_nursery() as nursery:
        for way, webhooks in ways.items():
            nursery.start_soon(one, way, webhooks)
    return [found[way] for way in ways]


async def _probe(connector: TcpConnector, way: _Way) -> str | None:
    """Give why a place cannot be reached; None if it can."""
    progress = Progress()
    with trio.move_on_after(SECONDS) as scope:
        try:
            (await connector.connect(way.target, way.networks, way.tls, way.tls_key, progress)).close()
        except ConnectFailed as failed:
            return failed.detail
    return f"{progress.doing or 'connecting'} took more than {SECONDS:g} s" if scope.cancelled_caught else None
