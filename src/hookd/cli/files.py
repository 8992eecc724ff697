"""The verbs that print or write a file and need no daemon: init, schema, secret, completion."""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path
from typing import Final

import click

from hookd.cli.errors import CliError, ExitCode

_SCHEMAS: Final = {"config": "schemas/config.schema.json", "log": "schemas/log.schema.json"}

#: What `hookd init` writes: works as it stands, next to itself, without root.
FIRST_CONFIG: Final = """\
# yaml-language-server: $schema={schema}
version: 1

daemon:                                  # read at start; everything below it is hot-reloaded
  state_dir: state                       # the durable queue; relative paths are relative to this file
  inlets:
    - unix: run/events.sock              # one JSON event per line in, one reply per line out
  control:
    unix: run/control.sock               # what the other verbs talk to
  # metrics: {{http: 127.0.0.1:9480}}      # /metrics for Prometheus, /healthz, /readyz

# include: [webhooks.d/**/*.yaml]        # more files with event_types, profiles and webhooks

# event_types:                           # once this has entries, an event of another type is refused
#   user.updated:
#     schema: schemas/user.json          # JSON Schema of `data`

webhooks:
  example:
    name: My first webhook
    url: http://127.0.0.1:8000/          # `hookd listen --port 8000` receives and shows what comes
    allow_networks: [127.0.0.0/8]        # private addresses are denied unless opened here
    events: ["*"]                        # exact types, or a prefix with * at the end
    # sign: {{scheme: standard, secrets: [{{file: secrets/example}}]}}     # `hookd secret --file secrets/example`
    # filter:
    #   data.country: [NL, BE]
    test_event: {{type: hello.world, data: {{greeting: hello}}}}           # what `hookd test example` sends
"""


#: Beside the config, which stands in git, there is what does not belong there. `secrets/` is made when it is wanted.
_FOLDERS: Final = ("run", "state")
_NOT_IN_GIT: Final = "# made by hookd: nothing here belongs under version control\n*\n"
_IGNORED: Final = "# the config belongs under version control, and these do not\nsecrets/\nstate/\nrun/\n"


@click.command("init")
@click.argument("file", default="hookd.yaml", type=click.Path(path_type=Path))
def init_command(file: Path) -> None:
    """Write a first config with comments (hookd.yaml, or FILE), and its schema for the editor beside it.

    With them go the directories of the state and the sockets, and a .gitignore that keeps these and `secrets/` out of
    version control. Nothing that exists is overwritten.
    """
    from hookd.config.resources import resource

    schema = file.parent / "config.schema.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_new(file, FIRST_CONFIG.format(schema=schema.name))
        for name in _FOLDERS:
            folder = file.parent / name
            if not os.path.lexists(folder):
                folder.mkdir(mode=0o700)
                _write_new(folder / ".gitignore", _NOT_IN_GIT)
        published = resource(_SCHEMAS["config"])
        if not os.path.lexists(schema):
            _write_new(schema, published.decode())
        is_ours = _holds(schema, published)
        kept_out = _is_kept_out_of_git(ignore := file.parent / ".gitignore")
    except FileExistsError as error:
        raise CliError(f"{error.filename} exists; it is left as it is", ExitCode.NOT_SO) from None
    except OSError as error:
        raise CliError(f"cannot write {error.filename}: {error.strerror}", ExitCode.NOT_ALLOWED) from None
    print(f"wrote {file}. Next:")
    named = "" if str(file) == "hookd.yaml" else f" --config {shlex.quote(str(file))}"
    steps = [(f"hookd {verb}{named if reads_config else ''}", text) for verb, reads_config, text in _NEXT]
    width = max(len(step) for step, _ in steps)
    for step, text in steps:
        print(f"  {step.ljust(width)}  # {text}")
    if not kept_out:
        print(f"{ignore} is there already and stays as it is: add the line `secrets/` to it")
    if not is_ours:
        renew = f"hookd schema > {shlex.quote(str(schema))}"
        print(f"{schema} is there already and stays as it is: `{renew}` makes it the schema of this hookd")


#: What to try after `init`, whether it reads the config, and what it is.
_NEXT: Final = (
    ("check", True, "every problem at once, with its place"),
    ("run", True, "the daemon, in one terminal"),
    ("listen --port 8000", False, "a receiver, in another"),
    ("test example", True, "a first delivery, in a third"),
)


def _is_kept_out_of_git(ignore: Path) -> bool:
    """Write a .gitignore, or say whether one that is there has the secrets; the folders made here have their own."""
    if not os.path.lexists(ignore):
        _write_new(ignore, _IGNORED)
        return True
    try:
        lines = {line.strip().strip("/") for line in ignore.read_text("utf-8", "replace").splitlines()}
    except OSError:
        lines = set()
    return "secrets" in lines


def _holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False


def _write_new(file: Path, text: str) -> None:
    with file.open("x", encoding="utf-8") as written:
        written.write(text)


@click.command("schema")
@click.argument("which", type=click.Choice([*_SCHEMAS, "included"]), default="config")
def schema_command(which: str) -> None:
    """Print a JSON Schema: of the config (for editors), of a file that the config includes, or of the log lines."""
    if which == "included":
        import json

        from hookd.config.check import config_schema

        click.echo(json.dumps(config_schema("included"), ensure_ascii=False, indent=2))
        return
    from hookd.config.resources import resource

    click.echo(resource(_SCHEMAS[which]).decode(), nl=False)


@click.command("secret")
@click.option("--file", "file", metavar="FILE", type=click.Path(path_type=Path), help="Write it there, mode 0600.")
def secret_command(file: Path | None) -> None:
    """Make a signing secret (Standard Webhooks: 32 random bytes) and print it, or write it to a new file."""
    from hookd.core.signing import generate_secret

    text = generate_secret(secrets.token_bytes(32))
    if file is None:
        print(text)
        return
    try:
        # A directory of one's own is made; one that an absolute path names and that is not there is a typo.
        if not file.is_absolute() and not file.parent.is_dir():
            file.parent.mkdir(mode=0o700)
            print(f"made the directory {file.parent}")
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CliError(f"{error.filename} exists; it is left as it is", ExitCode.NOT_SO) from None
    except OSError as error:
        raise CliError(f"cannot write {error.filename}: {error.strerror}", ExitCode.NOT_ALLOWED) from None
    with os.fdopen(descriptor, "w") as written:
        written.write(text + "\n")
    print(f"wrote a secret to {file}")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell, e.g. `eval "$(hookd completion bash)"`."""
    from click.shell_completion import get_completion_class

    from hookd.cli.main import cli

    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101  click has these three
    print(complete(cli, {}, "hookd", "_HOOKD_COMPLETE").source())
