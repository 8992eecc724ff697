"""What the tests of the config need before they are imported."""

from __future__ import annotations

import sys
from pathlib import Path

# `pytest` alone, unlike `python -m pytest`, does not put the checkout on the path; `trees` is a module of it.
ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
