"""The texts of a config as they are written in its files: what may be secret, and what names a file.

A built config knows what is in force; only the files know where it was written, and a secret of a profile stands once,
however many webhooks use it. So whoever looks at secrets and key files one by one looks at them here.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from hookd.core.config import Reference, ReferenceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hookd.config.text.document import Document
    from hookd.core.config import Place, Text

Steps = tuple[str | int, ...]


class Use(StrEnum):
    """What a text is for."""

    URL = "url"
    PROXY = "proxy"
    HEADER = "header"
    TEMPLATE_SECRET = "secret"  # noqa: S105  the name of a use
    BEARER = "bearer"
    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105  the same
    SIGNING = "signing"
    TOKEN = "token"  # noqa: S105  the same
    KEY = "key"
    CERTIFICATE = "certificate"
    CA = "ca"


#: Where they stand in a webhook, in a profile and in the defaults. `*` is any key, `#` any entry of a list.
_IN_WEBHOOKS: Final[Mapping[tuple[str, ...], Use]] = {
    ("url",): Use.URL,
    ("proxy",): Use.PROXY,
    ("headers", "*"): Use.HEADER,
    ("secrets", "*"): Use.TEMPLATE_SECRET,
    ("auth", "bearer"): Use.BEARER,
    ("auth", "basic", "username"): Use.USERNAME,
    ("auth", "basic", "password"): Use.PASSWORD,
    ("sign", "secrets", "#"): Use.SIGNING,
    ("tls", "key"): Use.KEY,
    ("tls", "certificate"): Use.CERTIFICATE,
    ("tls", "ca"): Use.CA,
}
_IN_DAEMON: Final[Mapping[tuple[str, ...], Use]] = {
    ("inlets", "#", "tokens", "#"): Use.TOKEN,
    ("control", "tokens", "#"): Use.TOKEN,
}
_SECTIONS: Final = (
    *((("webhooks", "*", *steps), use) for steps, use in _IN_WEBHOOKS.items()),
    *((("profiles", "*", *steps), use) for steps, use in _IN_WEBHOOKS.items()),
    *((("defaults", *steps), use) for steps, use in _IN_WEBHOOKS.items()),
    *((("daemon", *steps), use) for steps, use in _IN_DAEMON.items()),
)
_PATHS: Final = frozenset({Use.CERTIFICATE, Use.CA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text of a file: what it is for, where it stands, its name there, and the text or the reference."""

    use: Use
    name: str
    place: Place
    text: Text

    @property
    def literal(self) -> str | None:
        """The text itself, if it stands in the file."""
        return self.text if isinstance(self.text, str) else None


def find_texts(document: Document) -> Iterator[Written]:
    """Give every text of a file that may be secret or names a file, in the order of the schema.

    Paths are absolute here. What is not of the right shape is left out; the check of the schema tells it.
    """
    for pattern, use in _SECTIONS:
        for path, value in _find(document.value, pattern, ()):
            text = _read(value, use, os.path.dirname(os.path.abspath(document.file)))  # noqa: PTH100, PTH120  texts
            if text:
                yield Written(use=use, name=str(path[-1]), place=document.place(path), text=text)


def _read(value: object, use: Use, directory: str) -> Text | None:
    if isinstance(value, str):
        is_path = use in _PATHS or (use is Use.KEY and not value.startswith("-----BEGIN "))
        if is_path:
            return Reference(ReferenceKind.FILE, _absolute(directory, value))
        return value
    if isinstance(value, dict):
        for kind in ReferenceKind:
            name = value.get(kind.value)
            if isinstance(name, str) and name:
                return Reference(kind, _absolute(directory, name) if kind is ReferenceKind.FILE else name)
    return None


def _absolute(directory: str, path: str) -> str:
    return os.path.normpath(os.path.join(directory, path))  # noqa: PTH118  texts, as in the reader


def _find(value: object, pattern: tuple[str, ...], path: Steps) -> Iterator[tuple[Steps, object]]:
    if not pattern:
        yield path, value
        return
    step, rest = pattern[0], pattern[1:]
    if step == "#" and isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _find(entry, rest, (*path, index))
    elif isinstance(value, dict):
        keys = (
            [key for key in value if not key.startswith("x-") or path[-1:] == ("headers",)] if step == "*" else [step]
        )
        for key in keys:
            if key in value:
                yield from _find(value[key], rest, (*path, key))
