"""The command line: gathers the commands, and turns errors into one line and an exit code."""

import sys
from typing import Annotated

import typer

from mqops import __version__
from mqops.cli import (
    credentials,
    doctor,
    history,
    hold,
    inspect,
    listen,
    messages,
    migrate,
    plan,
    reconcile,
    rollback,
    serve,
    up,
    validate,
    work,
)
from mqops.errors import ConfigurationError, MqopsError

# In the order in which --help lists them.
_COMMANDS = (
    up,
    validate,
    plan,
    inspect,
    history,
    rollback,
    hold,
    messages,
    listen,
    credentials,
    serve,
    work,
    reconcile,
    migrate,
    doctor,
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
    """Entry point of the console script. Exit codes: 0 done, 1 error, 2 wrong usage."""
    try:
        app()
    except (ConfigurationError, MqopsError) as error:
        message = error.message if isinstance(error, MqopsError) else str(error)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
