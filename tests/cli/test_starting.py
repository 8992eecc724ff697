"""What `hookd run` says when it does not start: to a person, and to a journal."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import HOOKD, LOG_SCHEMA, write_config

if TYPE_CHECKING:
    from pathlib import Path

BAD = "webhoks: {}\n"
UNUSABLE = "webhooks: {}\n"  # and its state directory is a file


def run(folder: Path, text: str, *, journal: bool) -> tuple[int, str, str]:
    """Run the daemon with standard output as a file that may be what journald gave us; it must end."""
    config = write_config(folder, text)
    (folder / "state").write_text("a file")
    with (folder / "out").open("w+") as out:
        status = os.fstat(out.fileno())
        stream = f"{status.st_dev}:{status.st_ino if journal else 0}"
        done = subprocess.run(
            [*HOOKD, "run", "--config", config],
            stdout=out,
            stderr=subprocess.PIPE,
            env={**os.environ, "JOURNAL_STREAM": stream},
            text=True,
            timeout=60,
            check=False,
        )
        out.seek(0)
        return done.returncode, out.read(), done.stderr


def line_of(text: str) -> dict[str, Any]:
    """Give the one line of a journal, which has its priority before it and keeps to the schema."""
    assert text.startswith("<3>")
    assert text.count("\n") == 1
    line: dict[str, Any] = json.loads(text[3:])
    assert not [fault.message for fault in LOG_SCHEMA.iter_errors(line)]
    return line


@pytest.mark.parametrize(("text", "code", "says"), [(BAD, 78, "webhoks"), (UNUSABLE, 77, "state")])
def test_a_person_reads_sentences(tmp_path: Path, text: str, code: int, says: str) -> None:
    got, out, err = run(tmp_path, text, journal=False)
    assert (got, out) == (code, "")
    assert says in err
    assert "{" not in err.splitlines()[-1]


@pytest.mark.parametrize(("text", "code", "says"), [(BAD, 78, "not valid"), (UNUSABLE, 77, "state")])
def test_a_journal_gets_a_line_of_the_log(tmp_path: Path, text: str, code: int, says: str) -> None:
    got, out, err = run(tmp_path, text, journal=True)
    assert (got, err) == (code, "")
    line = line_of(out)
    assert (line["msg"], line["exit_code"]) == ("start.failed", code)
    assert says in line["reason"]
    assert bool(line["problems"]) == (text == BAD)
