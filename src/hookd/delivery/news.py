"""What the dispatcher tells of that is worth an event: suspensions and deaths.

Rule: to tell is to leave a note and never waits, since it is told between two steps of a delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.model import Result, WebhookState


class News(Protocol):
    """Who is told."""

    def suspended(self, state: WebhookState) -> None:
        """Take that a webhook was suspended; `state` is how it stands since."""

    def resumed(self, state: WebhookState) -> None:
        """Take that a suspension was lifted; `state` is how the webhook stood before."""

    def died(self, results: Sequence[Result]) -> None:
        """Take recorded results, some of which may be dead."""


class _Nobody:
    def suspended(self, state: WebhookState) -> None: ...

    def resumed(self, state: WebhookState) -> None: ...

    def died(self, results: Sequence[Result]) -> None: ...


#: Nobody is told.
NO_NEWS: Final[News] = _Nobody()
