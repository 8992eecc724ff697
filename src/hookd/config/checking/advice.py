"""Warnings: what works and is probably not meant. `hookd check` gives them; a daemon runs as well without.

Rules of this module:

1. A warning is about the files alone, and true on every machine.
2. Each one can be silenced by writing what is meant, without a switch: there is no list of warnings to ignore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hookd.config.patterns import find_files, is_pattern
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.written import Use, find_texts
from hookd.core.addresses import tells_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.snapshot import Snapshot
    from hookd.config.text.strictyaml import Document
    from hookd.config.text.written import Written

_SECRET_USES: Final = frozenset({Use.TEMPLATE_SECRET, Use.BEARER, Use.PASSWORD, Use.SIGNING, Use.TOKEN, Use.KEY})


def find_advice(snapshot: Snapshot) -> list[Problem]:
    """Give the warnings about the files of a config. Files that are not YAML are passed over."""
    found: list[Problem] = []
    for document in parse_files(snapshot):
        if document.file == snapshot.main:
            found.extend(_find_empty_includes(document))
        for written in find_texts(document):
            if _is_open(written):
                message = (
                    "a secret stands in the file itself; {file: PATH}, {credential: NAME} or {env: NAME} keeps it out"
                )
                found.append(Problem(written.place, message, "inline_secret", severity="warning"))
    return found


def parse_files(snapshot: Snapshot) -> Iterator[Document]:
    """Parse the main and the included files of a snapshot, those that can be."""
    for name in (snapshot.main, *snapshot.included):
        try:
            yield parse_yaml(snapshot.files[name], name)
        except ConfigInvalid:
            continue


def _find_empty_includes(main: Document) -> Iterator[Problem]:
    entries = main.value.get("include") if isinstance(main.value, dict) else None
    directory = main.file.rpartition("/")[0] or ("/" if main.file.startswith("/") else ".")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, str) and is_pattern(entry) and not find_files(directory, entry):
            place = main.place(("include", index))
            yield Problem(place, "this pattern matches no file", "empty_include", severity="warning")


def _is_open(written: Written) -> bool:
    """Whether a secret stands in the file itself. A name in angle brackets or the like is nobody's secret."""
    text = written.literal
    if text is None:
        return False
    if written.use is Use.HEADER:
        return tells_secret(written.name)
    if written.use in {Use.URL, Use.PROXY}:
        authority = text.partition("://")[2].partition("/")[0]
        return ":" in authority.rpartition("@")[0]
    return written.use in _SECRET_USES
