"""`hookd diff`: what a reload would change, before it does: definitions key by key, and what becomes of the backlog.

Rules of this module:

1. The daemon gives what runs, and this verb reads the disk: it compares, and the daemon's secrets stay where they are.
   What is masked is compared by marks under a key made for this one comparison.
2. Only webhooks whose digests differ are asked for, so that ten thousand cost no more than those that change.
3. Two answers of the daemon are of one config, or all is asked again.
4. Exit code 78: the files do not make a config, as a reload would say; 1, with --exit-code: there are changes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hookd.cli.client import ControlClient
from hookd.cli.diff_output import describe_difference, print_difference
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.loading import is_typed, load_files, refuse_config
from hookd.cli.output import print_json
from hookd.cli.places import control_options, find_config, find_control, output_option
from hookd.config.comparing.compare import Described, compare, describe_config
from hookd.config.comparing.effects import Standing, tell_effects
from hookd.config.comparing.placed import Placing, load_placed
from hookd.config.problems import ConfigInvalid
from hookd.config.reload.guard import find_gone, judge_mass_removal
from hookd.core.definition import keyed_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.cli.diff_output import Sides
    from hookd.config.comparing.compare import Difference
    from hookd.config.comparing.effects import Effect
    from hookd.core.config import Config

#: Definitions that are asked for at once, and how often all is asked again when the config changes meanwhile.
_PAGE: Final = 500
_TRIES: Final = 3
#: As many bytes as blake2b's digest has: nobody guesses the key, and it is used once.
_KEY_BYTES: Final = 32


@click.command("diff")
@click.option(
    "--from", "revision", metavar="REV", help="Compare a git revision with the files on disk; asks no daemon."
)
@click.option("--exit-code", "exit_code", is_flag=True, help="End with exit code 1 if there are changes.")
@control_options
@output_option
def diff_command(
    *, revision: str | None, exit_code: bool, control: str | None, config: Path | None, output: str
) -> int:
    """Show what the files on disk would change of what runs: a reload, before it happens.

    Webhooks added, removed and changed key by key (with defaults and profiles merged in), event types, what needs a
    restart, what becomes of the deliveries that are pending, and whether a reload would be refused since it takes too
    much away. Secrets are masked; that one differs is told. The files are those that the daemon reads, unless --config
    names others: a checkout of what is to come, say, which is compared as if it stood in their place.

    With --from REV a git revision (HEAD, main, v1.2) is compared with the files on disk, offline.

    Exit code 78: the files do not make a config. With --exit-code, 1: there are changes.
    """
    if revision is not None and control is not None and is_typed("control"):
        raise CliError("--from compares files: it asks no daemon, so --control does not go with it", ExitCode.USAGE)
    effects: list[Effect] = []
    warning: str | None = None
    if revision is not None:
        sides, difference = _compare_revision(find_config(config), revision)
    else:
        client = ControlClient(find_control(control, config))
        try:
            compared = _compare_running(client, config)
        except CliError as error:
            if error.code is not ExitCode.NO_DAEMON:
                raise
            # A tree that is not the daemon's own may name a socket that is nowhere yet.
            named = control is not None or config is None
            other = (
                "--from REV compares with git"
                if named
                else "name the socket of the daemon to compare with by --control"
            )
            raise CliError(f"{error}; {other}", error.code) from None
        sides, difference = compared.sides, compared.difference
        if not difference.empty:
            standing = _read_standing(client)
            effects, warning = tell_effects(difference, standing), _foretell_refusal(compared, standing)
    if output == "json":
        print_json(describe_difference(sides, difference, effects, warning))
    else:
        print_difference(sides, difference, effects, warning)
    return ExitCode.NOT_SO if exit_code and not difference.empty else ExitCode.FINE


# --------------------------------------------------------------------------- git against the disk


def _compare_revision(main: Path, revision: str) -> tuple[Sides, Difference]:
    from hookd.config.comparing.committed import NotInGit, load_committed

    new = load_files(main).config
    try:
        old = load_committed(main, revision).config
    except NotInGit as not_there:
        raise CliError(str(not_there), ExitCode.NOT_SO) from None
    except ConfigInvalid as invalid:
        refuse_config(invalid, f"{main} at {revision}")
    mask = keyed_mask(secrets.token_bytes(_KEY_BYTES))
    described = describe_config(old, mask), describe_config(new, mask)
    sides: Sides = {
        "old": f"{main} at {revision}",
        "new": str(main),
        "revisions": (str(old.revision), str(new.revision)),
    }
    return sides, compare(*described)


# --------------------------------------------------------------------------- the disk against what runs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What the daemon says of what runs, what the files make, where these lie, and what differs."""

    sides: Sides
    difference: Difference
    running: Mapping[str, Any]
    disk: Config
    placing: Placing


def _compare_running(client: ControlClient, named: Path | None) -> _Compared:
    key = secrets.token_bytes(_KEY_BYTES)
    running = client.get("/v1/definitions", key=key.hex())
    main = _choose_main(named, running["main"])
    placing = _place(main, running["main"])
    config = _load_placed(main, placing)
    disk = describe_config(config, keyed_mask(key))
    for _ in range(_TRIES):
        described = _ask_for_changed(client, running, disk, key)
        if described is not None:
            break
        running = client.get("/v1/definitions", key=key.hex())
    else:
        raise CliError("the running config kept changing while it was read: try again", ExitCode.TRY_AGAIN)
    sides: Sides = {"old": "what runs", "new": str(main), "revisions": (described.revision, disk.revision)}
    if running["main"] is not None and str(main) != running["main"]:
        sides["note"] = f"the daemon itself reads {running['main']}; {main} is compared as if it stood there"
    difference = compare(described, disk)
    return _Compared(sides=sides, difference=difference, running=running, disk=config, placing=placing)


def _choose_main(named: Path | None, of_daemon: str | None) -> Path:
    """Give the main file to compare with: the one that is named, or else the daemon's own, under the daemon's name."""
    if of_daemon is not None and (named is None or _real(named) == _real(Path(of_daemon))):
        return Path(of_daemon)
    if named is None:
        raise CliError("this daemon's config stands in no file: name one with --config", ExitCode.USAGE)
    return named


def _place(main: Path, of_daemon: str | None) -> Placing:
    """Give where the files are taken to stand: in the place of the daemon's, wherever they lie.

    So a checkout of what is to come can be held against what runs, though their relative paths lead elsewhere.
    """
    here = main.absolute()
    there = here if of_daemon is None else Path(of_daemon)
    return Placing(main=here, top=str(here.parent), as_main=there, as_top=str(there.parent))


def _load_placed(main: Path, placing: Placing) -> Config:
    """Load what is compared."""
    loaded = load_files(main)  # under their own names, which is where a person would mend them
    if placing.main == placing.as_main:
        return loaded.config
    try:
        return load_placed(placing, None).config
    except ConfigInvalid as invalid:
        refuse_config(invalid, str(main))


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
        return path


def _ask_for_changed(
    client: ControlClient, running: Mapping[str, Any], disk: Described, key: bytes
) -> Described | None:
    """Give what runs, with the definitions that differ from the disk's; None: another config runs by now."""
    digests: dict[str, str] = running["digests"]
    sources = {target: source for source, target in disk.moved.items()}
    names = {
        source
        for name, digest in disk.digests.items()
        for source in (name, sources.get(name, name))
        if digests.get(source, digest) != digest
    }
    wanted = sorted(names)
    webhooks: dict[str, Mapping[str, object]] = {}
    for start in range(0, len(wanted), _PAGE):
        page = client.post("/v1/definitions", {"webhooks": wanted[start : start + _PAGE], "key": key.hex()})
        if page["revision"] != running["revision"]:
            return None
        webhooks.update({name: each["definition"] for name, each in page["webhooks"].items()})
    return Described(
        revision=running["revision"],
        daemon=running["daemon"],
        event_types=running["event_types"],
        moved=running["moved"],
        digests=digests,
        webhooks=webhooks,
    )


def _read_standing(client: ControlClient) -> dict[str, Standing]:
    return {
        row["webhook"]: Standing(
            pending=row["pending"],
            held=row["held"],
            dead=row["dead"],
            suspended=row["suspended_at"] is not None,
        )
        for row in client.get("/v1/status")["backlog"]
    }


def _foretell_refusal(compared: _Compared, standing: Mapping[str, Standing]) -> str | None:
    """Say that a reload would refuse what takes so much away, by the rules of `config.reload.guard`."""
    removed, disk, lies_at = compared.difference.removed, compared.disk, compared.placing.lies_at
    main, managed_dir = str(compared.placing.as_main), compared.running.get("managed_dir")
    # `get`: the daemon may be an older one than this program.
    files = {name: file for file, names in compared.running.get("files", {}).items() for name in names}
    lost = {name: lies_at(files[name]) for name in removed if name in files}
    problem = find_gone(lost, None if managed_dir is None else lies_at(managed_dir), disk, main)
    if problem is None:
        owed = compared.running["digests"].keys() & {name for name, each in standing.items() if each.pending}
        problem = judge_mass_removal(owed & set(removed), len(owed), main, none_left=not disk.webhooks)
    return None if problem is None else f"a reload would be refused: {problem.message}"
