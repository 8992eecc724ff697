"""What a verb has no use for is not imported: scripts call verbs in loops."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hookd.cli.files import FIRST_CONFIG

if TYPE_CHECKING:
    from pathlib import Path

#: Each takes 20 to 200 ms.
SLOW = {"trio", "httpx", "httpcore", "rich", "jsonschema", "yaml", "msgspec", "apsw", "starlette", "http.client"}


@pytest.mark.parametrize(
    ("arguments", "used"),
    [
        (["--help"], set()),
        (["status"], {"yaml", "http.client"}),
        (["list", "--control", "none"], {"http.client"}),
        (["send", "--type", "x"], {"yaml", "msgspec", "trio"}),
        (["check"], {"yaml", "msgspec"}),
    ],
)
def test_a_verb_imports_what_it_uses(arguments: list[str], used: set[str], tmp_path: Path) -> None:
    (tmp_path / "hookd.yaml").write_text(FIRST_CONFIG.format(schema="none"))
    script = (
        "import sys\nfrom hookd.cli.main import main\n"
        f"sys.argv = ['hookd', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('used:', *sorted({SLOW!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60
    )
    assert set(done.stdout.splitlines()[-1].split()[1:]) == used
