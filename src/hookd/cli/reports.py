"""Problems and test results for machines: JSON, the annotations of GitHub's workflows, SARIF, JUnit XML.

Rules of this module:

1. Each form is its own standard's and nothing is added to it; `json` is ours, and its fields stay.
2. A path is relative to where the command runs, which in a CI is the checkout, so that findings show beside the line.
   GitHub looks for it from the top of the checkout, wherever a step runs, and says where that is; whoever else reads
   what was made there looks there too.
3. Source lines stand in none of them: whoever reads the report has the files, or should not see them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from hookd import __version__
from hookd.config.checking.showing import label_also
from hookd.config.problems import CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.config.checking.trial import TrialResult
    from hookd.config.problems import Problem
    from hookd.core.config import Place

_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def tell(problem: Problem) -> str:
    """Give the message of a problem with what was probably meant."""
    return f"{problem.message}; did you mean `{problem.hint}`?" if problem.hint else problem.message


# --------------------------------------------------------------------------- GitHub


def render_github(problems: Sequence[Problem]) -> str:
    """Give workflow commands, one a line, that GitHub shows as annotations beside the line of the file.

    The escapes are those of actions/toolkit, packages/core/src/command.ts.
    """
    lines: list[str] = []
    for problem in problems:
        place = problem.place
        where = {
            "file": _from_checkout(place.file),
            "line": str(place.line),
            "col": str(place.column),
            "title": f"hookd {problem.code}",
        }
        properties = ",".join(f"{name}={_escape_property(value)}" for name, value in where.items())
        # An annotation has one place; the other one of a problem that has two is told.
        also = problem.also
        where_else = "" if also is None else f"{_from_checkout(also.file)}:{also.line}:{also.column}"
        other = (f"{label_also(problem)}: {where_else}",) if where_else else ()
        text = "\n".join((tell(problem), *other, *problem.notes))
        lines.append(f"::{problem.severity} {properties}::{_escape_data(text)}\n")
    return "".join(lines)


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def shorten_path(file: str) -> str:
    """Give a path relative to the working directory, if it is below it; else as it is. Services stand in `/`: whole."""
    try:
        here = Path.cwd()
        if here == Path("/"):
            return file
        return Path(os.path.abspath(file)).relative_to(here).as_posix()  # noqa: PTH100  without following links
    except (ValueError, OSError):
        return file


def shorten_place(place: str) -> str:
    """Give `FILE:LINE:COLUMN` without its column, the file as `shorten_path` gives it."""
    file, line, _ = place.rsplit(":", 2)
    return f"{shorten_path(file)}:{line}"


def _from_checkout(file: str) -> str:
    """Give a path relative to the top of a checkout of GitHub's, if it is below that; else as `shorten_path`.

    GITHUB_WORKSPACE: docs.github.com, "Variables reference". A step with a `working-directory` runs below it.
    """
    top = os.environ.get("GITHUB_WORKSPACE", "")
    if not os.path.isabs(top):  # noqa: PTH117  a text, of whatever kind
        return shorten_path(file)
    whole = os.path.abspath(file)  # noqa: PTH100  without following links
    # The working directory is known without links, and the variable may lead through some.
    for root in (os.path.normpath(top), os.path.realpath(top)):
        if os.path.commonpath((root, whole)) == root:
            return os.path.relpath(whole, root)
    return shorten_path(file)


# --------------------------------------------------------------------------- SARIF


def describe_sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """Give a log in SARIF 2.1.0 (OASIS), which code scanning services read."""
    codes = list(dict.fromkeys(problem.code for problem in problems))
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES.get(code, code)},
            "help": {"text": f"`hookd explain {code}` says more, with an example."},
        }
        for code in codes
    ]
    return {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "hookd", "semanticVersion": __version__, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_describe_result(problem, codes.index(problem.code)) for problem in problems],
            }
        ],
    }


def _describe_result(problem: Problem, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": "\n".join((tell(problem), *problem.notes))},
        "locations": [_describe_location(problem.place)],
    }
    if problem.also is not None:
        other = {**_describe_location(problem.also), "id": 0, "message": {"text": label_also(problem)}}
        result["relatedLocations"] = [other]
    return result


def _describe_location(place: Place) -> dict[str, Any]:
    file = _from_checkout(place.file)
    # The bytes of the name: it may be no UTF-8.
    uri = Path(file).as_uri() if file.startswith("/") else quote(os.fsencode(file))
    region = {"startLine": place.line, "startColumn": place.column}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


# --------------------------------------------------------------------------- JUnit


def render_junit(results: Sequence[TrialResult], problems: Sequence[Problem]) -> str:
    """Give JUnit XML: a suite for the config, with a case for each error in it, and one for each webhook with tests.

    `problems` are those of the config itself; a test that failed is told by its result.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    top = ET.Element("testsuites", name="hookd check")
    config = ET.SubElement(top, "testsuite", name="config")
    for problem in errors:
        case = ET.SubElement(config, "testcase", classname="config", name=_xml(str(problem.place)), time="0")
        failure = ET.SubElement(case, "failure", message=_xml(tell(problem)), type=problem.code)
        failure.text = _xml(f"{problem.place}: {tell(problem)}")
    if not errors:
        ET.SubElement(config, "testcase", classname="config", name="the config is valid", time="0")
    suites: dict[str, ET.Element] = {}
    for result in results:
        if result.webhook not in suites:
            suites[result.webhook] = ET.SubElement(top, "testsuite", name=_xml(result.webhook))
        case = ET.SubElement(
            suites[result.webhook],
            "testcase",
            classname=_xml(result.webhook),
            name=_xml(result.label),
            file=_xml(_from_checkout(result.place.file)),
            line=str(result.place.line),
            time="0",
        )
        if not result.passed:
            failure = ET.SubElement(case, "failure", message=_xml(result.message), type="test_failed")
            failure.text = _xml(
                "\n".join((f"{result.fault_place or result.place}: {result.message}", *result.difference))
            )
    for suite in (config, *suites.values()):
        _count(suite, suite)
    _count(top, top)
    ET.indent(top)
    written: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return written.decode() + "\n"


def _count(element: ET.Element, within: ET.Element) -> None:
    element.set("tests", str(len(list(within.iter("testcase")))))
    element.set("failures", str(len(list(within.iter("failure")))))
    element.set("errors", "0")
    element.set("skipped", "0")
    element.set("time", "0")


def _xml(text: str) -> str:
    """Give a text with what XML 1.0 cannot hold, escaped or not, replaced."""
    return "".join(each if _is_xml(each) else "\N{REPLACEMENT CHARACTER}" for each in text)


def _is_xml(character: str) -> bool:
    # XML 1.0, 2.2: Char.
    return (
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
    )
