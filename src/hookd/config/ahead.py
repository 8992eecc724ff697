"""Reading ahead: what git has written already is parsed and built while it writes the rest of a checkout.

Rules of this module:

1. It is a guess at what the next load will find, and nothing of it is ever applied as such. The load reads every file
   itself, when nothing moves any more, and takes over only what was made of the very bytes that it has read, and would
   be made so again (`reuse`). So it finds the same problems, and makes the same config, with and without.
2. What is not good, missing, or half written is left to the load, and no word is said about it.
3. It goes on from the files that were loaded last, holds at most one parsed copy of each file, and whoever takes it
   takes it once; it ends within the time of one file when it is told to.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from hookd.config.building.build import Parsed, build_ahead
from hookd.config.building.sheets import read_sheet
from hookd.config.load import Shelf, one_load
from hookd.config.problems import ConfigInvalid
from hookd.config.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hookd.config.building.reuse import Built, Kept
    from hookd.config.building.sheets import Sheet
    from hookd.config.load import Loaded, Rejected
    from hookd.config.reading import Stamp

#: Files that are parsed before their webhooks are built: what was parsed of them is in memory for so long.
_SOME: Final = 250


class Ahead:
    """What was made of files that differ from those of `before`."""

    def __init__(self, before: Loaded | Rejected) -> None:
        self.before = before
        self._stamps: dict[str, Stamp] = {}
        self._sheets: dict[str, Sheet] = {}
        self._built: dict[str, Built] = {}

    def look(self, go_on: Callable[[], bool]) -> int:
        """Parse and build what has changed since the last look, while `go_on()`; give how many files. Blocks."""
        snapshot, count = self.before.snapshot, 0
        with one_load():
            if snapshot is None or not go_on():
                return 0
            fresh = self._read(snapshot, go_on)
            while some := list(islice(fresh, _SOME)):
                count += len(some)
                self._build(snapshot, some, go_on)
        return count

    def join(self, kept: Kept, snapshot: Snapshot) -> Kept:
        """Give what a load of `snapshot` may go on from, of what `kept` has and of what was made ahead of it."""
        sheets = {
            name: sheet
            for name, sheet in self._sheets.items()
            if snapshot.files.get(name) == sheet.content and not _holds(kept.sheets.get(name), sheet.content)
        }
        snapshot.share({name: sheet.content for name, sheet in sheets.items()})
        built = {name: each for name, each in self._built.items() if sheets.get(each.sheet.file) is each.sheet}
        return replace(kept, sheets={**kept.sheets, **sheets}, built={**kept.built, **built})

    def _read(self, snapshot: Snapshot, go_on: Callable[[], bool]) -> Iterator[Sheet]:
        for name, content in snapshot.changes(self._stamps):
            if not go_on():
                self._stamps.pop(name, None)
                return
            try:
                sheet = read_sheet(content, name, "main" if name == snapshot.main else "included")
            except ConfigInvalid:
                continue
            if not sheet.problems:
                self._sheets[name] = sheet
                yield sheet

    def _build(self, snapshot: Snapshot, fresh: list[Sheet], go_on: Callable[[], bool]) -> None:
        kept = self.before.kept
        sheets = {**kept.sheets, **self._sheets}
        main = sheets.pop(snapshot.main, None)
        if main is None:
            return
        parsed = Parsed(main=main, included=[sheet for sheet in sheets.values() if sheet.rest], before=kept)
        shelf = Shelf(Snapshot.of_copies(snapshot.main, snapshot.files, snapshot.included))
        # Those that it has come to are shed then; the others are nearly as far for the load.
        self._built.update(build_ahead(parsed, (sheet for sheet in fresh if go_on()), shelf))
        for sheet in parsed.sheets:
            sheet.shed()


def _holds(sheet: Sheet | None, content: bytes) -> bool:
    return sheet is not None and sheet.content == content
