"""What the codes of problems mean, at length: `explained.yaml`, read when somebody asks.

Rules of this module:

1. Every code of `problems.CODES` has an entry, and no other has one.
2. An example is true: `wrong` gives the code and `right` does not. What lines in a file cannot show (bytes, sizes, who
   owns a file) is a `sketch`, and the tests make the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hookd.config.problems import CODES
from hookd.config.text.strictyaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE: Final = Path(__file__).with_name("explained.yaml")
_MAIN: Final = "hookd.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A code: its meaning in a sentence, more of it, and an example as files by name, wrong and mended.

    `tier` is the option of `hookd check` that looks for it: empty, `environment` or `live`.
    """

    code: str
    means: str
    more: str
    wrong: Mapping[str, str]
    right: Mapping[str, str]
    tier: str = ""
    sketch: bool = False


def read_explanations() -> dict[str, Explanation]:
    """Give the explanation of every code, in the order of `CODES`."""
    entries: dict[str, dict[str, Any]] = parse_yaml(_FILE.read_bytes(), _FILE.name).value
    return {
        code: Explanation(
            code=code,
            means=means,
            more=entries[code]["more"].rstrip("\n"),
            wrong=_read_files(entries[code]["wrong"]),
            right=_read_files(entries[code]["right"]),
            tier=entries[code].get("tier", ""),
            sketch=entries[code].get("sketch", False),
        )
        for code, means in CODES.items()
    }


def _read_files(written: str | Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({_MAIN: written} if isinstance(written, str) else dict(written))
