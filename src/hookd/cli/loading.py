"""Configs for the verbs that look at files: loaded, or all that is wrong with them told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_problems
from hookd.config.load import load
from hookd.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.config.load import Loaded


def load_files(main: Path) -> Loaded:
    """Load the config of a main file. What is wrong goes to standard error, and ends the verb with code 78."""
    try:
        return load(main)
    except ConfigInvalid as invalid:
        refuse_config(invalid, str(main))


def refuse_config(invalid: ConfigInvalid, what: str) -> NoReturn:
    """Tell every problem of a config, and end the verb."""
    print_problems(invalid.problems, invalid.sources)
    raise CliError(f"{what}: the config is not valid; `hookd check` says the same", ExitCode.BAD_CONFIG)


def is_typed(option: str) -> bool:
    """Whether an option stands on the command line, and does not come from the environment."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE
