"""`POST /v1/reload`: what may be said in it, and what an answer tells of what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.control.reloading import Reloaded
from tests.config.trees import load_tree
from tests.control.rooms import NOW, open_room

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_tree(tmp_path, main='version: 1\nwebhooks: {a: {url: "http://example.com/", events: [x]}}\n')


async def test_removals_are_allowed_by_a_word_and_by_nothing_else(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for body, allowed in ((b"", False), (b"{}", False), (b'{"allow_removals": false}', False)):
            assert (await room.post("/v1/reload", body))[0] == 200
            assert room.removals_allowed.pop() is allowed
        assert (await room.post("/v1/reload", b'{"allow_removals": true}'))[0] == 200
        assert room.removals_allowed.pop() is True
        for body, status in (
            (b'{"allow_removals": 1}', 422),
            (b'{"allow_removals": "yes"}', 422),
            (b'{"allow_removal": true}', 422),
            (b"[]", 422),
            (b"{", 400),
        ):
            assert (await room.post("/v1/reload", body))[0] == status
        assert room.removals_allowed == []


async def test_an_answer_tells_what_runs_and_since_when(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        room.rejected = room.reloaded = Reloaded(
            changed=False, revision="r", applied_at=NOW - 300, last_good=True, added=("a",), altered=("b",)
        )
        _, answer = await room.post("/v1/reload")
        assert answer == {
            "changed": False,
            "revision": "r",
            "applied_at": "2026-11-21T15:59:59.700Z",
            "added": ["a"],
            "removed": [],
            "altered": ["b"],
            "problems": [],
            "last_good": True,
            "restart_required": [],
        }
        _, whole = await room.get("/v1/status")
        assert (whole["applied_at"], whole["last_good"]) == (answer["applied_at"], True)
        assert (whole["commit"], whole["dirty"]) == (None, False)
