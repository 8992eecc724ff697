"""What the tests of the stores need before they are imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# `pytest` alone, unlike `python -m pytest`, does not put the checkout on the path; the suite is a module of it.
ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

pytest.register_assert_rewrite(
    "tests.store.contract",
    "tests.store.contract_replay",
    "tests.store.contract_revise",
    "tests.store.contract_standing",
)
