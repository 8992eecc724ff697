"""From checked files to one Config: what is built, and what is refused, with places."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from hookd.config.building.daemonsection import is_loopback, parse_address
from hookd.core.config import BasicAuth, BearerAuth, Move, Reference, ReferenceKind, RetryPolicy, Sign, Tls, Trigger
from hookd.core.daemonconfig import Allow, Control, DaemonConfig, HttpInlet, Limits, Retention, Token, UnixInlet
from hookd.core.model import Event
from hookd.core.paths import ABSENT
from hookd.core.routing import route
from hookd.core.template import Scope
from tests.config.trees import SIGNING, load_tree, load_webhook, problems_of

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config

ENV = ReferenceKind.ENV
FILE = ReferenceKind.FILE
CREDENTIAL = ReferenceKind.CREDENTIAL


# --------------------------------------------------------------------------- what is built


def test_the_least_config(tmp_path: Path) -> None:
    config = load_tree(tmp_path, main="version: 1\n")
    assert config.daemon == DaemonConfig()
    assert dict(config.webhooks) == {}
    assert re.fullmatch("[0-9a-f]{12}", config.revision.hash)


def test_a_webhook_with_defaults_only(tmp_path: Path) -> None:
    webhook = load_webhook(tmp_path, "")
    assert webhook.url == "https://example.com/w"
    assert webhook.triggers == (Trigger(pattern="a.b"),)
    assert (webhook.active, webhook.paused, webhook.tenant, webhook.method) == (True, False, None, "POST")
    assert webhook.retry == RetryPolicy()
    assert (webhook.timeout, webhook.concurrency, webhook.max_pending) == (15.0, 8, 100_000)
    assert webhook.suspend_after == 432_000.0
    assert load_webhook(tmp_path, "suspend_after: never").suspend_after is None
    assert str(webhook.place) == f"{tmp_path}/hookd.yaml:4:3"
    event = Event(id="1", type="a.b", data=b'{"n":1E2}', accepted_at=0)
    body = webhook.body.template.render_json(Scope(event, {}))
    assert body == b'{"type":"a.b","timestamp":"1970-01-01T00:00:00.000Z","data":{"n":1E2}}'


def test_a_webhook_with_everything(tmp_path: Path) -> None:
    webhook = load_webhook(
        tmp_path,
        f"""
        name: CRM sync
        x-owner: me
        active: false
        paused: true
        tenant: acme
        filter: {{data.amount: {{gte: 100}}}}
        secrets: {{token: {{file: secrets/t}}, plain: p}}
        body: {{format: form, template: {{t: $(secrets.token)}}, schema: s.json}}
        headers: {{X-Team: crm, X-Key: {{env: CRM_KEY}}}}
        auth: {{basic: {{username: u, password: {{credential: crm}}}}}}
        sign: {{secrets: [{{credential: new}}, {SIGNING}]}}
        require_https: true
        method: PUT
        timeout: 10s
        retry: {{schedule: [1s, 10s], jitter: 0, max_age: 72h, permanent: [400, 404]}}
        rate: 3000/m
        concurrency: 2
        ordered: true
        max_pending: 5
        suspend_after: null
        allow_networks: [10.1.0.0/16, "fd00::/8", 10.2.3.4]
        tls: {{ca: ca.pem, certificate: /abs/me.pem, key: {{credential: me-key}}}}
        test_event: {{type: a.b, data: {{id: 1}}}}
        """,
        **{"s.json": '{"required": ["t"]}'},
    )
    assert (webhook.name, webhook.active, webhook.paused, webhook.tenant) == ("CRM sync", False, True, "acme")
    assert webhook.filter is not None
    assert webhook.filter.matches(Event(id="1", type="a.b"), {"amount": 100})
    assert webhook.secrets == {"token": Reference(FILE, f"{tmp_path}/secrets/t"), "plain": "p"}
    assert webhook.body.format == "form"
    assert webhook.body.validator is not None
    assert webhook.body.validator.fault({}) is not None
    assert webhook.headers == (("X-Team", "crm"), ("X-Key", Reference(ENV, "CRM_KEY")))
    assert webhook.auth == BasicAuth(username="u", password=Reference(CREDENTIAL, "crm"))
    assert webhook.sign == Sign(secrets=(Reference(CREDENTIAL, "new"), SIGNING))
    assert (webhook.require_https, webhook.method, webhook.timeout) == (True, "PUT", 10.0)
    assert webhook.retry == RetryPolicy(
        schedule=(1.0, 10.0), jitter=0.0, max_age=259_200.0, permanent=frozenset({400, 404})
    )
    assert (webhook.rate, webhook.concurrency, webhook.ordered, webhook.max_pending) == (50.0, 2, True, 5)
    assert webhook.suspend_after is None
    assert webhook.allow_networks == (ip_network("10.1.0.0/16"), ip_network("fd00::/8"), ip_network("10.2.3.4/32"))
    assert webhook.tls == Tls(ca=f"{tmp_path}/ca.pem", certificate="/abs/me.pem", key=Reference(CREDENTIAL, "me-key"))
    assert webhook.test_event == {"type": "a.b", "data": {"id": 1}}
    assert webhook.held


def test_forms_that_may_be_written_in_two_ways(tmp_path: Path) -> None:
    webhook = load_webhook(
        tmp_path, "auth: {bearer: tok}\ntls: {certificate: c.pem, key: k.pem}\nretry: {schedule: []}"
    )
    assert webhook.auth == BearerAuth(token="tok")
    assert webhook.tls is not None
    assert webhook.tls.key == Reference(FILE, f"{tmp_path}/k.pem")
    assert webhook.retry.schedule == ()
    other = load_webhook(tmp_path, 'tls: {certificate: c.pem, key: "-----BEGIN PRIVATE KEY-----"}')
    assert other.tls is not None
    assert other.tls.key == "-----BEGIN PRIVATE KEY-----"


def test_triggers_keep_their_order_and_state(tmp_path: Path) -> None:
    main = """
    version: 1
    webhooks:
      w: {url: "https://example.com", events: ["user.*", {event: company.new, active: false}, {event: x}, "*"]}
    """
    webhook = load_tree(tmp_path, main=main).webhooks["w"]
    expected = [("user.*", True), ("company.new", False), ("x", True), ("*", True)]
    assert [(trigger.pattern, trigger.active) for trigger in webhook.triggers] == expected


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    main = """
    version: 1
    include: [conf/*.yaml, hooks/*.yaml]
    webhooks: {m: {profile: p, url: {file: u}, events: [a]}}
    """
    profile = "profiles: {p: {headers: {A: {file: a}, B: {file: b}}, body: {schema: s.json}, tls: {ca: ../ca.pem}}}\n"
    webhook = 'webhooks: {h: {profile: p, url: "https://h", events: [a], headers: {A: {file: x}}}}\n'
    config = load_tree(tmp_path, main=main, conf__p=profile, hooks__h=webhook, **{"conf/s.json": '{"type": "object"}'})
    main_hook, other = config.webhooks["m"], config.webhooks["h"]
    assert main_hook.url == Reference(FILE, f"{tmp_path}/u")
    assert dict(main_hook.headers)["A"] == Reference(FILE, f"{tmp_path}/conf/a")
    assert dict(other.headers) == {
        "A": Reference(FILE, f"{tmp_path}/hooks/x"), "B": Reference(FILE, f"{tmp_path}/conf/b")
    }  # fmt: skip
    assert other.tls is not None
    assert other.tls.ca == f"{tmp_path}/ca.pem"
    assert other.body.validator is not None


def test_the_catalogue(tmp_path: Path) -> None:
    main = """
    version: 1
    event_types:
      user.updated: {description: A user, schema: user.json, require: [tenant]}
      user.deleted: {}
      x-note: anything
    """
    types = load_tree(tmp_path, main=main, **{"user.json": '{"required": ["id"]}'}).event_types
    assert list(types) == ["user.updated", "user.deleted"]
    updated = types["user.updated"]
    assert (updated.description, updated.require) == ("A user", ("tenant",))
    assert updated.validator is not None
    fault = updated.validator.fault({})
    assert fault is not None
    assert (fault.path, fault.message) == ("/id", "is required")
    assert types["user.deleted"].validator is None


def test_the_daemon_section(tmp_path: Path) -> None:
    main = """
    version: 1
    daemon:
      state_dir: state
      inlets:
        - {unix: run/e.sock, mode: "0600", allow: {users: [app], groups: [events], tenant: acme}}
        - {unix: /run/f.sock, allow: [{users: ["1000"]}, {groups: [g]}]}
        - {http: "127.0.0.1:0", tokens: none}
        - {http: "[::1]:8480", tokens: [{credential: inlet}, {env: T, tenant: acme}, literal]}
      control: {unix: c.sock, mode: "0660"}
      limits: {event_bytes: 2MiB, batch_bytes: 3MiB, concurrency: 7, memory_window: 8, disk_free: 9GiB}
      retention: {events: 1d, attempts: 2d, held: 3d, bytes: 4GiB}
      drain_timeout: 5s
      log: {level: debug}
    """
    daemon = load_tree(tmp_path, main=main).daemon
    assert daemon == DaemonConfig(
        state_dir=f"{tmp_path}/state",
        inlets=(
            UnixInlet(
                path=f"{tmp_path}/run/e.sock",
                mode=0o600,
                allow=(Allow(users=("app",), groups=("events",), tenant="acme"),),
            ),
            UnixInlet(path="/run/f.sock", allow=(Allow(users=("1000",)), Allow(groups=("g",)))),
            HttpInlet(host="127.0.0.1", port=0, tokens=None),
            HttpInlet(
                host="::1",
                port=8480,
                tokens=(
                    Token(secret=Reference(CREDENTIAL, "inlet")),
                    Token(secret=Reference(ENV, "T"), tenant="acme"),
                    Token(secret="literal"),
                ),
            ),
        ),
        control=Control(unix=f"{tmp_path}/c.sock", mode=0o660),
        limits=Limits(
            event_bytes=2 * 2**20, batch_bytes=3 * 2**20, concurrency=7, memory_window=8, disk_free=9 * 2**30
        ),
        retention=Retention(events=86400.0, attempts=172800.0, held=259200.0, bytes=4 * 2**30),
        drain_timeout=5.0,
        log_level="debug",
    )


def test_moves(tmp_path: Path) -> None:
    main = """
    version: 1
    moved: [{from: old, to: w}]
    webhooks: {w: {url: "https://w", events: [a]}}
    """
    assert load_tree(tmp_path, main=main).moved == (Move(source="old", target="w"),)


def test_the_index_routes(tmp_path: Path) -> None:
    main = """
    version: 1
    webhooks:
      one: {url: "https://w", events: ["user.*"], tenant: acme, filter: {data.n: 1}}
      two: {url: "https://w", events: ["*"], tenant: "*"}
      off: {url: "https://w", events: ["*"], tenant: "*", active: false}
    """
    config = load_tree(tmp_path, main=main)

    def webhooks(event: Event, data: object) -> list[str]:
        return sorted(owed.webhook for owed in route(config.index, event, data))

    assert webhooks(Event(id="1", type="user.new", tenant="acme"), {"n": 1}) == ["one", "two"]
    assert webhooks(Event(id="1", type="user.new", tenant="acme"), {"n": 2}) == ["two"]
    assert webhooks(Event(id="1", type="user.new"), ABSENT) == ["two"]


def test_keys_of_the_users_own_are_ignored(tmp_path: Path) -> None:
    main = """
    version: 1
    x-common: &common {url: "https://w", events: [a], x-note: 1}
    profiles: {x-p: anything}
    webhooks:
      x-template: [1, 2]
      w: {<<: *common, headers: {x-team: crm}, retry: {x-why: because, schedule: [1s]}}
    """
    webhook = load_tree(tmp_path, main=main).webhooks["w"]
    assert webhook.headers == (("x-team", "crm"),)
    assert webhook.retry.schedule == (1.0,)


# --------------------------------------------------------------------------- what changes the fingerprint


def fingerprints(tmp_path: Path, keys: str, **files: str) -> tuple[str, str]:
    files = {"s.json": '{"type": "object"}', **files}
    webhook = load_webhook(tmp_path, keys, **files)
    return webhook.fingerprint, webhook.digest


DECISIVE = [
    "auth: {bearer: b}",
    "auth: {bearer: {env: B}}",
    f"sign: {{secrets: [{SIGNING}]}}",
    "headers: {A: a}",
    "body: {template: {a: 1}}",
    "body: {format: form}",
    "body: {schema: s.json}",
    "secrets: {t: a}",
    "secrets: {t: {env: a}}",
    "secrets: {t: {credential: a}}",
    "tls: {ca: ca.pem}",
    "allow_networks: [10.0.0.0/8]",
]
OTHERS = [
    "name: other",
    "timeout: 1s",
    "retry: {schedule: [1s]}",
    "rate: 1/s",
    "concurrency: 1",
    "paused: true",
    "filter: {data.a: 1}",
    "tenant: acme",
    "ordered: true",
    "method: PUT",
]


def test_the_fingerprint_follows_what_decides_a_request(tmp_path: Path) -> None:
    plain = fingerprints(tmp_path, "")
    decisive = [fingerprints(tmp_path, keys) for keys in DECISIVE]
    others = [fingerprints(tmp_path, keys) for keys in OTHERS]
    assert len({plain, *decisive, *others}) == 1 + len(DECISIVE) + len(OTHERS)
    assert len({fingerprint for fingerprint, _ in [plain, *decisive]}) == 1 + len(DECISIVE)
    assert {fingerprint for fingerprint, _ in others} == {plain[0]}
    assert len({digest for _, digest in [plain, *decisive, *others]}) == 1 + len(DECISIVE) + len(OTHERS)


def test_the_fingerprint_follows_the_content_of_the_schema_and_nothing_of_the_layout(tmp_path: Path) -> None:
    keys = "body: {schema: s.json, template: {a: 1, b: 2}}"
    first = fingerprints(tmp_path, keys)
    assert fingerprints(tmp_path, "# comment\nbody:\n  template: {b: 2, a: 1}\n  schema: s.json\n") == first
    assert fingerprints(tmp_path, keys, **{"s.json": '{"type": "array"}'})[0] != first[0]
    above = "profiles: {p: {body: {schema: s.json, template: {a: 1, b: 2}}}}"
    webhook = load_webhook(tmp_path, "profile: p", above=above, **{"s.json": '{"type": "object"}'})
    assert webhook.fingerprint == first[0]


# --------------------------------------------------------------------------- what is refused

HIDDEN = "hunter2"


def webhook_problem(tmp_path: Path, keys: str, above: str = "") -> list[tuple[int, int, str, str]]:
    """Give line (of the keys, from 1), column, code and message of what is wrong with a webhook."""
    lines = ["version: 1", *above.splitlines(), "webhooks:", "  w:"]
    body = [f"    {line}" for line in keys.strip().splitlines()]
    for key, line in (("url", "url: https://example.com/w"), ("events", "events: [a.b]")):
        if f"{key}:" not in keys:
            body.append(f"    {line}")
    found = problems_of(tmp_path, main="\n".join([*lines, *body]) + "\n", **{"s.json": "{}", "bad.json": "{"})
    return [(it.place.line - len(lines), it.place.column, it.code, f"{it.message} [{it.hint}]") for it in found]


REFUSED = [
    ("url: null", 1, 5, "missing_key", "needs `url`; nothing stands behind it"),
    ("events: null", 1, 5, "missing_key", "needs `events`; nothing stands behind it"),
    ("auth: {token: x}", 1, 12, "unknown_key", "no key `token`"),
    ("auth: {basic: {user: u, password: p}}", 1, 20, "unknown_key", "no key `user`"),
    ("sign: {scheme: standard, secret: [a]}", 1, 30, "unknown_key", "no key `secret`"),
    ("tls: {cert: me.pem, key: me.key}", 1, 11, "unknown_key", "no key `cert`"),
    ("headers: {X-A: {fiel: x}}", 1, 21, "unknown_key", "no key `fiel`"),
    ("headers: {X-A: {file: }}", 1, 27, "wrong_type", "must be a path"),
    (f"url: https://user:{HIDDEN}@example.com/", 1, 10, "bad_url", "user name or password"),
    (f"url: ftp://example.com/{HIDDEN}", 1, 10, "bad_url", "http"),
    (f"url: http://example.com/?{HIDDEN}\nrequire_https: true", 1, 10, "bad_url", "require_https"),
    ("url: http://2130706433/", 1, 10, "bad_url", "four plain decimal"),
    (f"proxy: socks5://{HIDDEN}@proxy:1080", 1, 12, "bad_url", "must begin with http:// or https://"),
    (f"proxy: http://proxy/{HIDDEN}", 1, 12, "bad_url", "no path"),
    ("events: [a, a]", 1, 17, "duplicate_pattern", "`a` stands twice"),
    ('events: ["u.*", {event: "u.*", active: false}]', 1, 29, "duplicate_pattern", "`u.*` stands twice"),
    ("headers: {Content-Length: '1'}", 1, 15, "bad_header", "set by hookd itself"),
    ("headers: {webhook-id: x}", 1, 15, "bad_header", "set by hookd itself"),
    ("headers: {X-Id: $(data.id)}", 1, 21, "bad_header", "in `body` only"),
    (f'headers: {{X-A: "{HIDDEN}\\r\\nX: y"}}', 1, 20, "bad_header", "line break"),
    ("headers: {X-A: a, x-a: b}", 1, 23, "duplicate_key", "stands here twice"),
    ("headers: {Authorization: x}\nauth: {bearer: b}", 1, 15, "bad_header", "`auth` sets"),
    ("auth: {}", 1, 11, "exactly_one", "either `bearer` or `basic`"),
    ("auth: {bearer: a, basic: {username: u, password: p}}", 1, 11, "exactly_one", "either `bearer` or `basic`"),
    ("auth: {basic: {username: u}}", 1, 19, "missing_key", "needs a `password`"),
    ("auth: {basic: {username: 'a:b', password: p}}", 1, 30, "bad_value", "cannot hold a `:`"),
    (f'auth: {{bearer: "{HIDDEN}\\n"}}', 1, 20, "bad_secret", "cannot be sent"),
    ("sign: {scheme: standard}", 1, 11, "missing_key", "needs `secrets`"),
    (f"sign: {{secrets: [{HIDDEN}]}}", 1, 22, "bad_secret", "whsec_"),
    (f"sign: {{secrets: [whsec_{HIDDEN}!!]}}", 1, 22, "bad_secret", "base64"),
    ("filter: {dta.x: 1}", 1, 14, "bad_filter", "dta"),
    ("filter: {data.x: {gtx: 1}}", 1, 23, "bad_filter", "unknown operator"),
    ("filter: {data.x: {regex: '('}}", 1, 30, "bad_filter", "regex"),
    ("filter:\n  data.x:\n    gte: true", 3, 14, "bad_filter", "`gte`: expected a number or a text"),
    ("filter: {any: [{data.x: {exists: 1}}]}", 1, 38, "bad_filter", "`exists` takes true or false"),
    ("filter: {any: [{data.x: 1}, data.y]}", 1, 33, "bad_filter", "expected a filter"),
    ("filter: {not: {any: data.x}}", 1, 25, "bad_filter", "`any` takes a list of filters"),
    ("filter: {all: []}", 1, 19, "bad_filter", "`all` has no filter in it"),
    ("filter: {data.x: {}}", 1, 22, "bad_filter", "no operator here"),
    ("filter: {data.x: {in: []}}", 1, 27, "bad_filter", "an empty list matches nothing"),
    ("filter: {data.x?: {gt: 1}}", 1, 14, "bad_filter", "takes no `?`"),
    ("filter: {secrets.x: 1}", 1, 14, "bad_filter", "cannot look at secrets"),
    ("body: {template: {a: $(nope)}}", 1, 26, "bad_template", "nope"),
    ("body: {template: {a: [x, $(data.x]}}", 1, 30, "bad_template", "never closed"),
    ("body: {template: {a: [x, y $(secrets.t)]}}", 1, 32, "undeclared_secret", "no `t` in `secrets`"),
    ("body: {template: {a: $(type) $(secrets.t?)}}", 1, 34, "undeclared_secret", "no `t` in `secrets`"),
    ('body: {template: {a: "$(id) $(typ) $(data)"}}', 1, 33, "bad_template", "`typ`"),
    ('body: {template: {a: "$$(typ) $(id"}}', 1, 35, "bad_template", "never closed"),
    ("body: {format: form, template: [1]}", 1, 36, "bad_template", "mapping"),
    ("body: {schema: absent.json}", 1, 20, "missing_file", "absent.json"),
    ("allow_networks: [10.1.2.3/16]", 1, 22, "bad_network", "[10.1.0.0/16]"),
    ("allow_networks: ['fe80::1%eth0']", 1, 22, "bad_network", "[fe80::1/128]"),
    ("allow_networks: ['::ffff:10.0.0.0/104']", 1, 22, "bad_network", "[10.0.0.0/8]"),
    ("secrets: [t]\nbody: {template: {a: $(secrets.t)}}", 1, 14, "wrong_type", "a mapping"),
    ("tests: [{event: a, expect: delivered}]", 1, 21, "wrong_type", "a mapping"),
    ("tls: {certificate: {file: me.pem}}", 1, 24, "wrong_type", "write the path alone"),
    ("allow_networks: [example.com]", 1, 22, "bad_network", "not a network"),
    ("tls: {key: {env: K}}", 1, 10, "missing_key", "certificate"),
    ("retry: {permanent: [204]}", 1, 25, "bad_value", "2xx"),
    ("profile: nope", 1, 14, "unknown_profile", "no profile `nope`"),
    ("test_event: {type: a.b, time: yesterday}", 1, 35, "bad_value", "RFC 3339"),
    ("tests: [{event: {type: a.b}}]", 1, 13, "missing_key", "expect"),
]


@pytest.mark.parametrize("row", REFUSED, ids=[it[0][:40] for it in REFUSED])
def test_a_mistake_in_a_webhook_has_its_place_and_code(tmp_path: Path, row: tuple[str, int, int, str, str]) -> None:
    keys, line, column, code, phrase = row
    found = webhook_problem(tmp_path, keys)
    assert [it[:3] for it in found] == [(line, column, code)]
    assert phrase in found[0][3]
    assert HIDDEN not in found[0][3]


def test_a_broken_schema_has_its_own_place(tmp_path: Path) -> None:
    main = 'version: 1\nwebhooks: {w: {url: "https://w", events: [a], body: {schema: bad.json}}}\n'
    (problem,) = problems_of(tmp_path, main=main, **{"bad.json": '{\n  "type": "strin"\n}'})
    assert str(problem.place) == f"{tmp_path}/bad.json:2:11"
    assert problem.code == "bad_schema"


def test_a_repository_without_a_directory_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, main="version: 1\nmanaged_git: true\n")
    assert (problem.code, problem.place.line, problem.place.column) == ("missing_key", 2, 14)
    assert "there is no `managed_dir`" in problem.message
    assert problems_of(tmp_path, main="version: 1\nmanaged_git: false\n") == []


CATALOGUE = "event_types: {user.updated: {}, user.deleted: {}}"


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("user.update", "user.updated"),
        ("usr.*", "user.*"),
        ("hookd.nothing", None),
        ("hookd.webhook.suspend", "hookd.webhook.suspended"),
        ("hookd.x*", None),
        ("users.*", "user.*"),
    ],
)
def test_a_pattern_that_matches_nothing_of_the_catalogue(tmp_path: Path, pattern: str, hint: str | None) -> None:
    found = webhook_problem(tmp_path, f'events: ["{pattern}"]', CATALOGUE)
    assert [(it[0], it[1], it[2]) for it in found] == [(1, 14, "unknown_event_type")]
    if hint is not None:
        assert f"[{hint}]" in found[0][3]


@pytest.mark.parametrize("pattern", ["user.updated", "user.*", "u*", "*", "hookd.*", "hookd.delivery.dead", "hookd.d*"])
def test_a_pattern_that_matches_something(tmp_path: Path, pattern: str) -> None:
    assert webhook_problem(tmp_path, f'events: ["{pattern}"]', CATALOGUE) == []


def test_without_a_catalogue_any_pattern_will_do(tmp_path: Path) -> None:
    assert webhook_problem(tmp_path, 'events: ["usr.*", nothing.like.it]') == []


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    entry = 'webhooks: {w: {url: "https://w", events: [a]}}\nprofiles: {p: {}}\nevent_types: {a: {}}\n'
    main = "version: 1\ninclude: ['*.d/*.yaml']\n"
    found = problems_of(tmp_path, main=main, **{"a.d/one.yaml": entry, "b.d/two.yaml": entry})
    assert [(str(it.place), str(it.also), it.code) for it in found] == [
        (f"{tmp_path}/b.d/two.yaml:{line}:{column}", f"{tmp_path}/a.d/one.yaml:{line}:{column}", "duplicate_id")
        for line, column in ((1, 12), (2, 12), (3, 15))
    ]


@pytest.mark.parametrize(
    ("moved", "line", "phrase"),
    [
        ("[{from: w, to: w}]", 2, "still there"),
        ("[{from: old, to: x}]", 2, "no webhook `x`"),
        ("[{from: old, to: w}, {from: old, to: w}]", 2, "moved twice"),
    ],
)
def test_a_move_goes_from_what_is_gone_to_what_is_there(tmp_path: Path, moved: str, line: int, phrase: str) -> None:
    main = f'version: 1\nmoved: {moved}\nwebhooks: {{w: {{url: "https://w", events: [a]}}}}\n'
    (problem,) = problems_of(tmp_path, main=main)
    assert (problem.place.line, problem.code) == (line, "bad_move")
    assert phrase in problem.message


@pytest.mark.parametrize(
    ("inlets", "code", "phrase"),
    [
        ('[{http: "0.0.0.0:80", tokens: none}]', "bad_value", "loopback"),
        ('[{http: "example.com:80", tokens: none}]', "bad_value", "loopback"),
        ('[{http: "127.0.0.1:99999", tokens: none}]', "bad_value", "HOST:PORT"),
        ('[{http: "127.0.0.1:80"}]', "missing_key", "tokens"),
        ("[{unix: /a.sock}, {unix: /b/../a.sock}]", "duplicate_id", "same address"),
        ("[{unix: /run/hookd/control.sock}]", "duplicate_id", "the control socket has the same address"),
        ('[{http: "localhost:80", tokens: none}, {http: "localhost:80", tokens: [t]}]', "duplicate_id", "same address"),
        (f"[{{unix: /{'a' * 110}}}]", "bad_value", "at most 107 bytes"),
    ],
)
def test_a_mistake_in_an_inlet(tmp_path: Path, inlets: str, code: str, phrase: str) -> None:
    (problem,) = problems_of(tmp_path, main=f"version: 1\ndaemon:\n  inlets: {inlets}\n")
    assert (problem.place.line, problem.code) == (3, code)
    assert phrase in problem.message


def test_a_type_of_hookds_own_is_not_for_the_catalogue(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, main="version: 1\nevent_types: {hookd.x: {}}\n")
    assert problem.place.line == 2


def test_all_problems_of_all_stages_come_at_once(tmp_path: Path) -> None:
    main = """\
    version: 1
    include: [hooks/*.yaml]
    defaults: {timout: 3s}
    webhooks:
      a: {url: "ftp://x", events: [a], timeout: 10}
      b: {profile: nope, events: [a]}
      c: {url: "https://c", events: [a], body: {schema: s.json}}
    moved: [{from: a, to: z}]
    """
    other = 'webhooks:\n  a: {url: "https://a", events: [a, a]}\n'
    found = problems_of(tmp_path, main=main, hooks__o=other, **{"s.json": '{"type": 5}'})
    told = [(it.place.file.removeprefix(f"{tmp_path}/"), it.place.line, it.code) for it in found]
    assert set(told) == {
        ("hookd.yaml", 3, "unknown_key"),
        ("hookd.yaml", 5, "wrong_type"),
        ("hookd.yaml", 5, "bad_url"),
        ("hookd.yaml", 6, "unknown_profile"),
        ("hookd.yaml", 8, "bad_move"),
        ("hooks/o.yaml", 2, "duplicate_id"),
        ("s.json", 1, "bad_schema"),
    }


WRONG_TYPES = [
    "url: [1]", "events: 5", "events: [[a]]", "filter: 5", "secrets: 5", "secrets: {a: [1]}", "body: 5", "headers: 5",
    "headers: {a: 5}", "auth: 5", "auth: {basic: 5}", "sign: 5", "sign: {secrets: 5}", "method: 5", "timeout: 5",
    "retry: 5", "retry: {schedule: 5}", "retry: {schedule: [5]}", "retry: {jitter: x}", "retry: {jitter: 5}",
    "retry: {permanent: [x]}", "rate: 5", "concurrency: x", "concurrency: 0", "concurrency: true", "max_pending: 0",
    "allow_networks: 5", "tls: 5", "test_event: 5", "tests: 5", "tests: [5]", "tenant: 4711", "active: maybe",
    "profile: 5", "name: 5", "suspend_after: 5", "body: {format: xml}", "url: {file: a, env: b}", "url: {}",
    "body: {schema: 5}", "proxy: 5", "http2: 1",
]  # fmt: skip


@pytest.mark.parametrize("keys", WRONG_TYPES)
def test_building_survives_what_the_check_refused_and_does_not_repeat_it(tmp_path: Path, keys: str) -> None:
    found = webhook_problem(tmp_path, keys)
    assert len(found) == 1, found


@pytest.mark.parametrize(
    "main",
    ["webhooks: 5", "webhooks: {w: 5}", "profiles: [1]", "event_types: {a: 5}", "daemon: 5", "daemon: {inlets: 5}",
     "daemon: {inlets: [5]}", "moved: 5", "moved: [5]", "moved: [{from: a}]", "include: 5", "defaults: 5", "- 1"],
)  # fmt: skip
def test_building_survives_any_section_of_a_wrong_type(tmp_path: Path, main: str) -> None:
    prefix = "" if main == "- 1" else "version: 1\n"
    assert problems_of(tmp_path, main=f"{prefix}{main}\n")


def test_addresses() -> None:
    assert parse_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_address("[::1]:0") == ("::1", 0)
    for text in ("", ":80", "a", "a:", "a:x", "a:70000", "::1:80", "[::1]", "[x]:80", "a b:80", "a:\u0663"):
        assert parse_address(text) is None
    assert is_loopback("localhost")
    assert is_loopback("127.9.9.9")
    assert not is_loopback("localhost.example.com")


def test_a_config_is_frozen(tmp_path: Path) -> None:
    config: Config = load_tree(tmp_path, main='version: 1\nwebhooks: {w: {url: "https://w", events: [a]}}\n')
    with pytest.raises(TypeError):
        config.webhooks["x"] = config.webhooks["w"]  # type: ignore[index]
