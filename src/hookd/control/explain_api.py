"""The routes of `explain`: what is asked, read strictly.

Rules: a key that is not known is refused, and so is a value of another kind; nothing is decided here. The answers are
for the operator: they show the definitions of every tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hookd.control.explain import Explainer
from hookd.control.service import ControlRefused
from hookd.control.strictly import expect_known, read_object
from hookd.core.definition import keyed_mask, plain_mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from hookd.control.service import Lent

#: blake2b takes a key of at most 64 bytes.
_KEY_DIGITS: Final = 128
_ROUTE: Final = frozenset({"explain", "webhook"})
_DEFINITIONS: Final = frozenset({"webhooks", "key", "origins"})


class ExplainRoutes:
    """What each route asks of the explainer."""

    def __init__(self, lent: Lent) -> None:
        self._explainer = Explainer(lent)

    async def route(self, request: Request) -> object:
        """`POST /v1/route?explain=true&webhook=ID`: the body is the event."""
        asked = request.query_params
        expect_known(asked, _ROUTE)
        explained = asked.get("explain", "false")
        if explained not in {"true", "false"}:
            raise ControlRefused(422, "explain is true or false")
        return await self._explainer.route(
            await request.body(), explained=explained == "true", webhook=asked.get("webhook")
        )

    async def definitions(self, request: Request) -> object:
        """`GET /v1/definitions?key=HEX`: the config without the webhooks, and their digests."""
        asked = request.query_params
        expect_known(asked, frozenset({"key"}))
        return self._explainer.definitions(_read_mask(asked.get("key")))

    async def definitions_of(self, request: Request) -> object:
        """`POST /v1/definitions` with `{"webhooks": [ID, …], "key": HEX, "origins": true}`."""
        body = read_object(await request.body(), _DEFINITIONS)
        names, origins = body.get("webhooks"), body.get("origins", False)
        if not isinstance(names, list):
            raise ControlRefused(422, "webhooks must be a list of ids")
        ids = [name for name in names if isinstance(name, str)]
        if len(ids) != len(names):
            raise ControlRefused(422, "webhooks must be a list of ids")
        if not isinstance(origins, bool):
            raise ControlRefused(422, "origins must be true or false")
        return await self._explainer.definitions_of(ids, _read_mask(body.get("key")), origins=origins)


def _read_mask(key: object) -> Callable[[str], str]:
    """Give how secrets are masked: without a trace, or under a key so that they can be compared."""
    if key is None:
        return plain_mask
    try:
        raw = bytes.fromhex(key) if isinstance(key, str) and 0 < len(key) <= _KEY_DIGITS else b""
    except ValueError:
        raw = b""
    if not raw:
        raise ControlRefused(422, f"key must be 2 to {_KEY_DIGITS} hexadecimal digits")
    return keyed_mask(raw)
