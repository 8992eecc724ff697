"""What a main file still says when it is broken: its `daemon:` section, as far as it can be read.

Rule: a file that somebody is just breaking must still lead to its daemon and to its state. So the values are taken as
they stand, unchecked, by whoever needs to find something, and never to decide how anything runs.
"""

from __future__ import annotations

from hookd.config.problems import ConfigInvalid
from hookd.config.text.strictyaml import parse_yaml


def read_daemon_section(text: bytes) -> dict[str, object] | None:
    """Give the mapping under `daemon:`, unchecked; None if the file is broken there or has none."""
    for part in (text, cut_daemon_section(text)):
        try:
            value = parse_yaml(part, "").value
        except ConfigInvalid:
            continue
        section = value.get("daemon") if isinstance(value, dict) else None
        return section if isinstance(section, dict) else None
    return None


def cut_daemon_section(text: bytes) -> bytes:
    """Give the lines of the `daemon:` section alone, of a file that is broken elsewhere; nothing if there is none."""
    section: list[bytes] = []
    for line in text.splitlines(keepends=True):
        inside = line[:1] in {b" ", b"\t", b"#", b"\r", b"\n"}
        if section and not inside:
            break
        if section or line.startswith(b"daemon:"):
            section.append(line)
    return b"".join(section)
