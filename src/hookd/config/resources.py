"""The files that come with hookd: its schemas and its example config.

They stand at the top of the checkout, where people look for them, and beside the code in the wheel. Which of the
two it is, is decided here and nowhere else, so that an installed hookd finds them from any directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_CHECKOUT: Final = Path(__file__).resolve().parents[3]


def resource(name: str) -> bytes:
    """Give the content of a file that comes with hookd, such as `schemas/config.schema.json`."""
    return resource_path(name).read_bytes()


def resource_path(name: str) -> Path:
    """Give where a file that comes with hookd stands.

    Raises FileNotFoundError, which names both places, if the installation is not whole.
    """
    for top in (_PACKAGE, _CHECKOUT):
        path = top / name
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name} is neither in {_PACKAGE} nor in {_CHECKOUT}: the installation is not whole")
