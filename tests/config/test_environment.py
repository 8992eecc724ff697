"""`check --environment`: what this machine lacks for a config, at the place that asks for it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
import trustme

from hookd.config.checking.environment import check_environment
from hookd.config.load import load
from tests.config.trees import SIGNING, write_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.problems import Problem

DAEMON = "daemon: {state_dir: state, inlets: [{unix: events.sock}], control: {unix: control.sock}}\n"
WEBHOOK = "webhooks:\n  crm:\n    url: https://crm.example.com/\n    events: ['*']\n    "


def problems_of(
    top: Path,
    main: str,
    *,
    credentials: str | None = None,
    environ: Mapping[str, str] | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[Problem]:
    """Write a tree whose files are our own alone, and give what its machine lacks."""
    path = write_tree(top, main=f"version: 1\n{main}", **files)
    for name in files:
        (top / name).chmod(0o600)
    loaded = load(path)
    return check_environment(loaded.config, loaded.snapshot, credentials, environ or {})


def tell(problems: list[Problem], top: Path) -> list[str]:
    return [f"{it.place} {it.severity} [{it.code}] {it.message}".replace(f"{top}/", "") for it in problems]


def test_a_machine_that_has_everything_lacks_nothing(tmp_path: Path) -> None:
    keys = (
        "auth: {bearer: {file: a.secret}}\n    headers: {X-Key: {env: KEY}}\n    secrets: {t: {credential: token}}\n"
        "    sign: {secrets: [{file: sign.secret}]}\n"
    )
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "token").write_text("t0ken\n")
    found = problems_of(
        tmp_path,
        DAEMON + WEBHOOK + keys,
        credentials=str(tmp_path / "credentials"),
        environ={"KEY": "k"},
        files={"a.secret": "abc\n", "sign.secret": f"{SIGNING}\n"},
    )
    assert found == []


CASES: list[tuple[str, str, dict[str, str], list[str]]] = [
    (
        "files that are not there",
        "sign: {secrets: [{file: new}, {file: old}]}\n",
        {},
        [
            "hookd.yaml:7:22 error [secret_unreadable] file new cannot be read: No such file or directory",
            "hookd.yaml:7:35 error [secret_unreadable] file old cannot be read: No such file or directory",
        ],
    ),
    (
        "a file that is empty",
        "auth: {basic: {username: u, password: {file: a.secret}}}\n",
        {"a.secret": "\n"},
        ["hookd.yaml:7:43 error [secret_unreadable] file a.secret is empty"],
    ),
    (
        "a variable that is not set",
        "secrets: {token: {env: NEVER_SET}}\n",
        {},
        ["hookd.yaml:7:22 error [secret_unreadable] environment variable NEVER_SET is not set"],
    ),
    (
        "a credential, outside of the unit",
        "auth: {bearer: {credential: crm}}\n",
        {},
        ["hookd.yaml:7:20 warning [secret_unchecked] the credential crm is given to hookd's unit by systemd, and"],
    ),
    (
        "a signing secret of another shape",
        "sign: {secrets: [{file: a.secret}]}\n",
        {"a.secret": "hunter2\n"},
        ["hookd.yaml:7:22 error [bad_secret] what file a.secret holds: a signing secret begins with `whsec_`"],
    ),
    (
        "a token that cannot be sent",
        "auth: {bearer: {file: a.secret}}\n",
        {"a.secret": "hunter2\nhunter3\n"},
        ["hookd.yaml:7:20 error [bad_secret] what file a.secret holds: it has a character that cannot be sent"],
    ),
    (
        "a proxy that is none",
        "proxy: {file: a.secret}\n",
        {"a.secret": "proxy.hunter2.example:3128\n"},
        ["hookd.yaml:7:12 error [bad_url] what file a.secret holds: a proxy's URL must begin with http:// or"],
    ),
    (
        "trusted certificates that are none",
        "tls: {ca: ca.pem}\n",
        {"ca.pem": "hunter2\n"},
        ["hookd.yaml:7:15 error [bad_tls] the trusted certificates in ca.pem cannot be used: no certificate"],
    ),
    (
        "a certificate that is not there",
        "tls: {certificate: me.pem, key: {env: NEVER_SET}}\n",
        {},
        [
            "hookd.yaml:7:37 error [secret_unreadable] environment variable NEVER_SET is not set",
            "hookd.yaml:7:24 error [bad_tls] the certificate me.pem cannot be used: no such file or directory",
        ],
    ),
]


@pytest.mark.parametrize(("keys", "files", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_missing_is_told_where_it_is_asked_for(
    tmp_path: Path, keys: str, files: dict[str, str], expected: list[str]
) -> None:
    told = tell(problems_of(tmp_path, DAEMON + WEBHOOK + keys, files=files), tmp_path)
    assert len(told) == len(expected)
    for line, beginning in zip(told, expected, strict=True):
        assert line.startswith(beginning)
    assert "hunter" not in "".join(told)


def test_a_secret_of_a_profile_is_told_once(tmp_path: Path) -> None:
    main = (
        "profiles: {p: {auth: {bearer: {file: gone}}}}\nwebhooks:\n"
        "  a: {profile: p, url: 'https://a.example/', events: ['*']}\n"
        "  b: {profile: p, url: 'https://b.example/', events: ['*']}\n"
    )
    assert len(problems_of(tmp_path, DAEMON + main)) == 1


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o644, "every user of this machine can read {} (mode 0644): chmod o-rwx"),
        (0o666, "every user of this machine can read {} (mode 0666): chmod g-w,o-rwx"),
        (0o620, "others than its owner can write {} (mode 0620): chmod go-w"),
        (0o640, None),
    ],
)
def test_a_secret_that_others_can_reach_is_a_warning(tmp_path: Path, mode: int, words: str | None) -> None:
    main = write_tree(tmp_path, main=f"version: 1\n{DAEMON}{WEBHOOK}auth: {{bearer: {{file: a}}}}\n", a="x").parent
    (tmp_path / "a.yaml").rename(tmp_path / "a")
    (tmp_path / "a").chmod(mode)
    loaded = load(main / "hookd.yaml")
    found = check_environment(loaded.config, loaded.snapshot, None, {})
    assert [(it.code, it.severity) for it in found] == ([("secret_exposed", "warning")] if words else [])
    assert [it.message for it in found if words] == ([words.format(tmp_path / "a")] if words else [])


def test_a_certificate_and_its_key_are_tried_together(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    one.cert_chain_pems[0].write_to_path(str(tmp_path / "one.pem"))
    (tmp_path / "one.key").write_bytes(one.private_key_pem.bytes())
    (tmp_path / "other.key").write_bytes(other.private_key_pem.bytes())
    for key in ("one.key", "other.key"):
        (tmp_path / key).chmod(0o600)
    tls = "tls: {certificate: one.pem, key: {file: %s}}\n"
    assert problems_of(tmp_path, DAEMON + WEBHOOK + tls % "one.key") == []
    (problem,) = problems_of(tmp_path, DAEMON + WEBHOOK + tls % "other.key")
    assert problem.code == "bad_tls"
    assert (problem.place.line, problem.place.column) == (7, 24)
    assert "key values mismatch" in problem.message
    literal = one.private_key_pem.bytes().decode().replace("\n", "\\n")
    assert problems_of(tmp_path, DAEMON + WEBHOOK + f'tls: {{certificate: one.pem, key: "{literal}"}}\n') == []


NO_SOCKET = "a socket cannot be made here:"


def test_directories_and_accounts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    main = """
daemon:
  state_dir: not/there
  inlets:
    - {unix: file/events.sock, allow: {users: [rooot, "0"], groups: [root]}}
    - {unix: u/u/events.sock, allow: [{users: [root]}, {groups: [no-such-group]}]}
    - {unix: made/events.sock}
  control: {unix: control.sock}
"""
    told = tell(problems_of(tmp_path, main), tmp_path)
    assert [line.replace("root", "USER") for line in told] == [
        line.replace("root", "USER")
        for line in [
            "hookd.yaml:4:14 error [not_writable] not/there is not there, and cannot be made by root",
            f"hookd.yaml:6:14 error [not_writable] {NO_SOCKET} file is not a directory",
            f"hookd.yaml:7:14 error [not_writable] {NO_SOCKET} u/u is not there, and cannot be made by root",
            "hookd.yaml:6:48 error [unknown_account] there is no user `rooot` on this machine",
            "hookd.yaml:7:66 error [unknown_account] there is no group `no-such-group` on this machine",
        ]
    ]


@pytest.mark.parametrize(
    ("managed_dir", "said"),
    [
        ("managed", None),
        ("managed/by/tenants", None),  # made with what is above it
        ("file", "file is not a directory"),
        ("file/managed", "file/managed is not there, and cannot be made by USER"),
        ("file/of/tenants", "file/of is not there, and cannot be made by USER"),
    ],
)
def test_where_managed_webhooks_are_written(tmp_path: Path, managed_dir: str, said: str | None) -> None:
    (tmp_path / "file").write_text("")
    main = f"{DAEMON}{WEBHOOK}\nmanaged_dir: {managed_dir}\n"
    line = f"version: 1\n{main}".splitlines().index(f"managed_dir: {managed_dir}") + 1
    user = pwd.getpwuid(os.geteuid()).pw_name
    told = [each.replace(f"by {user}", "by USER") for each in tell(problems_of(tmp_path, main), tmp_path)]
    assert told == ([f"hookd.yaml:{line}:14 error [not_writable] {said}"] if said else [])


AS_NOBODY = """
import os, sys, trio, hookd.config.checking.environment, hookd.config.load
from pathlib import Path
loaded = hookd.config.load.load(Path(sys.argv[1]))
os.setgid(65534), os.setgroups([]), os.setuid(65534)
for problem in hookd.config.checking.environment.check_environment(loaded.config, loaded.snapshot, None, {}):
    print(problem.code, problem.message)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_judges_for_the_user_that_runs_it() -> None:
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        main = write_tree(top, main=f"version: 1\n{DAEMON}{WEBHOOK}auth: {{bearer: {{file: key.secret}}}}\n")
        secret = top / "key.secret"
        secret.write_text("x")
        secret.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(main)], capture_output=True, text=True, timeout=60, check=False
        )
        told = done.stdout.splitlines()
        assert f"secret_unreadable file {secret} cannot be read: Permission denied" in told, done.stderr
        assert f"not_writable {top}/state is not there, and cannot be made by nobody" in told
        assert f"not_writable a socket cannot be made here: {top} is not writable for nobody" in told
