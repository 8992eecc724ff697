"""Statements that write many rows at once.

SQLite is asked once for up to 256 rows, because each call from Python gives up and takes back the interpreter's
lock, and taking it back from a busy event loop costs up to its switch interval (5 ms). Chunks have sizes that are
powers of two, so that a handful of texts serve every batch and stay prepared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

#: 256 rows of at most 14 columns: a text below the 16 KiB up to which APSW keeps it prepared.
LARGEST = 256


def ask(connection: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Give all rows that answer a question. The columns of STRICT tables are what the schema says, so: `Any`."""
    return connection.execute(text, values).fetchall()


def split_sizes(n: int) -> Iterator[int]:
    """Give sizes that add up to `n`: as many of the largest as fit, then falling powers of two."""
    size = LARGEST
    while n:
        while size > n:
            size //= 2
        yield size
        n -= size


class RowStatement:
    """A statement with a list of rows in it, which stands where the text says `{rows}`; `width` columns each."""

    __slots__ = ("_text", "_texts", "_width")

    def __init__(self, text: str, width: int) -> None:
        self._text = text
        self._width = width
        self._texts: dict[int, str] = {}

    def run(self, connection: apsw.Connection, values: Sequence[Any]) -> int:
        """Write the rows whose values stand one after another; give how many rows were changed."""
        width, at, changed = self._width, 0, 0
        for size in split_sizes(len(values) // width):
            chunk = values if size * width == len(values) else values[at : at + size * width]
            connection.execute(self._sized(size), chunk)
            changed += connection.changes()
            at += size * width
        return changed

    def rows(self, connection: apsw.Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Ask with rows, and give all that is answered."""
        width, at = self._width, 0
        found: list[tuple[Any, ...]] = []
        for size in split_sizes(len(values) // width):
            found += connection.execute(self._sized(size), values[at : at + size * width])
            at += size * width
        return found

    def _sized(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            row = f"({','.join('?' * self._width)})"
            text = self._texts[size] = self._text.replace("{rows}", ",".join([row] * size))
        return text
