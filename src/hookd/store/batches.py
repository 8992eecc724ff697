"""Statements that write many rows at once.

SQLite is asked once for as many rows as a text may have that APSW keeps prepared, because each call from Python gives
up and takes back the interpreter's lock, and taking it back from a busy event loop costs a wake-up of this thread and
up to the loop's switch interval (5 ms). Chunks have sizes that are powers of two, so that a handful of texts serve
every batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

#: Up to this length APSW keeps a text prepared.
LONGEST_TEXT = 16 * 1024 - 1
#: A transaction has a thousand rows or so.
MOST_ROWS = 1024


def ask(connection: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Give all rows that answer a question. The columns of STRICT tables are what the schema says, so: `Any`."""
    return connection.execute(text, values).fetchall()


def split_sizes(n: int, largest: int) -> Iterator[int]:
    """Give sizes that add up to `n`: as many of the largest, a power of two, as fit, then falling powers of two."""
    size = largest
    while n:
        while size > n:
            size //= 2
        yield size
        n -= size


class RowStatement:
    """A statement with a list of rows in it, which stands where the text says `{rows}`; `width` columns each."""

    __slots__ = ("_largest", "_text", "_texts", "_width")

    def __init__(self, text: str, width: int) -> None:
        self._text = text
        self._width = width
        self._texts: dict[int, str] = {}
        self._largest = MOST_ROWS
        while len(self._sized(self._largest)) > LONGEST_TEXT:
            self._largest //= 2
        self._texts.clear()

    def run(self, connection: apsw.Connection, values: Sequence[Any]) -> int:
        """Write the rows whose values stand one after another; give how many rows were changed."""
        width, at, changed = self._width, 0, 0
        for size in split_sizes(len(values) // width, self._largest):
            chunk = values if size * width == len(values) else values[at : at + size * width]
            connection.execute(self._sized(size), chunk)
            changed += connection.changes()
            at += size * width
        return changed

    def rows(self, connection: apsw.Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Ask with rows, and give all that is answered."""
        width, at = self._width, 0
        found: list[tuple[Any, ...]] = []
        for size in split_sizes(len(values) // width, self._largest):
            found += connection.execute(self._sized(size), values[at : at + size * width])
            at += size * width
        return found

    def _sized(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            row = f"({','.join('?' * self._width)})"
            text = self._texts[size] = self._text.replace("{rows}", ",".join([row] * size))
        return text
