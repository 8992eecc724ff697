"""Where the config and the daemon's sockets are, and the options that say so.

Rules of this module:

1. A socket is named by an option, by the environment, or by the config file; without a file it is the default one.
2. Only the names are taken from the config: a client never judges it, since the daemon that runs may know better. So
   a file that somebody is just breaking must still lead to its daemon, and `status` can tell what is wrong with it.
3. A state directory is never guessed: a copy of the wrong store, or a store put into the wrong place, looks like
   success. Without a config that says it, it is named.
4. A file whose `daemon:` section cannot be read leads nowhere. To go on to the default socket would be to ask, or to
   redrive, somebody else's daemon.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hookd.cli.errors import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_CONFIGS: Final = (Path("hookd.yaml"), Path("/etc/hookd/hookd.yaml"))
_NO_CONFIG: Final = "there is no ./hookd.yaml and no /etc/hookd/hookd.yaml"


def control_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a verb that needs the daemon."""
    command = click.option("--control", metavar="PATH", envvar="HOOKD_CONTROL", help="The daemon's control socket.")(
        command
    )
    return config_option(command)


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config`."""
    return click.option(
        "--config",
        "config",
        metavar="FILE",
        envvar="HOOKD_CONFIG",
        type=click.Path(path_type=Path),
        help="The main config file. Without it: ./hookd.yaml, else /etc/hookd/hookd.yaml.",
    )(command)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--output`."""
    return click.option(
        "--output",
        type=click.Choice(["human", "json"]),
        default="human",
        show_default=True,
        help="For people, or for programs.",
    )(command)


def find_config(named: Path | None) -> Path:
    """Give the main config file: the one named, else the default one that exists; two need a word."""
    found = _look_for_config(named)
    if found is None:
        raise CliError(f"{_NO_CONFIG}: name one with --config, or write one with 'hookd init'", ExitCode.BAD_CONFIG)
    return found


def find_control(control: str | None, config: Path | None) -> str:
    """Give the path of the control socket."""
    if control is not None:
        return control
    section = _read_daemon_section(config, "--control")
    if section is not None:
        named = section[0].get("control")
        if isinstance(named, dict) and isinstance(named.get("unix"), str):
            return str(section[1].absolute().parent / named["unix"])
    from hookd.core.daemonconfig import DaemonConfig

    return DaemonConfig().control.unix


def find_inlet(socket: str | None, config: Path | None) -> str:
    """Give the path of the event socket: the first Unix inlet of the config, else the default."""
    if socket is not None:
        return socket
    section = _read_daemon_section(config, "--socket")
    if section is not None:
        inlets = section[0].get("inlets")
        for inlet in inlets if isinstance(inlets, list) else []:
            if isinstance(inlet, dict) and isinstance(inlet.get("unix"), str):
                return str(section[1].absolute().parent / inlet["unix"])
        if inlets:
            raise CliError(f"{section[1]} has no Unix inlet: name a socket with --socket", ExitCode.USAGE)
    from hookd.core.daemonconfig import DaemonConfig, UnixInlet

    default = DaemonConfig().inlets[0]
    return default.path if isinstance(default, UnixInlet) else ""


def find_http_inlets(config: Path | None) -> list[tuple[str, int]]:
    """Give hosts and ports of the config's HTTP inlets, without those whose port the kernel is to choose."""
    from hookd.config.building.daemonsection import parse_address

    section = _read_daemon_section(config, "--config")
    inlets = [] if section is None else section[0].get("inlets")
    named = [inlet.get("http") for inlet in inlets if isinstance(inlet, dict)] if isinstance(inlets, list) else []
    found = [parse_address(text) for text in named if isinstance(text, str)]
    return [address for address in found if address is not None and address[1]]


def find_state_dir(state_dir: Path | None, config: Path | None) -> Path:
    """Give the state directory: the one named, else that of the config, which may be the default."""
    from hookd.core.daemonconfig import DaemonConfig

    if state_dir is not None:
        return state_dir
    section = _read_daemon_section(config, "--state-dir")
    if section is None:
        message = f"{_NO_CONFIG}, so nothing says where the store is: name a config with --config, or the directory, as"
        raise CliError(f"{message} in --state-dir {DaemonConfig().state_dir}", ExitCode.BAD_CONFIG)
    if isinstance(section[0].get("state_dir"), str):
        return section[1].absolute().parent / str(section[0]["state_dir"])
    return Path(DaemonConfig().state_dir)


def find_managed_dir(state_dir: Path, config: Path | None) -> Path | None:
    """Give the managed directory of the config whose state directory this is; None if it names none."""
    from hookd.config.salvage import find_managed_dir as read_managed_dir

    path = _look_for_config(config)
    if path is None or os.path.realpath(find_state_dir(None, path)) != os.path.realpath(state_dir):
        return None
    return read_managed_dir(path)


def _look_for_config(named: Path | None) -> Path | None:
    if named is not None:
        return named
    there = [path for path in DEFAULT_CONFIGS if os.path.exists(path)]  # noqa: PTH110  Path.exists raises if forbidden
    if len(there) > 1:
        raise CliError(f"both {there[0]} and {there[1]} exist: say which with --config", ExitCode.USAGE)
    return there[0] if there else None


def _read_daemon_section(named: Path | None, option: str) -> tuple[dict[str, Any], Path] | None:
    """Give the `daemon:` mapping of the config file and the file; None if there is no file."""
    from hookd.config.problems import ConfigInvalid
    from hookd.config.reload.broken import cut_daemon_section
    from hookd.config.text.strictyaml import parse_yaml

    path = _look_for_config(named)
    if path is None:
        return None
    try:
        text = path.read_bytes()
    except IsADirectoryError as error:
        from hookd.cli.reports import tell
        from hookd.config.listing import tell_unreadable

        raise CliError(tell(tell_unreadable(str(path), error, None)), ExitCode.BAD_CONFIG) from None
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; name the socket with {option}"
        raise CliError(message, ExitCode.BAD_CONFIG) from None
    try:
        value = parse_yaml(text, str(path)).value
    except ConfigInvalid as invalid:
        try:
            value = parse_yaml(cut_daemon_section(text), str(path)).value
        except ConfigInvalid:
            value = None
        if not (isinstance(value, dict) and "daemon" in value):
            message = f"{invalid.problems[0]}; so it cannot say where its daemon is: name the socket with {option}"
            raise CliError(message, ExitCode.BAD_CONFIG) from None
    daemon = value.get("daemon") if isinstance(value, dict) else None
    return (daemon if isinstance(daemon, dict) else {}), path
