"""A process that accepts and records as fast as it can, and says what was acknowledged: to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from hookd.store.sqlite import open_sqlite_store
from tests.store.making import NOW, bind, claims_of, owe, result_of


async def main(state_dir: Path, run: str) -> None:
    """Accept batches of ten; print each event once it is acknowledged, and each delivery once it is recorded."""
    async with open_sqlite_store(state_dir, disk_free=0, ballast=0) as store:
        await bind(store, "a")
        n = 0
        while True:
            names = [f"{run}-{n + i}" for i in range(10)]
            results = await store.accept([owe(name, "a") for name in names], {"a": 10}, NOW)
            sys.stdout.write("".join(f"accepted {name}\n" for name in names))
            sys.stdout.flush()
            claims = [one for result in results for one in claims_of(result)]
            await store.record([result_of(one) for one in claims[:5]], [], NOW)
            sys.stdout.write("".join(f"delivered {one.event.id}\n" for one in claims[:5]))
            sys.stdout.flush()
            n += 10


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
