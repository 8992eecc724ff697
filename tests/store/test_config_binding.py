"""Binding a config to a store: as a whole, and by what changed; both come to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.config.load import Loaded, load, load_again
from hookd.store.base import Bind
from hookd.store.binding import CHUNK, bind_config, bindings_of
from hookd.store.memory import MemoryStore
from tests.store.making import NOW, accept_one, backlog, owe

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config
    from hookd.store.base import Change, Revised


class Listening(MemoryStore):
    """A store that notes how many webhooks it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    async def revise(self, change: Change, limit: int, now: int) -> Revised:
        if isinstance(change, Bind):
            self.told.append((len(change.webhooks), len(change.gone or ())))
        return await super().revise(change, limit, now)


def write(path: Path, urls: dict[str, str], rest: str = "") -> Path:
    hooks = "".join(f"  {name}: {{url: 'https://example.com/{url}', events: [a]}}\n" for name, url in urls.items())
    path.write_text(f"version: 1\n{rest}webhooks:\n{hooks}" if urls else f"version: 1\n{rest}")
    return path


def change(main: Path, before: Loaded, urls: dict[str, str], rest: str = "") -> Loaded:
    after = load_again(write(main, urls, rest), before)
    assert isinstance(after, Loaded)
    return after


async def standing(store: MemoryStore, config: Config) -> dict[str, tuple[int, bool]]:
    return {name: ((row := await backlog(store, name)).pending, row.held > 0) for name in config.webhooks}


async def test_what_changed_is_all_that_is_told(tmp_path: Path) -> None:
    many = {f"w{number}": "" for number in range(2 * CHUNK + 10)}
    first = load(write(tmp_path / "hookd.yaml", many))
    store = Listening()
    await bind_config(store, first.config, lambda: NOW)
    store.told.clear()
    second = change(tmp_path / "hookd.yaml", first, {**many, "w3": "other", "new": ""})
    await bind_config(store, second.config, lambda: NOW, first.config)
    assert store.told == [(2, 0)]
    store.told.clear()
    third = change(tmp_path / "hookd.yaml", second, {"w3": "other"})
    await bind_config(store, third.config, lambda: NOW, second.config)
    assert sum(gone for _, gone in store.told) == len(many)
    assert max(gone for _, gone in store.told) <= CHUNK


async def test_a_webhook_that_is_gone_is_held_and_comes_back(tmp_path: Path) -> None:
    main = tmp_path / "hookd.yaml"
    first = load(write(main, {"a": "", "b": ""}))
    store = MemoryStore()
    await bind_config(store, first.config, lambda: NOW)
    await accept_one(store, owe("e1", "a", "b"))
    second = change(main, first, {"b": ""})
    await bind_config(store, second.config, lambda: NOW, first.config)
    assert await standing(store, first.config) == {"a": (1, True), "b": (1, False)}
    third = change(main, second, {"a": "", "b": ""})
    await bind_config(store, third.config, lambda: NOW, second.config)
    assert await standing(store, first.config) == {"a": (1, False), "b": (1, False)}


async def test_a_moved_webhook_is_bound_though_its_definition_stayed(tmp_path: Path) -> None:
    """The standing that it takes over was another definition's."""
    (tmp_path / "d").mkdir()
    main = tmp_path / "hookd.yaml"
    include, hook = "include: [d/*.yaml]\n", "webhooks: {new: {url: 'https://example.com/n', events: [a]}}\n"
    (tmp_path / "d/new.yaml").write_text(hook)
    first = load(write(main, {"old": ""}, include))
    store = MemoryStore()
    await bind_config(store, first.config, lambda: NOW)
    await accept_one(store, owe("e1", "old"))
    second = change(main, first, {}, include + "moved: [{from: old, to: new}]\n")
    assert second.config.webhooks["new"] is first.config.webhooks["new"]
    await bind_config(store, second.config, lambda: NOW, first.config)
    assert await standing(store, second.config) == {"new": (1, False)}
    # To bind it as a whole says nothing new.
    whole = Bind(webhooks=bindings_of(second.config.webhooks.values()))
    assert (await store.revise(whole, 10, NOW)).changed == 0


async def test_a_change_that_the_store_need_not_know_costs_it_nothing(tmp_path: Path) -> None:
    many = {f"w{number}": "" for number in range(20)}
    main = tmp_path / "hookd.yaml"
    first = load(write(main, many))
    store = Listening()
    await bind_config(store, first.config, lambda: NOW)
    store.told.clear()
    second = change(main, first, many, "defaults: {retry: {max_age: 9h}}\n")
    assert second.config.webhooks["w1"] != first.config.webhooks["w1"]
    await bind_config(store, second.config, lambda: NOW, first.config)
    assert store.told == []
    third = change(main, second, many, "defaults: {retry: {max_age: 9h}, tenant: t}\n")
    await bind_config(store, third.config, lambda: NOW, second.config)
    assert store.told == [(20, 0)]
