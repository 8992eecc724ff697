"""`hookd backup` and `hookd restore`: a copy of the store, and the store from a copy.

Rule: both work on the state directory and ask no daemon, so whoever may read it can make a backup, to wherever that
user may write, whether a daemon runs or not; and what a hardened service may not write is nobody's trouble.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json
from hookd.cli.places import config_option, find_managed_dir, find_state_dir, output_option
from hookd.core.daemonconfig import SECRETS_FOLDER
from hookd.store.base import StoreLocked, StoreUnusable
from hookd.store.copying import Copied, back_up, read_copy, restore

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE_DIR = click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    help="The state directory, where the config does not say it.",
)


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@_STATE_DIR
@config_option
@output_option
def backup_command(file: Path, state_dir: Path | None, config: Path | None, output: str) -> None:
    """Copy the store to FILE, consistent and fsynced, while the daemon runs or not.

    With it go the webhooks that were defined through the API (`managed_dir`) and their signing secrets. Your own config
    and the secrets that it names do not. An older backup of that name is replaced when the new one is whole. FILE holds
    payloads and secrets and is readable for you alone. Run it as the daemon's user or as root.
    """
    directory = find_state_dir(state_dir, config)
    _expect_entry(directory)
    try:
        copied = back_up(directory, file, find_managed_dir(directory, config))
    except StoreUnusable as unusable:
        raise CliError(str(unusable), ExitCode.NOT_SO) from None
    if output == "json":
        print_json({"file": str(file.absolute()), "state_dir": str(directory), **asdict(copied)})
    else:
        print(f"{directory} is copied to {file}: {_describe(copied)}")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@_STATE_DIR
@config_option
@output_option
def restore_command(file: Path, state_dir: Path | None, config: Path | None, output: str) -> None:
    """Put a backup in the place of the store. The daemon must be stopped.

    What stood there is kept beside it. What was delivered since the backup was made may be delivered again, under the
    same `webhook-id`; what came in since is gone. Signing secrets that hookd made are put back where they are missing,
    and webhooks that were defined through the API where the config's `managed_dir` has none. Those name their secrets
    by whole paths: in another state directory than that of the backup, the ones to be mended are told.
    """
    directory = find_state_dir(state_dir, config)
    try:
        managed = find_managed_dir(directory, config)
        restored = restore(file, directory, managed)
        copied = read_copy(file)
    except StoreLocked as locked:
        raise CliError(f"{locked}: stop it first", ExitCode.TRY_AGAIN) from None
    except StoreUnusable as unusable:
        raise CliError(str(unusable), ExitCode.NOT_SO) from None
    place = directory.absolute() / SECRETS_FOLDER
    elsewhere = [] if managed is None else list(_find_elsewhere(managed, place))
    if output == "json":
        kept = None if restored.kept is None else str(restored.kept)
        told = {
            "put_back": asdict(restored.files),
            "secrets_elsewhere": [{"file": f, "names": n} for f, n in elsewhere],
        }
        print_json({"state_dir": str(directory), "kept": kept, **asdict(copied), **told})
        return
    print(f"{directory}: {_describe(copied)}")
    if not copied.whole:
        print(f"{file} was not made by `hookd backup`: if it was copied while hookd ran, its last events are missing")
    if restored.kept is not None:
        print(f"what stood there is kept as {restored.kept}")
    files = restored.files
    if files.definitions or files.secrets:
        print(f"put back: {_files(files.definitions, files.secrets)}")
    if files.left:
        why = "the config names no managed_dir for them" if managed is None else f"{managed} has webhooks, which stand"
        print(f"not put back: {_files(files.left, 0)}: {why}")
    if elsewhere:
        print(f"to be mended by you: secrets are in {place} now, and are looked for elsewhere:")
        for definition, named in elsewhere:
            print(f"  {definition}: {named}")


def _find_elsewhere(managed: Path, place: Path) -> Iterator[tuple[str, str]]:
    """Give definitions, and the secrets of hookd's that they name where another state directory has or had them."""
    from hookd.config.problems import ConfigInvalid
    from hookd.config.text.strictyaml import parse_yaml

    for file in sorted(managed.glob("*.yaml")):
        try:
            value = parse_yaml(file.read_bytes(), str(file)).value
        except (OSError, ConfigInvalid):
            continue  # the daemon will say what is wrong with it
        for named in _find_files(value):
            folder, name = os.path.split(named)
            stands_elsewhere = os.path.realpath(folder) != os.path.realpath(place)
            if os.path.basename(folder) == SECRETS_FOLDER and stands_elsewhere and (place / name).is_file():  # noqa: PTH119  a text
                yield str(file), named


def _find_files(value: object) -> Iterator[str]:
    """Give what stands behind each `file:` of a definition."""
    if isinstance(value, dict):
        if isinstance(value.get("file"), str):
            yield value["file"]
        for inner in value.values():
            yield from _find_files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_files(inner)


def _expect_entry(directory: Path) -> None:
    """Say of a directory that is closed to this user whose it is."""
    try:
        next(directory.iterdir(), None)
    except PermissionError:
        try:
            owner = f"user {directory.owner()}"
        except (KeyError, OSError):
            owner = "its owner"
        message = f"{directory} is closed to you: run this as {owner}, or as root"
        raise CliError(message, ExitCode.NOT_ALLOWED) from None
    except OSError as error:
        message = f"there is no store in {directory}: {error.strerror}; name another with --state-dir"
        raise CliError(message, ExitCode.NOT_SO) from None


def _describe(copied: Copied) -> str:
    size = float(copied.bytes)
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004  the next unit
            break
        size, unit = size / 1024, larger
    shown = f"{size:.0f}" if unit == "bytes" else f"{size:.1f}"
    told = f"{shown} {unit}, {copied.events} events, {copied.pending} pending, {copied.dead} dead"
    return f"{told}, {_files(copied.definitions, copied.secrets)}" if copied.definitions or copied.secrets else told


def _files(definitions: int, made: int) -> str:
    """Give how many files of the API's there are, in words."""
    webhooks = f"{definitions} webhook{'' if definitions == 1 else 's'} of the API"
    return f"{webhooks}, {made} signing secret{'' if made == 1 else 's'}" if made else webhooks
