"""Every message of the log is explained, and found by the half of it that other places say."""

from __future__ import annotations

import json

from click.testing import CliRunner

from hookd.cli.explain import explain_command
from hookd.cli.loglines import _FOLLOWS, read_lines
from hookd.config.resources import resource


def explained(word: str) -> str:
    result = CliRunner().invoke(explain_command, [word], standalone_mode=False)
    assert result.exception is None
    return result.output


def test_every_message_that_the_log_may_hold_is_explained_and_no_other() -> None:
    messages = json.loads(resource("schemas/log.schema.json"))["properties"]["msg"]["enum"]
    assert list(_FOLLOWS) == messages
    for word, means, more in read_lines():
        assert means.endswith(".")
        assert more.endswith(".")
        assert explained(word).startswith(f"{word}: {means}\n")


def test_half_of_a_message_leads_to_it() -> None:
    assert explained("not_moved").startswith("webhook.not_moved: ")
    assert explained("polling").startswith("config.polling: ")


def test_a_word_of_its_own_is_not_one_of_the_log() -> None:
    assert explained("suspended").startswith("suspended (webhook): ")


def test_for_machines_too() -> None:
    result = CliRunner().invoke(explain_command, ["not_moved", "--output", "json"], standalone_mode=False)
    assert json.loads(result.output)["line"] == "webhook.not_moved"
