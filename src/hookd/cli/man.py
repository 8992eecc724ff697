"""`hookd man`: the manual page, made of what the verbs say of themselves.

Rules of this module:

1. Nothing stands here that `--help` says: verbs, arguments, options and environment are asked of the commands, so that
   the page cannot fall behind. What no single verb knows (files, signals, exit codes) is told here.
2. The page is man(7) as groff and mandoc read it, without a date: the same hookd makes the same page.
3. On a terminal it is shown by man(1), in a pipe it is the source, to be installed as `hookd.1`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import click

from hookd import __version__
from hookd.cli.errors import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABOUT: Final = """\
hookd is a daemon that delivers webhooks. Their definitions stand in YAML files under version control; events come in
over a Unix socket or HTTP; each is checked against its JSON Schema, stored durably, matched against the webhooks, and
delivered: signed, with retries, at least once. Everything that happens is one JSON log line.

`hookd run` is the daemon. The other verbs send it events, ask it how things stand, or check and write files.
`hookd demo` shows all of it in half a minute.
"""
_EXIT: Final = (
    (ExitCode.FINE, "What was asked is done, or is so."),
    (
        ExitCode.NOT_SO,
        "What was asked is not so: `check` found errors, a test failed, something needs a person.",
    ),
    (ExitCode.USAGE, "The command line makes no sense."),
    (ExitCode.NO_DAEMON, "No daemon is there."),
    (ExitCode.BUG, "A mistake in hookd."),
    (ExitCode.TRY_AGAIN, "It may work later."),
    (ExitCode.NOT_ALLOWED, "This user may not."),
    (ExitCode.BAD_CONFIG, "The config is not valid."),
)
_ENVIRONMENT: Final = (
    ("CREDENTIALS_DIRECTORY", "Where `{credential: NAME}` is read from; systemd sets it."),
    ("NO_COLOR", "If it is set, nothing is coloured."),
    ("HOOKD_TRACEBACK", "If it is set, a mistake in hookd shows where it was made."),
)
_FILES: Final = (
    (
        "./hookd.yaml, /etc/hookd/hookd.yaml",
        "The main config file, where none is named. If both exist, one must be.",
    ),
    ("/var/lib/hookd", "The state directory (`daemon.state_dir`): the outbox `hookd.db` and what belongs to it."),
    ("/run/hookd/events.sock", "The event socket: one JSON object per line in, one reply per line out."),
    ("/run/hookd/control.sock", "The control socket, which the verbs use."),
)
_SIGNALS: Final = (
    ("SIGHUP", "Read the config again. A bad one changes nothing."),
    ("SIGTERM, SIGINT", "Stop: answer what was read, let attempts in flight end. A second one stops at once."),
)


@click.command("man")
@click.pass_context
def man_command(ctx: click.Context) -> None:
    """Show the manual page; in a pipe, print its source.

    To install it: `mkdir -p /usr/local/share/man/man1 && hookd man > /usr/local/share/man/man1/hookd.1`.
    """
    page = render_page(ctx.find_root())
    viewer = shutil.which("man") if sys.stdout.isatty() else None
    if viewer is None:
        print(page, end="")
        return
    shown = subprocess.run([viewer, "-l", "-"], input=page.encode(), check=False)  # noqa: S603  man(1), as found in PATH
    if shown.returncode:
        raise CliError("man(1) could not show the page; `hookd man | cat` prints its source", ExitCode.NOT_SO)


def render_page(root: click.Context) -> str:
    """Give the page as man(7) source; `root` is the context of `hookd` itself."""
    group = root.command
    assert isinstance(group, click.Group)  # noqa: S101  hookd has verbs
    lines = [
        f'.TH HOOKD 1 "" "hookd {__version__}" "User Commands"',
        ".SH NAME",
        r"hookd \- deliver webhooks",
        ".SH SYNOPSIS",
        r"\fBhookd\fR \fIVERB\fR [\fIARGUMENTS\fR]...",
        ".SH DESCRIPTION",
    ]
    for paragraph in _paragraphs(_ABOUT):
        lines += paragraph
    lines.append(".SH VERBS")
    known = dict(_ENVIRONMENT)
    for context in _walk(root, group):
        lines += _verb(context)
        known |= {name: text for name, text in _environment(context) if name not in known}
    lines += [".SH EXIT STATUS", *_list((str(int(code)), text) for code, text in _EXIT)]
    lines += [".SH ENVIRONMENT", *_list(sorted(known.items()))]
    lines += [".SH FILES", *_list(_FILES)]
    lines += [".SH SIGNALS", *_list(_SIGNALS)]
    lines += [
        ".SH SEE ALSO",
        *_prose("systemctl(1), journalctl(1), jq(1). `hookd schema` prints all keys of the config."),
    ]
    return "\n".join(lines) + "\n"


def _walk(parent: click.Context, group: click.Group) -> Iterator[click.Context]:
    """Give a context of every verb, and of the verbs of a verb."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from _walk(context, command)


def _verb(context: click.Context) -> list[str]:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f".SS {_quoted(f'{context.command_path} {usage}'.strip())}"]
    for paragraph in _paragraphs(command.help or ""):
        lines += paragraph
    for option in command.get_params(context):
        shown = option.get_help_record(context) if isinstance(option, click.Option) else None
        if shown is not None and "--help" not in option.opts:
            lines += [".TP", rf"\fB{_escape(shown[0])}\fR", *_prose(shown[1])]
    return lines


def _environment(context: click.Context) -> Iterator[tuple[str, str]]:
    for option in context.command.params:
        if isinstance(option, click.Option) and isinstance(option.envvar, str):
            yield option.envvar, f"What `{option.opts[0]}` is, where that is not given."


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Give a help text as paragraphs; one that begins with a backspace keeps its lines, as click has it."""
    for block in text.split("\n\n"):
        kept = block.startswith("\b")
        lines = [line.strip() for line in block.lstrip("\b").splitlines() if line.strip()]
        if kept:
            yield [".PP", ".nf", *(_prose(line)[0] for line in lines), ".fi"]
        elif lines:
            yield [".PP", *_prose(" ".join(lines))]


def _list(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for name, text in rows:
        lines += [".TP", rf"\fB{_escape(name)}\fR", *_prose(text)]
    return lines


def _prose(text: str) -> list[str]:
    """Give a text as a line of source, what stands in backticks in bold."""
    line = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", _escape(text))
    return [rf"\&{line}" if line.startswith((".", "'")) else line]


def _escape(text: str) -> str:
    # A bare hyphen may be set as one that cannot be copied into a shell.
    return text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")


def _quoted(text: str) -> str:
    return '"' + _escape(text).replace('"', r"\(dq") + '"'
