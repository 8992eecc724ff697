"""`hookd systemd install`: the units of the service, with the paths of this installation.

Rules of this module:

1. What is written is what stands in `systemd/`; only paths and addresses are filled in. What a machine wants otherwise
   belongs into a drop-in (`systemctl edit hookd`), so that an upgrade can write the units again.
2. A file that somebody edited is never overwritten unasked: each file says in its first line what it was when it was
   written. If one was edited, none is written. The config, once there, is the user's alone.
3. It writes files and nothing else: what else is to be done, it says. So it serves images and packages too (`--root`).
4. A unit that cannot work is not written: the service sees neither /home nor /root nor /tmp.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path, PurePath
from typing import Final

import click

from hookd import __version__
from hookd.cli.errors import CliError, ExitCode
from hookd.core.daemonconfig import DaemonConfig, UnixInlet

_UNITS: Final = "etc/systemd/system"
#: What stands in `systemd/`, and where it goes below the root.
_FILES: Final = {
    "hookd.service": f"{_UNITS}/hookd.service",
    "hookd.socket": f"{_UNITS}/hookd.socket",
    "hookd-http.socket": f"{_UNITS}/hookd-http.socket",
    "hookd-control.socket": f"{_UNITS}/hookd-control.socket",
    "hookd.service.d/credentials.conf.example": f"{_UNITS}/hookd.service.d/credentials.conf.example",
    "hookd.service.d/notify-reload.conf.example": f"{_UNITS}/hookd.service.d/notify-reload.conf.example",
    "sysusers.d/hookd.conf": "etc/sysusers.d/hookd.conf",
    "tmpfiles.d/hookd.conf": "etc/tmpfiles.d/hookd.conf",
}
#: What the units say as they stand in `systemd/`.
_CONFIG: Final = "/etc/hookd/hookd.yaml"
_PROGRAM: Final = re.compile(r"(?<= )hookd(?= (?:run|reload) )")
_HTTP: Final = "ListenStream=127.0.0.1:8480"
#: Where the sockets stand; hookd makes that of its control API there.
_RUN: Final = PurePath("/run/hookd")
#: What a path in a unit cannot hold without being quoted, or means something else there (systemd.unit(5)).
_ODD: Final = re.compile(r"[^A-Za-z0-9._/@:+,=~-]")
#: Where the service's sandbox shows nothing (ProtectHome=, PrivateTmp=).
_UNSEEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  names, nothing is made there
_STAMP: Final = re.compile(r"# written by hookd \S+, sha256 ([0-9a-f]{64}); [^\n]*\n")

#: What the service starts with when there is no config yet.
_FIRST_CONFIG: Final = """\
version: 1

# daemon:                                  # read at start; these are the defaults, and what the units expect
#   state_dir: /var/lib/hookd
#   inlets: [{unix: /run/hookd/events.sock}]
#   control: {unix: /run/hookd/control.sock}

# include: [webhooks.d/**/*.yaml]          # more files with event_types, profiles and webhooks

webhooks: {}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A file to write: its place below the root, its text, and how it stands there now."""

    path: Path
    text: str
    state: str  # new, unchanged, updated, edited, kept


@click.group("systemd")
def systemd_command() -> None:
    """Install hookd as a systemd service."""


@systemd_command.command("install")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/",
    show_default=True,
    metavar="DIR",
    help="Write below this directory: for an image, or a package.",
)
@click.option(
    "--config", "config", default=_CONFIG, show_default=True, metavar="FILE", help="The config file of the service."
)
@click.option("--hookd", "program", metavar="FILE", help="The hookd to run; without it, the one that you are running.")
@click.option("--force", is_flag=True, help="Overwrite units that somebody edited.")
@click.option("--dry-run", is_flag=True, help="Write nothing: print what would be written.")
def install_command(*, root: Path, config: str, program: str | None, force: bool, dry_run: bool) -> None:
    """Write hookd's systemd units, with this installation's paths and its config's sockets, and say what to do next.

    Also its user and group (sysusers.d), the directory of its sockets (tmpfiles.d), and a first config if there is
    none. A unit that was edited is left alone, and then none is written; --force overwrites it. After an upgrade of
    hookd, or a change of its sockets: run it again.
    """
    program = program or _find_program()
    _check_path(program, "--hookd")
    _check_path(config, "--config")
    if not root.is_dir():
        raise CliError(f"--root {root}: there is no such directory", ExitCode.USAGE)
    planned = [
        *(_plan(root / target, _fill(name, root, config, program)) for name, target in _FILES.items()),
        _plan_config(root / config.lstrip("/")),
    ]
    if dry_run:
        for each in planned:
            print(f"# ==> {each.path} ({each.state})")
            if each.state != "kept":
                print(each.text)
        return
    edited = [str(each.path) for each in planned if each.state == "edited"]
    if edited and not force:
        raise CliError(
            f"edited since hookd wrote it, so nothing is written: {', '.join(edited)}. Move the change into a drop-in "
            "(systemctl edit hookd), or overwrite it with --force",
            ExitCode.NOT_SO,
        )
    for each in planned:
        if each.state not in {"unchanged", "kept"}:
            _write(each)
        print(f"{each.state.ljust(9)}  {each.path}")
    _tell_next(root, config, program, again=any(each.state in {"updated", "edited"} for each in planned))


def _find_program() -> str:
    """Give the path of the hookd that runs: in its virtual environment, where it finds what it needs."""
    here = Path(sys.executable).parent / "hookd"
    program = here if here.is_file() else Path(sys.argv[0]).absolute()
    for path in (str(program), os.path.realpath(sys.executable)):
        if path.startswith(tuple(f"{place}/" for place in _UNSEEN)):
            raise CliError(
                f"{path} is where the service sees nothing ({', '.join(_UNSEEN)}). Install hookd with a Python of the "
                "system, e.g. python3 -m venv /opt/hookd, and run /opt/hookd/bin/hookd systemd install; or name the "
                "one to run with --hookd",
                ExitCode.NOT_SO,
            )
    return str(program)


def _check_path(path: str, option: str) -> None:
    if not path.startswith("/"):
        raise CliError(f"{option} {path}: a unit needs the whole path, beginning with /", ExitCode.USAGE)
    odd = _ODD.search(path)
    if odd is not None:
        raise CliError(f"{option}: {odd[0]!r} cannot stand in a path of a unit", ExitCode.USAGE)
    if path.startswith(tuple(f"{place}/" for place in _UNSEEN)):
        raise CliError(f"{option} {path}: the service sees nothing below {', '.join(_UNSEEN)}", ExitCode.USAGE)


# --------------------------------------------------------------------------- what is written


def _fill(name: str, root: Path, config: str, program: str) -> str:
    """Give a unit with the paths filled in, and its stamp."""
    text = _PROGRAM.sub(program, _read_source(name)).replace(_CONFIG, config)
    sockets = _find_sockets(root, config)
    for written, actual in sockets.items():
        text = text.replace(written, actual)
    text = text.replace(_HTTP, "\n".join(f"ListenStream={each}" for each in _find_http(root, config)) or _HTTP)
    control = DaemonConfig().control.unix
    folder = PurePath(sockets.get(control, control)).parent
    text = text.replace(f"ReadWritePaths=-{_RUN}", f"ReadWritePaths=-{folder}")
    if folder.parent == _RUN.parent:  # another one is somebody else's, and not hookd's to own
        text = text.replace(f"d {_RUN} ", f"d {folder} ")
    digest = hashlib.sha256(text.encode()).hexdigest()
    advice = "to change it: systemctl edit" if name.endswith((".service", ".socket")) else "an upgrade writes it again"
    return f"# written by hookd {__version__}, sha256 {digest}; {advice}\n{text}"


def _read_source(name: str) -> str:
    from hookd.config.resources import resource

    try:
        return resource(f"units/{name}").decode()  # beside the code, in the wheel
    except FileNotFoundError:
        return resource(f"systemd/{name}").decode()  # at the top of the checkout


def _find_sockets(root: Path, config: str) -> dict[str, str]:
    """Give where the config has its sockets, by where the units have them."""
    from hookd.cli.places import find_control, find_inlet

    default = DaemonConfig()
    path = root / config.lstrip("/")
    if not path.is_file():
        return {}
    inlet = default.inlets[0]
    sockets = {default.control.unix: find_control(None, path)}
    if isinstance(inlet, UnixInlet):
        try:
            sockets[inlet.path] = find_inlet(None, path)
        except CliError as error:
            if error.code is not ExitCode.USAGE:  # it has no Unix inlet: then the unit is of no use, and stays as it is
                raise
    prefix = str(root).rstrip("/")
    return {written: actual.removeprefix(prefix) for written, actual in sockets.items()}


def _find_http(root: Path, config: str) -> list[str]:
    """Give where the config takes events over HTTP, as systemd writes addresses: it knows no names."""
    from hookd.cli.places import find_http_inlets

    path = root / config.lstrip("/")
    found = []
    for host, port in find_http_inlets(path) if path.is_file() else ():
        try:
            address = ip_address("127.0.0.1" if host == "localhost" else host)
        except ValueError:
            continue  # hookd itself opens what has a name
        found.append(f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}")
    return found


def _plan(path: Path, text: str) -> _Planned:
    try:
        there = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return _Planned(path=path, text=text, state="new")
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", ExitCode.NOT_ALLOWED) from None
    if there == text:
        return _Planned(path=path, text=text, state="unchanged")
    stamp = _STAMP.match(there)
    ours = stamp is not None and hashlib.sha256(there[stamp.end() :].encode()).hexdigest() == stamp[1]
    return _Planned(path=path, text=text, state="updated" if ours else "edited")


def _plan_config(path: Path) -> _Planned:
    return _Planned(path=path, text=_FIRST_CONFIG, state="kept" if os.path.lexists(path) else "new")


def _write(planned: _Planned) -> None:
    """Write a file whole or not at all, for everybody to read."""
    path = planned.path
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        part.write_text(planned.text, encoding="utf-8")
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True) if path.parent.is_dir() else None
        raise CliError(
            f"cannot write {path}: {error.strerror}; run it as root, or below another --root", ExitCode.NOT_ALLOWED
        ) from None


# --------------------------------------------------------------------------- what to do then


def _tell_next(root: Path, config: str, program: str, *, again: bool) -> None:
    if str(root) != "/":
        steps = [
            (f"systemd-sysusers --root={root}", "the user hookd, the group hookd-events"),
            (f"systemctl --root={root} enable hookd.socket hookd.service", "start with the machine"),
        ]
    elif again:
        steps = [
            ("systemctl daemon-reload", ""),
            ("systemctl restart hookd", "events that are sent meanwhile wait in the socket"),
        ]
    else:
        steps = [
            ("systemd-sysusers", "the user hookd, the group hookd-events"),
            (
                f"systemd-tmpfiles --create {Path('/') / _FILES['tmpfiles.d/hookd.conf']}",
                "the directory of the sockets",
            ),
            (f"{program} check --config {config}", "your webhooks; edit it first"),
            ("systemctl daemon-reload", ""),
            ("systemctl enable --now hookd.socket hookd.service", "and at every boot"),
            ("usermod --append --groups hookd-events USER", "who may send events"),
        ]
    width = max(len(step) for step, _ in steps)
    print("Next:")
    for step, text in steps:
        print(f"  {step.ljust(width)}  # {text}" if text else f"  {step}")
