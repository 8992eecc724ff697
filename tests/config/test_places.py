"""Where each kind of mistake is pointed at: at the value, the key or the entry of a list that a person would change.

In the texts of this module `§` stands before what is to be pointed at, and is in no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from hookd.config.load import Rejected, load_again
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Keys of a webhook. What is not there is looked for where its mapping begins.
KEYS: Final = (
    "timeout: §5",
    "§timout: 5s",
    "retry: {schedule: [5s, §5x]}",
    "retry: {§shedule: [5s]}",
    "rate: §50",
    "concurrency: §0",
    "concurrency: §'8'",
    "active: §yes",
    "method: §GET",
    "headers: {§'a b': c}",
    "headers: {X-A: §1}",
    "headers: {§Host: a}",
    'headers: {X-A: §"a\\nb"}',
    "headers: {X-A: §$(data.x)}",
    "auth: {§token: a}",
    "auth: §{bearer: a, basic: {username: u, password: p}}",
    "auth: {basic: §{username: u}}",
    "auth: §secret",
    "sign: {secrets: [{env: A}, §short]}",
    "sign: §{scheme: standard}",
    "sign: {scheme: §other, secrets: [{env: A}]}",
    "secrets: {t: §1}",
    "secrets: {t: {§fil: a}}",
    "secrets: {t: §{file: a, env: B}}",
    "secrets: §[a]",
    "body: {format: §xml}",
    "body: {template: {a: '$(data.x) §$(foo)'}}",
    "body: {template: {a: [1, §$(foo)]}}",
    'body: {template: {ключ: "値 §$(foo)"}}',
    "body: {template: {a: §$(secrets.t)}}",
    "body: {schema: §none.json}",
    "body: {§templat: {}}",
    "allow_networks: [10.0.0.0/8, §10.1.2.3/8]",
    "allow_networks: §10.0.0.0/8",
    "proxy: §ftp://x",
    "url: §ftp://x",
    "url: §https://h/$(data.x)",
    "tls: {certificate: §1}",
    "tls: §{key: {env: K}}",
    "filter: {§dta.x: 1}",
    "filter: {data.x: {§gtx: 1}}",
    "filter: {data.x: {gt: §true}}",
    "filter: {data.x: {in: §[]}}",
    "filter: {data.x: §[]}",
    "filter: {data.x: §{}}",
    "filter: {data.x: {regex: §'('}}",
    "filter: {data.x: {exists: §'yes'}}",
    "filter: {any: [{data.x: 1}, {§typ: 1}]}",
    "filter: {any: §{data.x: 1}}",
    "filter: {not: §[1]}",
    "filter: §[1]",
    "filter: {all: [{data.x: 1}, §5]}",
    "suspend_after: §5",
    "test_event: {type: a, §tennant: x}",
    "test_event: {type: a, time: §yesterday}",
    "test_event: §{data: 1}",
    "tests: [{event: {type: a}, expect: §maybe}]",
    "tests: [§{event: {type: a}}]",
    "tests: [{event: §a, expect: delivered}]",
    "tests: [{event: {type: a}, expect: delivered, §bdy: 1}]",
    "profile: §nope",
    "max_pending: §-1",
    "tenant: §5",
    "name: §5",
    "events: [a, §a]",
    "events: [a, {event: b, §activ: true}]",
    "events: [§'*.a']",
    "events: §a",
    "events: [a, §5]",
    "ordered: §1",
    "http2: §'true'",
    "retry: {jitter: §2}",
    "retry: {permanent: [400, §200, §99]}",
    "retry: {max_age: §72}",
    "require_https: §no",
    "§Url: x",
    "§tenent: acme",
)
#: What each definition has, unless it says another one.
GIVEN: Final = ("url: https://a.example/", "events: [a]")
#: Whole files.
FILES: Final = (
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    auth:\n"
        "      §basic:\n"
        "        username: u\n"
    ),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §auth:\n      x-a: 1\n"),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §sign:\n      scheme: standard\n"),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §tls:\n      key: {env: K}\n"),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §test_event:\n      data: 1\n"),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    tests:\n"
        "      - §event: {type: a}\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    tests:\n"
        "      - §expect: delivered\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    secrets:\n"
        "      §t:\n"
        "        file: a\n"
        "        env: B\n"
    ),
    ("version: 1\nwebhooks:\n  §w:\n    events: [a]\n"),
    ("version: 1\nwebhooks:\n  §w:\n    name: a\n    events: [a]\n  §v: {events: [a]}\n"),
    ("version: 1\nmoved:\n  - §from: a\n"),
    ("version: 1\ndaemon:\n  inlets:\n    - §mode: '0660'\n"),
    ("version: 1\ndaemon:\n  metrics:\n    §htp: 127.0.0.1:1\n"),
    "§webhooks: {}\n",
    ("webhooks: {}\nversion: §2\n"),
    "version: §'1'\n",
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    filter:\n"
        "      data.x:\n"
        "        gt:§\n"
    ),
    ("version: 1\nwebhooks:\n  w:§\n"),
    ("version: 1\nwebhooks:\n  w:\n    §url: null\n    events: [a]\n"),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    body:\n"
        "      template:\n"
        "        a: |\n"
        "          x\n"
        "          y §$(foo)\n"
        "          z\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    body:\n"
        "      template:\n"
        "        a: >-\n"
        "          x\n"
        "          y §$(foo) 名 §$(bar)\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    body:\n"
        "      template:\n"
        '        a: "x\n'
        '          é §$(foo)"\n'
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    body:\n"
        "      template:\n"
        "        - 'x''\n"
        "\n"
        "          é §$(foo)'\n"
    ),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    timeout: §>-\n      5\n      x\n"),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    filter:\n"
        "      data.x:\n"
        "        regex: §|\n"
        "          (\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    name: ok\n"
        "    §url2: |\n"
        "      x\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    filter:\n"
        "      any:\n"
        "        - data.x: 1\n"
        "        - §typ: 1\n"
        "        - data.y:\n"
        "            §gtx: 1\n"
        "        - data.z:\n"
        "            in:\n"
        "              - 1\n"
        "              - 2\n"
        "            gt:\n"
        "              §- 1\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    filter:\n"
        "      any:\n"
        "        §data.x: 1\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    filter:\n"
        "      data.x:\n"
        "        regex: §'('\n"
        "        lt: §[1]\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    headers:\n"
        "      X-A:\n"
        "        §a: b\n"
    ),
    (
        "version: 1\n"
        "webhooks:\n"
        "  w:\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
        "    retry:\n"
        "      schedule:\n"
        "        - 5s\n"
        "        - §5x\n"
        "        - §6\n"
        "      permanent:\n"
        "        - §20\n"
    ),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §events: [b]\n"),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    §url: https://b.example/\n"),
    (
        "version: 1\n"
        "x-a: &t\n"
        "  §tiemout: 5s\n"
        "webhooks:\n"
        "  w:\n"
        "    <<: *t\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
    ),
    ("version: 1\nwebhooks:\n  w:\n    <<: §5\n    url: https://a.example/\n    events: [a]\n"),
    ("version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n    retry: §!!str x\n"),
    ("version: 1\nwebhooks:\n  §1: {url: 'https://a.example/', events: [a]}\n"),
    ("version: 1\nwebhooks:\n  §Crm: {url: 'https://a.example/', events: [a]}\n"),
    ("version: 1\ndaemon: {§stat_dir: x}\n"),
    ("version: 1\ndaemon: {limits: {event_bytes: §1MB}}\n"),
    ("version: 1\ndaemon: {inlets: [{unix: a, mode: §660}]}\n"),
    ("version: 1\ndaemon: {inlets: [§{http: '0.0.0.0:80'}]}\n"),
    ("version: 1\ndaemon: {inlets: [{http: '0.0.0.0:80', tokens: §none}]}\n"),
    ("version: 1\ndaemon: {inlets: [{unix: a, allow: {users: §app}}]}\n"),
    ("version: 1\ndaemon: {log: {level: §verbose}}\n"),
    ("version: 1\ndaemon: {retention: {events: §30}}\n"),
    ("version: 1\ndaemon: {drain_timeout: §fast}\n"),
    ("version: 1\ninclude: §a.yaml\n"),
    ("version: 1\ninclude: [§a.yaml, §b/]\n"),
    ("version: 1\nmanaged_git: §true\n"),
    ("version: 1\nevent_types:\n  a: {schema: §none.json}\n"),
    ("version: 1\nevent_types:\n  §'a b': {}\n"),
    ("version: 1\nevent_types:\n  a: {require: [§tennant]}\n"),
    ("version: 1\nevent_types:\n  a: {§requires: [tenant]}\n"),
    ("version: 1\nevent_types: {a: {}}\nwebhooks:\n  w: {url: 'https://a.example/', events: [§b, §'c.*']}\n"),
    ("version: 1\nevent_types:\n  §- a\n"),
    (
        "version: 1\n"
        "webhooks: {w: {url: 'https://a.example/', events: [a]}, v: {url: 'https://a.example/', events: [a]}}\n"
        "moved: [{from: §v, to: w}]\n"
    ),
    ("version: 1\nwebhooks: {w: {url: 'https://a.example/', events: [a]}}\nmoved: [{§frm: a, to: w}]\n"),
    ("version: 1\nprofiles:\n  a: {profile: §b}\n  b: {profile: a}\n"),
    ("version: 1\nprofiles:\n  a: {profile: §a}\n"),
    (
        "version: 1\n"
        "profiles:\n"
        "  a:\n"
        "    headers: {X: §1}\n"
        "webhooks:\n"
        "  w:\n"
        "    profile: a\n"
        "    url: https://a.example/\n"
        "    events: [a]\n"
    ),
    ("version: 1\ndefaults:\n  §url2: x\n"),
    ("version: 1\n§profile: {}\n"),
    ("version: 1\n§webhoks:\n  w: {}\n"),
)


def keys_of(said: str) -> list[str]:
    """Give the keys of a definition that has these."""
    return [*(key for key in GIVEN if not said.lstrip("§").startswith(key.split(":")[0] + ":")), said]


def in_lines(said: str, name: str) -> str:
    return f"  {name}:\n" + "".join(f"    {key}\n" for key in keys_of(said))


def in_a_line(said: str, name: str) -> str:
    return f"  {name}: {{{', '.join(keys_of(said))}}}\n"


def behind_wide_characters(said: str, name: str) -> str:
    return f"  {name}: {{x-名前: '値段 👩\u200d💻 e\u0301', {', '.join(keys_of(said))}}}\n"


def by_a_merge(said: str, name: str) -> str:
    *given, said = keys_of(said)
    return f"  x-{name}: &{name} {{{said}}}\n  {name}: {{<<: *{name}, {', '.join(given)}}}\n".replace(", }", "}")


def places_of(text: str) -> set[str]:
    """Give the places of the marks of a text, counted without them."""
    return {
        f"{number}:{at - line[:at].count('§') + 1}"
        for number, line in enumerate(text.split("\n"), 1)
        for at, character in enumerate(line)
        if character == "§"
    }


def pointed_at(top: Path, **files: str) -> dict[str, set[str]]:
    """Give the places of the problems of a tree, by file."""
    result = load_again(write_tree(top, **{name: text.replace("§", "") for name, text in files.items()}), None)
    assert isinstance(result, Rejected)
    found: dict[str, set[str]] = {}
    for problem in result.error.problems:
        file = problem.place.file.removeprefix(f"{top}/")
        found.setdefault(file, set()).add(f"{problem.place.line}:{problem.place.column}")
    return found


@pytest.mark.parametrize("written", [in_lines, in_a_line, behind_wide_characters, by_a_merge])
def test_a_mistake_in_a_webhook_is_pointed_at(tmp_path: Path, written: Callable[[str, str], str]) -> None:
    webhooks = "".join(written(said, f"w{number}") for number, said in enumerate(KEYS))
    main = f"version: 1\nwebhooks:\n{webhooks}"
    assert pointed_at(tmp_path, main=main) == {"hookd.yaml": places_of(main)}


#: What a profile lacks, or has too much of, a webhook that builds on it may bring, or take away.
COMPLETED: Final = ("auth: §{", "auth: {basic: §", "sign: §", "$(secrets.t)", "tls: §")


@pytest.mark.parametrize("used", [True, False])
def test_a_mistake_in_a_profile_is_pointed_at_once(tmp_path: Path, *, used: bool) -> None:
    said = [each for each in KEYS if not each.startswith("profile")]
    if not used:
        said = [each for each in said if not any(part in each for part in COMPLETED)]
    profiles = "".join(in_a_line(each, f"p{number}") for number, each in enumerate(said))
    webhooks = "".join(f"  w{number}: {{profile: p{number}}}\n" for number in range(len(said) if used else 0))
    main = "version: 1\ninclude: [w.yaml]\nprofiles:\n" + profiles
    found = pointed_at(tmp_path, main=main, w=f"webhooks:\n{webhooks}" if used else "webhooks: {}\n")
    assert found == {"hookd.yaml": places_of(main)}


def test_a_mistake_in_an_included_file_is_pointed_at(tmp_path: Path) -> None:
    text = "# ünï\nwebhooks:\n" + "".join(in_a_line(said, f"w{number}") for number, said in enumerate(KEYS))
    main = "version: 1\r\ninclude: [w.yaml]\r\n§webhoks: {}\r\n"
    found = pointed_at(tmp_path, main=main, w=text.replace("\n", "\r\n"))
    assert found == {"hookd.yaml": {"3:1"}, "w.yaml": places_of(text)}


@pytest.mark.parametrize("said", [each for each in KEYS if each.split(":")[0] not in {"url", "events", "profile"}])
def test_a_mistake_in_the_defaults_is_pointed_at(tmp_path: Path, said: str) -> None:
    main = f"version: 1\ndefaults: {{{said}}}\nwebhooks: {{w: {{url: 'https://a.example/', events: [a]}}}}\n"
    assert pointed_at(tmp_path, main=main) == {"hookd.yaml": places_of(main)}


@pytest.mark.parametrize("text", FILES)
def test_a_mistake_is_pointed_at_however_it_is_written(tmp_path: Path, text: str) -> None:
    assert pointed_at(tmp_path, main=text) == {"hookd.yaml": places_of(text)}


def test_what_is_left_out_is_not_missed_where_it_would_be_pointed_at(tmp_path: Path) -> None:
    """A key that cannot be read may be the one that its mapping lacks, however that is written."""
    main = (
        "version: 1\nwebhooks:\n  w:\n    url: https://a.example/\n    events: [a]\n"
        "    auth:\n      basic:\n        username: u\n        §[x]: p\n"
        "    secrets:\n      t:\n        §[x]: p\n"
    )
    assert pointed_at(tmp_path, main=main) == {"hookd.yaml": places_of(main)}
