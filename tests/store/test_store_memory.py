"""The memory store keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.store.base import StoreUnusable
from hookd.store.memory import open_memory_store
from tests.store.contract import (
    AcceptContract,
    ClaimContract,
    OrderContract,
    ReadContract,
    RecordContract,
    ReleaseContract,
)
from tests.store.contract_replay import OnceContract, RedrivableContract, ReplayContract
from tests.store.contract_revise import BindContract, PruneContract, StepInContract
from tests.store.contract_standing import StandingContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hookd.store.base import Store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_memory_store() as opened:
        yield opened


class TestAccept(AcceptContract): ...


class TestClaim(ClaimContract): ...


class TestRecord(RecordContract): ...


class TestRelease(ReleaseContract): ...


class TestOrder(OrderContract): ...


class TestRead(ReadContract): ...


class TestBind(BindContract): ...


class TestStepIn(StepInContract): ...


class TestPrune(PruneContract): ...


class TestReplay(ReplayContract): ...


class TestRedrivable(RedrivableContract): ...


class TestOnce(OnceContract): ...


class TestStanding(StandingContract): ...


async def test_memory_has_nothing_to_back_up(store: Store) -> None:
    with pytest.raises(StoreUnusable):
        await store.backup("/nowhere")
