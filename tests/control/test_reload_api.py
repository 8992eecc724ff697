"""`POST /v1/reload`: what may be said in it, and what an answer tells of what runs."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.control.reloading import Reloaded, wait_reloaded
from hookd.core.config import Move, NotMoved, Place
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


MOVE = Move(source="a", target="b", place=Place(file="hookd.yaml", line=7, column=3))


async def test_an_answer_tells_what_runs_and_since_when(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        room.rejected = room.reloaded = Reloaded(
            changed=False,
            revision="r",
            applied_at=NOW - 300,
            last_good=True,
            added=("a",),
            altered=("b",),
            not_moved=(NotMoved(move=MOVE, reason="it has its own"),),
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
            "not_moved": [
                {"from": "a", "to": "b", "file": "hookd.yaml", "line": 7, "column": 3, "reason": "it has its own"}
            ],
        }
        _, whole = await room.get("/v1/status")
        assert (whole["applied_at"], whole["last_good"]) == (answer["applied_at"], True)
        assert whole["not_moved"] == answer["not_moved"]
        assert (whole["commit"], whole["dirty"]) == (None, False)


async def test_who_waits_for_a_full_disk_is_told(autojump_clock: object) -> None:
    del autojump_clock
    trouble = ""
    ended = False

    async def reload() -> Reloaded:
        nonlocal ended
        try:
            await trio.sleep(30 if trouble else 10)
        finally:
            ended = True
        return Reloaded(changed=True, revision="r")

    found = await wait_reloaded(reload, lambda: trouble)
    assert isinstance(found, Reloaded)  # git is at work, say: that is waited for
    ended, trouble = False, "the disk has no room"
    began = trio.current_time()
    said = await wait_reloaded(reload, lambda: trouble)
    assert isinstance(said, str)
    assert said.endswith("the disk has no room")
    assert ended
    assert trio.current_time() - began < 10


async def test_a_full_disk_is_no_answer_of_the_files(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookd.control.reloading._LOOK_S", 0.05)
    async with open_room(tmp_path, config) as room:
        room.reload_takes = inf
        room.short = "the disk has no room"
        status, answer = await room.post("/v1/reload")
        assert (status, "the disk has no room" in answer["detail"]) == (503, True)
