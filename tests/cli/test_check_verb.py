"""`hookd check` and `hookd explain` as people and machines use them: a real process, its streams and its exit code."""

from __future__ import annotations

import json
import os
import pty
import select
import ssl
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import trustme

from hookd.config.problems import CODES
from hookd.core.model import Cause
from tests.e2e.house import HOOKD, Receiver, hookd
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = """\
version: 1
include: ["nothing.d/*.yaml"]
webhooks:
  crm:
    url: https://crm.example.com/
    events: ["*"]
    timout: 10s
    concurrency: 0
    sign: {secrets: [whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]}
"""
TESTED = """\
version: 1
webhooks:
  crm:
    url: https://crm.example.com/
    events: ["user.*"]
    filter: {data.country: NL}
    secrets: {token: {env: NEVER_SET}}
    body: {template: {id: $(data.id), token: $(secrets.token), country: $(data.country)}}
    tests:
      - {event: {type: user.updated, data: {id: 1, country: NL}}, expect: delivered}
      - {name: "of <another> country", event: {type: user.updated, data: {id: 1, country: DE}}, expect: delivered}
      - {event: {type: user.updated, data: {id: 1, country: NL}}, expect: delivered,
         body: {id: 2, token: <secrets.token>, country: NL}}
  shop:
    url: https://shop.example.com/
    events: ["*"]
    tests: [{event: {type: user.updated}, expect: delivered}]
"""


def write(top: Path, text: str) -> Path:
    (top / "hookd.yaml").write_text(text)
    return top


def report(top: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code, out, err = hookd("check", "--output", "json", *options, cwd=top)
    assert err == ""
    return code, json.loads(out)


def test_people_read_the_problems_and_the_code_is_1(tmp_path: Path) -> None:
    code, out, err = hookd("check", cwd=write(tmp_path, BROKEN))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == "hookd.yaml:2:11: warning: this pattern matches no file [empty_include]"
    assert "hookd.yaml:7:5: error: webhook `crm` has no key `timout` [unknown_key]" in lines
    assert "hookd.yaml:8:18: error: concurrency must be at least 1 [bad_value]" in lines
    assert "AAAA" not in err
    assert lines[-1] == "2 errors, 2 warnings; `hookd explain unknown_key` says more"


def test_a_file_is_named_from_where_the_command_runs(tmp_path: Path) -> None:
    write(tmp_path, BROKEN)
    for cwd, shown in ((tmp_path, "hookd.yaml"), (tmp_path.parent, f"{tmp_path.name}/hookd.yaml")):
        for words in (["check"], ["show", "--files"]):
            _, _, err = hookd(*words, "--config", str(tmp_path / "hookd.yaml"), cwd=cwd)
            assert f"\n{shown}:8:18: error: concurrency must be at least 1 [bad_value]\n  8 |     conc" in err


def test_a_good_config_is_one_line(tmp_path: Path) -> None:
    text = "version: 1\nwebhooks: {crm: {url: 'https://crm.example.com/', events: ['*']}}\n"
    code, out, err = hookd("check", cwd=write(tmp_path, text))
    assert (code, err) == (0, "")
    assert out.startswith("hookd.yaml: ok: 1 webhook, no event types, 0 of 0 tests passed (revision ")
    assert out.count("\n") == 1


def test_warnings_are_no_errors_unless_strict(tmp_path: Path) -> None:
    top = write(tmp_path, "version: 1\ninclude: ['a.d/*.yaml']\n")
    code, out, err = hookd("check", cwd=top)
    assert code == 0
    assert "warning: this pattern matches no file [empty_include]" in err
    assert "ok" in out
    code, _, err = hookd("check", "--strict", cwd=top)
    assert code == 1
    assert "error: this pattern matches no file [empty_include]" in err


def on_terminal(*arguments: str, cwd: Path, **environ: str) -> str:
    """Run a verb with a terminal of 80 columns for all its streams; give what it shows."""
    master, slave = pty.openpty()
    set_size = subprocess.run(["stty", "cols", "80"], stdin=slave, check=False)
    assert set_size.returncode == 0
    environment = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS"}} | environ
    with subprocess.Popen(
        [*HOOKD, *arguments], cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and select.select([master], [], [], deadline - time.monotonic())[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux says EIO when the last one has closed it
                break
            shown += part
        assert process.wait(timeout=30) == 1
    os.close(master)
    return shown.decode()


def test_a_terminal_shows_colours_and_its_width_is_kept(tmp_path: Path) -> None:
    long = BROKEN.replace("timout: 10s", f"timout: 10s  # {'long ' * 40}")
    shown = on_terminal("check", cwd=write(tmp_path, long), TERM="xterm")
    assert "\x1b[1mhookd.yaml:7:5:\x1b[0m \x1b[31merror:\x1b[0m webhook `crm` has no key `timout`" in shown
    assert "\x1b[31m^^^^^^\x1b[0m" in shown
    plain = on_terminal("check", cwd=tmp_path, TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in plain
    (line,) = [line for line in plain.splitlines() if "# long" in line]
    assert len(line) <= 80


# --------------------------------------------------------------------------- for machines


def test_json_says_all_of_each_problem(tmp_path: Path) -> None:
    code, told = report(write(tmp_path, BROKEN))
    assert code == 1
    assert told["valid"] is False
    assert [problem["code"] for problem in told["problems"]] == [
        "empty_include",
        "unknown_key",
        "bad_value",
        "inline_secret",
    ]
    problem = told["problems"][1]
    assert {key: problem[key] for key in ("file", "line", "column", "severity", "code", "message", "hint", "also")} == {
        "file": "hookd.yaml",
        "line": 7,
        "column": 5,
        "severity": "error",
        "code": "unknown_key",
        "message": "webhook `crm` has no key `timout`",
        "hint": "timeout",
        "also": None,
    }
    assert set(problem) >= {"expected", "notes"}


def test_github_shows_annotations_beside_the_line(tmp_path: Path) -> None:
    code, out, err = hookd("check", "--output", "github", cwd=write(tmp_path, BROKEN))
    assert (code, err) == (1, "")
    _, first, second, _ = out.splitlines()
    told = "webhook `crm` has no key `timout`; did you mean `timeout`?"
    assert first == f"::error file=hookd.yaml,line=7,col=5,title=hookd unknown_key::{told}"
    told = "concurrency must be at least 1"
    assert second == f"::error file=hookd.yaml,line=8,col=18,title=hookd bad_value::{told}"


def test_github_and_sarif_tell_the_second_place_by_what_it_is(tmp_path: Path) -> None:
    write(tmp_path, "version: 1\nwebhooks:\n  crm: {url: 'https://x.example/', events: [a, b, a]}\n")
    _, out, _ = hookd("check", "--output", "github", cwd=tmp_path)
    assert out.endswith("stands twice in `events`%0Afirst defined here: hookd.yaml:3:45\n")
    (result,) = json.loads(hookd("check", "--output", "sarif", cwd=tmp_path)[1])["runs"][0]["results"]
    assert result["relatedLocations"][0]["message"] == {"text": "first defined here"}


def test_what_a_file_says_makes_no_command_of_github(tmp_path: Path) -> None:
    top = tmp_path / "a,b:c%d"
    top.mkdir()
    write(top, 'version: 1\n"x\\n::set-env name=A::B%": 1\n')
    _, out, _ = hookd("check", "--config", "a,b:c%d/hookd.yaml", "--output", "github", cwd=tmp_path)
    (line,) = out.splitlines()
    assert line.startswith("::error file=a%2Cb%3Ac%25d/hookd.yaml,line=2,col=1,title=hookd unknown_key::")
    assert "%0A::set-env name=A::B%25" in line


def test_github_shows_the_difference_of_a_failed_test(tmp_path: Path) -> None:
    _, out, _ = hookd("check", "--output", "github", "--run", "crm/3", cwd=write(tmp_path, TESTED))
    (line,) = out.splitlines()
    assert '%0A-  "id": 2,%0A+  "id": 1,%0A' in line


def test_a_file_name_that_is_no_utf8_is_told_in_each_form(tmp_path: Path) -> None:
    write(tmp_path, 'version: 1\ninclude: ["d/*.yaml"]\n')
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(b"\xff.yaml")).write_text("webhooks: {a: {ulr: 'https://x.example/', events: [b]}}\n")
    for form in ("human", "json", "github", "sarif"):
        code, out, err = hookd("check", "--output", form, "--junit", "results.xml", cwd=tmp_path)
        assert code == 1
        assert "this should not have happened" not in err
        if form == "json":
            assert {each["line"] for each in json.loads(out)["problems"]} == {1}
        if form == "sarif":
            (location, *_) = json.loads(out)["runs"][0]["results"][0]["locations"]
            assert location["physicalLocation"]["artifactLocation"]["uri"] == "d/%FF.yaml"
        assert ET.parse(tmp_path / "results.xml").getroot().get("failures") != "0"


def test_sarif_is_what_its_standard_asks_for(tmp_path: Path) -> None:
    (tmp_path / "w d").mkdir()
    (tmp_path / "w d" / "é.yaml").write_text("webhooks: {crm: {url: 'https://x.example/', events: ['*']}}\n")
    write(tmp_path, BROKEN.replace("nothing.d", "w d"))
    code, out, err = hookd("check", "--output", "sarif", cwd=tmp_path)
    assert (code, err) == (1, "")
    log = json.loads(out)
    assert log["version"] == "2.1.0"
    assert set(log) == {"$schema", "version", "runs"}
    (run,) = log["runs"]
    assert set(run) == {"tool", "columnKind", "results"}
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert set(driver) == {"name", "semanticVersion", "rules"}
    for rule in driver["rules"]:
        assert set(rule) == {"id", "shortDescription", "help"}
        assert rule["shortDescription"]["text"] == CODES[rule["id"]]
        assert rule["help"]["text"]
    for result in run["results"]:
        assert set(result) - {"relatedLocations"} == {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning"}
        assert result["message"]["text"]
        for location in [*result["locations"], *result.get("relatedLocations", [])]:
            physical = location["physicalLocation"]
            assert physical["artifactLocation"]["uri"] in {"hookd.yaml", "w%20d/%C3%A9.yaml"}
            assert physical["region"]["startLine"] >= 1
            assert physical["region"]["startColumn"] >= 1
    (twice,) = [result for result in run["results"] if result["ruleId"] == "duplicate_id"]
    (other,) = twice["relatedLocations"]
    assert other["physicalLocation"]["region"] == {"startLine": 4, "startColumn": 3}
    assert other["physicalLocation"]["artifactLocation"]["uri"] == "hookd.yaml"


# --------------------------------------------------------------------------- tests


def test_a_failed_test_shows_how_the_body_differs(tmp_path: Path) -> None:
    code, out, err = hookd("check", cwd=write(tmp_path, TESTED))
    assert code == 1
    assert "hookd.yaml: not ok: 2 webhooks, no event types, 2 of 4 tests passed" in out
    assert "test 3 of webhook `crm`: `body.id` is 1 instead of 2 [test_failed]" in err
    assert '  -  "id": 2,\n  +  "id": 1,\n     "token": "<secrets.token>"\n' in err
    assert "test `of <another> country` of webhook `crm`: expected delivered, but the event was ignored" in err


@pytest.mark.parametrize(
    ("pattern", "tests"),
    [("crm", 3), ("c*", 3), ("*", 4), ("crm/2", 1), ("crm/of*", 1), ("*country", 1), ("shop/1", 1), ("*/1", 2)],
)
def test_only_the_tests_that_are_named_run(tmp_path: Path, pattern: str, tests: int) -> None:
    assert report(write(tmp_path, TESTED), "--run", pattern)[1]["tests"] == tests


def test_a_pattern_that_names_no_test_is_told(tmp_path: Path) -> None:
    code, out, err = hookd("check", "--run", "crn", cwd=write(tmp_path, TESTED))
    assert (code, out) == (2, "")
    assert "no test is called 'crn'" in err


def test_junit_is_read_by_a_parser(tmp_path: Path) -> None:
    code, *_ = hookd("check", "--junit", "out.xml", cwd=write(tmp_path, TESTED))
    assert code == 1
    top = ET.parse(tmp_path / "out.xml").getroot()
    assert (top.tag, top.get("tests"), top.get("failures"), top.get("errors")) == ("testsuites", "5", "2", "0")
    suites = {suite.get("name"): suite for suite in top}
    assert {name: suite.get("failures") for name, suite in suites.items()} == {"config": "0", "crm": "2", "shop": "0"}
    cases = {case.get("name"): case for case in top.iter("testcase")}
    assert set(cases) == {"the config is valid", "crm/1", "crm/of <another> country", "crm/3", "shop/1"}
    failure = cases["crm/3"].find("failure")
    assert failure is not None
    assert failure.get("message") == "`body.id` is 1 instead of 2"
    assert '+  "id": 1,' in (failure.text or "")
    assert cases["crm/3"].get("line") == "12"
    assert (failure.text or "").startswith("hookd.yaml:13:21: `body.id` is 1 instead of 2\n")


def test_junit_of_a_broken_config_fails(tmp_path: Path) -> None:
    assert hookd("check", "--junit", "out.xml", cwd=write(tmp_path, BROKEN))[0] == 1
    top = ET.parse(tmp_path / "out.xml").getroot()
    assert (top.get("tests"), top.get("failures")) == ("2", "2")
    assert [case.get("name") for case in top.iter("testcase")] == ["hookd.yaml:7:5", "hookd.yaml:8:18"]


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    code, _, err = hookd("check", "--junit", "not/there.xml", cwd=write(tmp_path, TESTED))
    assert code == 2
    assert "cannot write not/there.xml: there is no directory not; make it first" in err
    code, _, err = hookd("check", "--junit", ".", cwd=tmp_path)
    assert code == 2
    assert "cannot write .: this is a directory" in err


def test_a_directory_in_the_place_of_the_main_file_is_told_with_the_file_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    code, _, err = hookd("check", "--config", "etc", cwd=tmp_path)
    assert code == 1
    assert err.startswith(
        "etc:1:1: error: etc is a directory, and a config begins with a file [unreadable_file]\n1 error"
    )
    write(folder, TESTED)
    code, _, err = hookd("check", "--config", "etc", cwd=tmp_path)
    assert (code, err.splitlines()[1]) == (1, "  help: did you mean `etc/hookd.yaml`?")
    code, _, err = hookd("status", "--config", "etc", cwd=tmp_path)
    told = "hookd: etc is a directory, and a config begins with a file; did you mean `etc/hookd.yaml`?\n"
    assert (code, err) == (78, told)


# --------------------------------------------------------------------------- live


def live(top: Path, webhooks: str) -> tuple[int, dict[str, Any]]:
    return report(write(top, f"version: 1\nwebhooks:\n{webhooks}"), "--live")


def test_receivers_are_reached_and_nothing_is_sent(tmp_path: Path) -> None:
    with closing(Receiver()) as receiver:
        code, told = live(
            tmp_path,
            f"  a: {{url: '{receiver.url}a?secret=1', events: ['*'], allow_networks: [127.0.0.0/8]}}\n"
            f"  b: {{url: '{receiver.url}b', events: ['*'], allow_networks: [127.0.0.0/8]}}\n"
            f"  off: {{url: 'http://127.0.0.1:{free_port()}/', events: ['*'], active: false}}\n",
        )
        assert (code, told["problems"]) == (0, [])
        (reached,) = told["reached"]  # one place for both, and none for the one that is off
        assert reached["webhooks"] == ["a", "b"]
        assert reached["origin"] == receiver.url.removesuffix("/")
        assert reached["fault"] is None
        assert receiver.taken == []


def test_what_cannot_be_reached_is_told_with_its_webhooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:1")  # where no name server answers, it is soon given up
    closed = free_port()
    code, told = live(
        tmp_path,
        f"  closed: {{url: 'http://127.0.0.1:{closed}/?s=hunter2', events: ['*'], allow_networks: [127.0.0.0/8]}}\n"
        f"  denied: {{url: 'http://127.0.0.1:{closed}/', events: ['*']}}\n"
        "  nowhere: {url: 'https://no-such-host.invalid/', events: ['*']}\n"
        "  unset: {url: {env: NEVER_SET}, events: ['*']}\n"
        f"  behind: {{url: 'https://x.example/', events: ['*'], proxy: 'http://u:hunter2@127.0.0.1:{closed}',"
        " allow_networks: [127.0.0.0/8]}\n",
    )
    assert code == 1
    warnings = {"inline_secret", "denied_address"}
    told_of = [problem for problem in told["problems"] if problem["code"] not in warnings]
    messages = {problem["line"]: (problem["code"], problem["message"]) for problem in told_of}
    assert ("denied_address", 4) in {(problem["code"], problem["line"]) for problem in told["problems"]}
    refused = f"http://127.0.0.1:{closed}"
    assert messages[3] == (
        "unreachable",
        f"{refused} cannot be reached (closed): 127.0.0.1:{closed}: connection refused",
    )
    assert messages[4][1].startswith(f"{refused} cannot be reached (denied): 127.0.0.1 is ")
    assert messages[5][1].startswith("https://no-such-host.invalid cannot be reached (nowhere): no-such-host.invalid: ")
    unset = "webhook `unset` cannot be tried: environment variable NEVER_SET is not set"
    assert messages[6] == ("secret_unchecked", unset)
    assert "hunter2" not in json.dumps(told)
    behind = [problem["message"] for problem in told["problems"] if problem["line"] == 7]
    assert f"the proxy {refused} cannot be reached (behind): 127.0.0.1:{closed}: connection refused" in behind


def test_what_cannot_be_reached_is_told_where_it_is_named(tmp_path: Path) -> None:
    """At the URL, at the proxy, or at the reference that cannot be read, in whichever layer it stands."""
    away = f"127.0.0.1:{free_port()}"
    text = (
        "version: 1\n"
        "defaults:\n"
        f"  proxy: §http://{away}\n"
        "  allow_networks: [127.0.0.0/8]\n"
        "profiles:\n"
        f"  direct: {{proxy: null, url: §'http://{away}/p'}}\n"
        "webhooks:\n"
        "  proxied: {url: 'https://x.example/', events: ['*']}\n"
        "  direct: {profile: direct, events: ['*']}\n"
        f"  own: {{profile: direct, url: §'http://{away}/own', events: ['*'], allow_networks: [127.0.0.1/32]}}\n"
        "  unset: {url: §{env: NEVER_SET}, events: ['*']}\n"
        "  unset-proxy: {url: 'https://x.example/', proxy: §{env: NEVER_SET}, events: ['*']}\n"
        "  unset-key: {url: 'https://x.example/', proxy: null, events: ['*'], tls: {certificate: c, key: §k.pem}}\n"
    )
    marks = [
        (number, len(line[:at].replace("§", "")) + 1)
        for number, line in enumerate(text.split("\n"), 1)
        for at, character in enumerate(line)
        if character == "§"
    ]
    (tmp_path / "hookd.yaml").write_text(text.replace("§", ""))
    code, told = report(tmp_path, "--live")
    assert code == 1
    assert [(it["line"], it["column"]) for it in told["problems"]] == marks
    assert {it["code"] for it in told["problems"]} == {"unreachable", "secret_unchecked"}


def test_the_certificate_is_judged_by_the_trust_of_the_webhook(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with closing(Receiver(tls=context)) as receiver:
        url = receiver.url
        opened = "events: ['*'], allow_networks: [127.0.0.0/8, '::1/128']"
        code, told = live(
            tmp_path,
            f"  trusts: {{url: '{url}', {opened}, tls: {{ca: ca.pem}}}}\n  strange: {{url: '{url}', {opened}}}\n",
        )
    assert code == 1
    (problem,) = told["problems"]
    assert problem["line"] == 4
    assert "certificate verify failed" in problem["message"]
    assert [reached["fault"] is None for reached in told["reached"]] == [True, False]


# --------------------------------------------------------------------------- explain


def test_codes_are_listed_and_explained(tmp_path: Path) -> None:
    code, out, _ = hookd("explain", cwd=tmp_path)
    assert code == 0
    codes = out.split("\n\n")[0]
    assert [line.split()[0] for line in codes.splitlines()[2:]] == list(CODES)
    code, out, _ = hookd("explain", "[unknown_key]", cwd=tmp_path)
    assert code == 0
    assert out.startswith(f"unknown_key: {CODES['unknown_key']}\n")
    assert "\n      timout: 10s\n" in out.split("Right:")[0]
    assert "timeout: 10s" in out.split("Right:")[1]


def test_explanations_are_for_machines_too(tmp_path: Path) -> None:
    listed = json.loads(hookd("explain", "--output", "json", cwd=tmp_path)[1])
    assert [each["code"] for each in listed if "code" in each] == list(CODES)
    assert [each["cause"] for each in listed if "cause" in each] == list(Cause)
    assert {each.get("state") for each in listed} > {"held", "suspended", "open"}
    one = json.loads(hookd("explain", "bad_tls", "--output", "json", cwd=tmp_path)[1])
    assert one == next(each for each in listed if each.get("code") == "bad_tls")
    assert one["tier"] == "environment"


def test_a_cause_of_an_attempt_is_explained(tmp_path: Path) -> None:
    code, out, _ = hookd("explain", "(blocked_address)", cwd=tmp_path)
    assert code == 0
    assert out.startswith("blocked_address (not_sent): The address is not a public one")
    assert "`allow_networks`" in out
    both = hookd("explain", "secret_unreadable", cwd=tmp_path)[1]
    assert both.startswith(f"Of a config (`hookd check`):\nsecret_unreadable: {CODES['secret_unreadable']}\n")
    assert "\nOf an attempt or a delivery (" in both
    assert "):\nsecret_unreadable (not_sent): " in both
    told = json.loads(hookd("explain", "gone", "--output", "json", cwd=tmp_path)[1])
    assert (told["cause"], told["outcome"]) == ("gone", "rejected")


def test_a_code_that_is_none_is_told(tmp_path: Path) -> None:
    code, out, err = hookd("explain", "unknown-keys", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "there is no code 'unknown-keys'; did you mean 'unknown_key'?" in err
