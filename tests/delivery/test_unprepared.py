"""What is told of an attempt whose request could not even be begun, and what it teaches of its webhook."""

# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.references import SecretReader
from hookd.core.config import BearerAuth, Reference, ReferenceKind, Sign
from hookd.core.model import Cause, Response
from tests.delivery.stage import Script, make_event, make_webhook, open_stage

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hookd.core.config import Text

SECRET = Reference(ReferenceKind.ENV, "SECRET")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com:8443/hooks/crm?token=s3cret", "https://example.com:8443/hooks/crm"),
        (SECRET, "***"),
        ("https://me:s3cret@example.com/", None),  # no URL that can be sent to: nothing of it is told
    ],
)
async def test_an_attempt_without_a_request_tells_where_it_would_have_gone(
    autojump_clock: MockClock, url: Text, told: str | None
) -> None:
    async with open_stage(make_webhook(url=url, auth=BearerAuth(token=SECRET))) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        line = stage.lines[0]
        assert (line["outcome"], line["cause"]) == ("not_sent", Cause.SECRET_UNREADABLE)
        assert line["detail"] == "environment variable SECRET is not set"
        assert line.get("url") == told
        assert ("url" in line) is (told is not None)
        assert [row.attempt.url for row in await stage.attempts()] == [told or ""]


async def test_what_failed_last_stands_in_the_state_until_a_success(autojump_clock: MockClock) -> None:
    environ: dict[str, str] = {}
    webhook = make_webhook(sign=Sign(secrets=(SECRET,)))
    sender = Script([Response(status=500), Response(status=200)])
    async with open_stage(webhook, sender=sender, secrets=SecretReader(None, environ)) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        assert (await stage.backlog()).state.failing_cause is Cause.SECRET_UNREADABLE
        environ["SECRET"] = "no whsec_"
        await stage.told(2)
        assert (await stage.backlog()).state.failing_cause is Cause.REQUEST_INVALID
        environ["SECRET"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        await stage.told(3)
        assert (await stage.backlog()).state.failing_cause is Cause.STATUS
        await stage.told(4)
        state = (await stage.backlog()).state
        assert (state.failures, state.failing_since, state.failing_cause) == (0, None, None)


async def test_a_resumed_webhook_fails_of_nothing(autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(auth=BearerAuth(token=SECRET))) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        await stage.change(make_webhook(auth=BearerAuth(token=SECRET), active=False))
        await stage.dispatcher.resume("crm")
        state = (await stage.backlog()).state
        assert (state.failures, state.failing_cause) == (0, None)
