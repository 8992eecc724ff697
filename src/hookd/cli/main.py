"""`hookd VERB`: the list of the verbs, and what becomes of what goes wrong.

Rules of this module:

1. A verb is imported when it is called, so that `hookd --help` and shell completion are quick.
2. What a user can mend is a `CliError` with an exit code and one message. No traceback ever reaches a user, also not
   out of a group of errors, a closed stream or a pipe that nobody reads any more. Who asked for JSON reads JSON, on
   standard output, also then (see `errors`).
3. What is printed is UTF-8 in a pipe, whatever the locale; a character that a terminal cannot show is escaped.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final

import click

from hookd import __version__
from hookd.cli.errors import CliError, ExitCode, describe_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

#: verb -> (module, one line of help). The help stands here so that listing the verbs imports none of them.
_VERBS: Final = {
    "run": ("hookd.cli.run", "Run the daemon."),
    "check": ("hookd.cli.check", "Check the config and run its tests."),
    "explain": ("hookd.cli.explain", "Say what a code, a cause or a state means, and what to do."),
    "diff": ("hookd.cli.diff", "Show what a reload would change, and what becomes of the backlog."),
    "route": ("hookd.cli.route", "Show where an event would go, what would be sent, and why."),
    "send": ("hookd.cli.send", "Send events to the daemon."),
    "test": ("hookd.cli.test", "Send a webhook its test event; show request and response."),
    "attempts": ("hookd.cli.attempts", "Show the request log."),
    "status": ("hookd.cli.status", "Show health, backlog and the last config error."),
    "list": ("hookd.cli.ask", "List the webhooks of the running config."),
    "show": ("hookd.cli.show", "Show a webhook as it is in force, and where each value came from."),
    "reload": ("hookd.cli.reload", "Read the config again and wait for the result."),
    "put": ("hookd.cli.put", "Write a webhook into the managed directory, and have it live."),
    "remove": ("hookd.cli.remove", "Remove a webhook from the managed directory, and end its backlog."),
    "suspend": ("hookd.cli.ask", "Hold a webhook until it is resumed."),
    "resume": ("hookd.cli.ask", "Lift a webhook's suspension; what waits is due now."),
    "redrive": ("hookd.cli.ask", "Make dead deliveries due again."),
    "replay": ("hookd.cli.replay", "Give kept events to a webhook, new or old."),
    "listen": ("hookd.cli.listen", "Receive webhooks and print them."),
    "demo": ("hookd.cli.demo", "See it all work, in half a minute."),
    "init": ("hookd.cli.files", "Write a first config."),
    "schema": ("hookd.cli.files", "Print a JSON Schema: of the config, or of the log."),
    "secret": ("hookd.cli.files", "Make a signing secret."),
    "backup": ("hookd.cli.backup", "Copy the store, while the daemon runs."),
    "restore": ("hookd.cli.backup", "Put a backup in the place of the store."),
    "man": ("hookd.cli.man", "Show the manual page."),
    "completion": ("hookd.cli.files", "Print the completion script of a shell."),
    "systemd": ("hookd.cli.systemd", "Install hookd as a systemd service."),
}


class _Verbs(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Give the verbs in the order in which people meet them."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's
        """Import one verb."""
        if cmd_name not in _VERBS:
            return None
        command = getattr(importlib.import_module(_VERBS[cmd_name][0]), f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101  every entry of the table names one
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Call the verb. When the reader of our output has gone (`| head`), that is its end: click would make it 1."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            more = _tell_config_option(error)
            if more:
                raise click.UsageError(error.message + more, error.ctx) from None
            raise
        except BrokenPipeError:
            _drop_output()
            return ExitCode.FINE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in _VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the verb that was meant."""
        import difflib

        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _VERBS, n=1)
            ctx.fail(f"there is no verb {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb without importing any."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in _VERBS.items() if name.startswith(incomplete)]
        # Not the group's own, which would import every verb to ask whether it is hidden.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB [ARGUMENTS]…",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="hookd")
def cli() -> None:
    """Deliver webhooks: defined in YAML under version control, stored durably, signed, retried, logged."""


def _tell_config_option(error: click.UsageError) -> str:
    """Say how a config is named, of a verb that takes none as an argument and was given what looks like one."""
    extra = re.search(r"unexpected extra arguments? \((.+)\)", error.message)
    takes = () if error.ctx is None else (parameter.name for parameter in error.ctx.command.params)
    if extra is None or "config" not in takes:
        return ""
    if not extra[1].endswith((".yaml", ".yml")) and not os.path.exists(extra[1]):  # noqa: PTH110  a text, of any kind
        return ""
    # Who names several, as pre-commit does, means the files that one of them includes.
    return f"; the config is named by its main file: --config {'FILE' if ' ' in extra[1] else extra[1]}"


def main() -> None:
    """Run a verb and end the process with its exit code."""
    _mend_streams()
    try:
        code: object = cli.main(prog_name="hookd", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        raise  # shell completion ends itself
    except BaseException as error:  # noqa: BLE001  the last word: whatever it is, a user reads a sentence
        cause = find_cause(error)
        code = choose_code(cause)
        with suppress(OSError):  # standard error may be full, or gone
            _explain(cause, as_json=asks_json(sys.argv[1:]))
        _drop_output()
    sys.exit(code if isinstance(code, int) else ExitCode.FINE)


def _mend_streams() -> None:
    """Make standard streams that are closed, or speak another encoding than UTF-8, ones that can be used."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  it stays open
    out = sys.stdout
    if isinstance(out, TextIOWrapper):
        # Programs read UTF-8, whatever the locale; a terminal gets what it can show.
        out.reconfigure(encoding=None if out.isatty() else "utf-8", errors="backslashreplace")


def _drop_output() -> None:
    """Let go of what could not be written, so that Python does not try it again at its end and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def find_cause(error: BaseException) -> BaseException:
    """Give the one error of a group that a user is told: what is theirs before what is ours."""
    leaves = [error]
    while groups := [each for each in leaves if isinstance(each, BaseExceptionGroup)]:
        leaves = [each for each in leaves if each not in groups]
        leaves.extend(each for group in groups for each in group.exceptions)
    for kind in (CliError, KeyboardInterrupt, BrokenPipeError):
        found = next((each for each in leaves if isinstance(each, kind)), None)
        if found is not None:
            return found
    return leaves[0]


def choose_code(error: BaseException) -> int:
    """Give the exit code that an error ends with."""
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, CliError):
        return error.code
    if isinstance(error, BrokenPipeError):
        return ExitCode.FINE  # the reader of our output went away (`| head`), which is no error of ours
    return ExitCode.NOT_SO if isinstance(error, OSError) else ExitCode.BUG


def asks_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON: it may be one that click does not understand."""
    asked = ""
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--output":
            asked = "".join(arguments[number + 1 : number + 2])
        elif argument.startswith("--output="):
            asked = argument.removeprefix("--output=")
    return asked == "json"


def _explain(error: BaseException, *, as_json: bool) -> None:
    """Say what went wrong: on standard error, or for programs on standard output."""
    if isinstance(error, BrokenPipeError) or (isinstance(error, CliError) and not str(error)):
        return  # nobody reads any more, or everything was said before
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        print("hookd: interrupted", file=sys.stderr, flush=True)
        return  # by whoever sits there
    if os.environ.get("HOOKD_TRACEBACK") and choose_code(error) == ExitCode.BUG:
        import traceback

        traceback.print_exception(error)
        return
    if as_json:
        from hookd.cli.output import print_json

        print_json(_describe(error))
        sys.stdout.flush()
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        print(f"hookd: {_tell(error)}", file=sys.stderr, flush=True)


def _describe(error: BaseException) -> dict[str, object]:
    if isinstance(error, CliError):
        return error.describe()
    code = ExitCode(choose_code(error))
    message = error.format_message() if isinstance(error, click.ClickException) else _tell(error)
    return describe_error(code.word, message, code)


def _tell(error: BaseException) -> str:
    if isinstance(error, CliError):
        return str(error)
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return f"the system refused{where}: {error.strerror or type(error).__name__}"
    # Not its own text: that may hold a payload or a secret.
    return f"this should not have happened ({type(error).__name__}); with HOOKD_TRACEBACK=1 it shows where"
