"""The command line: gathers the commands, and turns errors into one line and an exit code."""

import sys
from typing import Annotated

import typer

from mqops import __version__
from mqops.cli import (
    completion,
    credentials,
    deadletters,
    diff,
    doctor,
    drift,
    explain,
    export,
    history,
    hold,
    init,
    inspect,
    listen,
    messages,
    migrate,
    pause,
    plan,
    rebuild,
    reconcile,
    rollback,
    scheduled,
    serve,
    unlock,
    up,
    validate,
    work,
)
from mqops.cli.exit_codes import ERROR, REFUSED
from mqops.cli.failure import print_error
from mqops.errors import ConfigurationError, MqopsError, Refused

# In the order in which --help lists them.
_COMMANDS = (
    up,
    init,
    validate,
    explain,
    plan,
    diff,
    drift,
    export,
    inspect,
    history,
    rollback,
    hold,
    unlock,
    messages,
    scheduled,
    deadletters,
    pause,
    listen,
    credentials,
    serve,
    work,
    reconcile,
    migrate,
    rebuild,
    doctor,
    completion,
)

app = typer.Typer(
    name="mqops",
    help="A messaging platform configured by commits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"mqops {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A messaging platform configured by commits."""


for command in _COMMANDS:
    command.register(app)


def main() -> None:
    """Entry point of the console script. Its exit codes are in ``exit_codes``; typer's for wrong usage is 2."""
    try:
        app(prog_name=app.info.name)  # also as `python -m mqops.cli`: completion goes by the name
    except (ConfigurationError, MqopsError) as error:
        print_error(error)
        sys.exit(REFUSED if isinstance(error, Refused) else ERROR)
