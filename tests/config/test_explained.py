"""`hookd explain`: every code has an entry, and its examples are true."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hookd.cli.check import check_command
from hookd.config.checking.explained import read_explanations
from hookd.config.problems import CODES
from hookd.config.text.strictyaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hookd.config.checking.explained import Explanation

SOURCES = Path(__file__).resolve().parents[2] / "src" / "hookd"
EXPLANATIONS = read_explanations()
#: What reports a problem, and where the code stands among its arguments; `code=` may name it as well.
REPORTERS = {"Problem": 2, "report": 2, "_report": 2, "refuse": 2, "_refuse": 2}


def write(top: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)


def codes_of(top: Path, tier: str, *, strict: bool = False) -> set[str]:
    """Give the codes that `hookd check` reports in a directory."""
    arguments = ["--config", str(top / "hookd.yaml"), "--output", "json"]
    arguments += [f"--{tier}"] if tier else []
    arguments += ["--strict"] if strict else []
    result = CliRunner().invoke(check_command, arguments, standalone_mode=False)
    assert result.exception is None
    report = json.loads(result.output)
    assert report["valid"] == all(each["severity"] == "warning" for each in report["problems"])
    return {each["code"] for each in report["problems"]}


def test_every_code_has_an_entry_and_no_other() -> None:
    entries = parse_yaml((SOURCES / "config" / "checking" / "explained.yaml").read_bytes(), "explained.yaml").value
    assert set(entries) == set(CODES)
    assert list(EXPLANATIONS) == list(CODES)
    for entry in entries.values():
        assert set(entry) <= {"more", "wrong", "right", "tier", "sketch"}
        assert entry.get("tier", "live") in {"environment", "live"}


@pytest.mark.parametrize("code", CODES)
def test_it_is_written_for_a_screen(code: str) -> None:
    explanation = EXPLANATIONS[code]
    assert len(explanation.more) > 80
    texts = [explanation.more, *explanation.wrong.values(), *explanation.right.values()]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 120


@pytest.mark.parametrize("code", [code for code, entry in EXPLANATIONS.items() if not entry.sketch])
def test_the_example_gives_the_code_and_the_mended_form_nothing(tmp_path: Path, code: str) -> None:
    explanation: Explanation = EXPLANATIONS[code]
    for name, files in (("wrong", explanation.wrong), ("right", explanation.right)):
        write(tmp_path / name, files)
    found = codes_of(tmp_path / "wrong", explanation.tier)
    assert code in found
    mended = codes_of(tmp_path / "right", explanation.tier)
    # What an example needs of the machine (a state directory) may be missing where the tests run.
    assert mended <= ({"not_writable"} if explanation.tier and code != "not_writable" else set())


def write_main(top: Path, content: bytes) -> None:
    (top / "hookd.yaml").write_bytes(b"version: 1\n" + content)


def expose(top: Path) -> None:
    write_main(top, b"webhooks: {crm: {url: 'https://a.example/', events: ['*'], auth: {bearer: {file: secret}}}}\n")
    (top / "secret").write_text("s3cr3t")
    (top / "secret").chmod(0o644)


SKETCHED: dict[str, Callable[[Path], None]] = {
    "too_large": lambda top: write_main(top, b"#" * 1024 * 1024),
    "not_utf8": lambda top: write_main(top, b"webhooks: {crm: {name: 'Caf\xe9'}}\n"),
    "control_character": lambda top: write_main(top, b"webhooks: {crm: {name: 'bell \x07'}}\n"),
    "too_deep": lambda top: write_main(top, b"x-deep: " + b"[" * 65 + b"]" * 65 + b"\n"),
    "too_many_values": lambda top: write_main(top, b"x-many: [" + b"1," * 100_000 + b"1]\n"),
    "secret_exposed": expose,
}
#: What no directory shows; the tests of the parts that report them make them.
ELSEWHERE = {"unsettled", "mass_removal"}


@pytest.mark.parametrize("code", SKETCHED)
def test_what_is_sketched_gives_the_code_when_it_is_made(tmp_path: Path, code: str) -> None:
    SKETCHED[code](tmp_path)
    assert code in codes_of(tmp_path, EXPLANATIONS[code].tier)


def test_every_sketch_is_made_somewhere() -> None:
    assert {code for code, entry in EXPLANATIONS.items() if entry.sketch} == set(SKETCHED) | ELSEWHERE


def reported_codes() -> dict[str, list[str]]:
    """Give every code that the source can report, with the places that do."""
    found: dict[str, list[str]] = {}
    for file in SOURCES.rglob("*.py"):
        if file.is_relative_to(SOURCES / "core"):
            continue  # which knows no codes
        tree = ast.parse(file.read_text())
        constants = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and node.value is not None
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for code in codes_in(node, constants):
                    found.setdefault(code, []).append(f"{file.relative_to(SOURCES)}:{node.lineno}")
    return found


def codes_in(call: ast.Call, constants: dict[str, ast.expr]) -> list[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in REPORTERS:
        return []
    arguments = list(call.args)
    for at, argument in enumerate(arguments):
        if isinstance(argument, ast.Starred) and isinstance(
            constants.get(getattr(argument.value, "id", "")), ast.Tuple
        ):
            arguments[at : at + 1] = constants[argument.value.id].elts  # type: ignore[attr-defined]
    given = arguments[REPORTERS[name] : REPORTERS[name] + 1]
    given += [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    return [node.value for node in given if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_code_that_the_source_reports_is_known() -> None:
    reported = reported_codes()
    assert len(reported) > 20  # else the search itself has gone blind
    assert {code: places for code, places in reported.items() if code not in CODES} == {}


def test_every_code_is_reported_by_something() -> None:
    texts: set[str] = set()
    for file in SOURCES.rglob("*.py"):
        if file.name != "problems.py":
            texts |= {
                node.value
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    assert set(CODES) - texts == set()


def test_strict_makes_errors_of_warnings(tmp_path: Path) -> None:
    write(tmp_path, EXPLANATIONS["empty_include"].wrong)
    assert codes_of(tmp_path, "") == codes_of(tmp_path, "", strict=True) == {"empty_include"}
    arguments = ["--config", str(tmp_path / "hookd.yaml")]
    assert CliRunner().invoke(check_command, arguments, standalone_mode=False).return_value == 0
    assert CliRunner().invoke(check_command, [*arguments, "--strict"], standalone_mode=False).return_value == 1
