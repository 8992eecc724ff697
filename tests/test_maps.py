"""The maps of the house: what a folder says of its modules is all of them, and nothing that is not there."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest


def modules_of(package: str) -> set[str]:
    return {each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__)} - {"__main__"}


def named_in(package: str) -> set[str]:
    """Give what stands in backticks, or begins a line of the listing."""
    text = importlib.import_module(package).__doc__ or ""
    return set(re.findall(r"(?<=`)[a-z0-9_]+(?=/?`)|(?<=^    )[a-z0-9_]+(?=/? )", text, re.MULTILINE))


@pytest.mark.parametrize("package", ["hookd.delivery", "hookd.store"])
def test_a_map_names_each_module_of_its_folder_and_no_other(package: str) -> None:
    assert named_in(package) == modules_of(package)


def test_the_map_of_the_house_names_every_folder() -> None:
    assert modules_of("hookd") <= named_in("hookd")
