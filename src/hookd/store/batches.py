"""Statements that write many rows at once.

SQLite is asked once for as many rows as a text may have that APSW keeps prepared, because each call from Python gives
up and takes back the interpreter's lock, and taking it back from a busy event loop costs a wake-up of this thread and
up to the loop's switch interval (5 ms). A list is filled up to one of a few sizes, so that a handful of texts serve
every batch.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

#: Up to this length APSW keeps a text prepared.
LONGEST_TEXT = 16 * 1024 - 1
#: How many rows a text may have: a transaction has a thousand or so, and at most a third of a list is filled up.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

#: The rows of an INSERT, without those that only fill up.
ROWS = "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"


def ask(connection: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Give all rows that answer a question. The columns of STRICT tables are what the schema says, so: `Any`."""
    return connection.execute(text, values).fetchall()


class RowStatement:
    """A statement with a list of rows in it, which stands where the text says `{rows}`; `width` columns each.

    A row whose first column is NULL must mean nothing to it: a list is filled up with such rows to a size that stays
    prepared. `ROWS` is what an INSERT says instead of its VALUES.
    """

    __slots__ = ("_sizes", "_text", "_texts", "_width")

    def __init__(self, text: str, width: int) -> None:
        self._text = text
        self._width = width
        self._texts: dict[int, str] = {}
        self._sizes = [size for size in SIZES if len(self._render(size)) <= LONGEST_TEXT]

    def run(self, connection: apsw.Connection, values: Sequence[Any]) -> int:
        """Write the rows whose values stand one after another; give how many rows were changed."""
        changed = 0
        for text, chunk in self._parts(values):
            connection.execute(text, chunk)
            changed += connection.changes()
        return changed

    def rows(self, connection: apsw.Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Ask with rows, and give all that is answered."""
        found: list[tuple[Any, ...]] = []
        for text, chunk in self._parts(values):
            found += connection.execute(text, chunk)
        return found

    def _parts(self, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Give texts with their values: as many of the largest as fit, and one for the rest."""
        width, at = self._width, 0
        largest = self._sizes[-1]
        while (left := len(values) // width - at) > 0:
            size = largest if left >= largest else self._sizes[bisect_left(self._sizes, left)]
            chunk = values if left <= size and not at else values[at * width : (at + size) * width]
            if left < size:
                chunk = [*chunk, *([None] * ((size - left) * width))]
            text = self._texts.get(size)
            if text is None:
                text = self._texts[size] = self._render(size)
            yield text, chunk
            at += size

    def _render(self, size: int) -> str:
        row = f"({','.join('?' * self._width)})"
        return self._text.replace("{rows}", ",".join([row] * size))
