"""Every code that a door of hookd answers with over HTTP is explained: a new one cannot be forgotten."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import hookd
from hookd.config.problems import CODES
from hookd.control.codes import API_CODES, ApiCode
from hookd.core.refusals import REFUSALS
from hookd.web.answers import ANSWERS
from hookd.web.problem import code_of, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Who answers with an HTTP status, and takes it as the first argument.
STATUS_FIRST = {"problem", "_problem", "ControlRefused", "_fail", "_refuse"}
WORDS = {code_of(status) for status in ANSWERS}


def calls() -> Iterator[ast.Call]:
    """Give every call in the sources of the doors."""
    root = Path(inspect.getfile(hookd)).parent
    files = [file for name in ("web", "inlet", "control") for file in sorted((root / name).rglob("*.py"))]
    assert len(files) > 20
    for file in files:
        yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def test_every_code_of_the_api_has_a_meaning() -> None:
    assert set(get_args(ApiCode)) == set(API_CODES) | (set(get_args(ApiCode)) & WORDS)
    assert not set(API_CODES) & WORDS
    for means, more in [*API_CODES.values(), *ANSWERS.values()]:
        assert means.endswith(".")
        assert more.endswith(".")


def test_every_status_that_says_no_more_than_itself_has_a_meaning() -> None:
    found = set()
    for call in calls():
        first = call.args[0] if call.args else None
        if name_of(call) not in STATUS_FIRST or any(keyword.arg == "code" for keyword in call.keywords):
            continue
        if isinstance(first, ast.Constant) and isinstance(first.value, int) and first.value >= 400:
            found.add(first.value)
    assert {404, 413, 503} <= found
    assert found - set(ANSWERS) == set()


def test_every_code_that_is_written_beside_a_fault_has_a_meaning() -> None:
    written = {
        keyword.value.value
        for call in calls()
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }
    assert {"not_settable", "unauthorized"} <= written
    assert written - {*CODES, *API_CODES, *WORDS, *REFUSALS} == set()


def test_the_word_of_a_status_is_what_a_problem_document_says() -> None:
    for status in ANSWERS:
        assert f'"code":"{code_of(status)}"'.encode() in problem(status, "x").body
