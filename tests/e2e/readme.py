"""What the README tells people to type: its fenced blocks, and the commands within its sentences.

Rules: a test asks for the words as they stand there (`block`, `told`), so what is tested is what users read; and who
reads the sources of the tests can tell which words nobody runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tests.e2e.house import ROOT

README: Final = (ROOT / "README.md").read_text()
_FENCED: Final = re.compile(r"(?:^<!-- ci: ([a-z-]+) -->\n)?^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Programs with which a command begins.
_PROGRAMS: Final = ("hookd", "systemctl", "journalctl", "promtool", "sudo", "curl", "python3", "pip", "mkdir", "dmesg")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its mark (None: it has none), its language, its text."""

    mark: str | None
    language: str
    text: str


BLOCKS: Final = [Block(*found.groups()) for found in _FENCED.finditer(README)]


def block(mark: str) -> str:
    """Give the text of the block that stands under `<!-- ci: MARK -->`."""
    (found,) = [each for each in BLOCKS if each.mark == mark]
    return found.text


def lines_of(mark: str) -> list[str]:
    """Give the commands of a block, line by line, without what is only remark."""
    return [line for line in block(mark).splitlines() if not line.lstrip().startswith("#")]


def told(command: str) -> str:
    """Give a command that stands in a sentence, a table or a line of YAML."""
    assert command in commands(), f"the README does not say `{command}`"
    return command


def commands() -> set[str]:
    """Give the commands in sentences and tables, and those that a YAML block hands to others."""
    sentences = _FENCED.sub("", README)
    spans = {" ".join(span.split()) for span in re.findall(r"`([^`]+)`", sentences)}
    found = {span for span in spans if span.split()[0] in _PROGRAMS}
    for each in BLOCKS:
        if each.language == "yaml":
            found |= {run.split("  #")[0].strip() for run in re.findall(r"- run: (.*)", each.text)}
            found |= set(re.findall(r"entry: ([^,]*),", each.text))
            found |= set(re.findall(r"#.*?`(hookd [^`]*)`", each.text))
    return found
