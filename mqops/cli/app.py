"""The command line: gathers the commands, and turns errors into one line and an exit code."""

import sys

import typer

from mqops.errors import ConfigurationError, MqopsError

app = typer.Typer(
    name="mqops",
    help="A messaging platform configured by commits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# TEMPORARY while commands are being written: the lead replaces this by plain imports.
import importlib

for _name in (
    "up",
    "serve",
    "work",
    "reconcile",
    "validate",
    "plan",
    "inspect",
    "migrate",
    "doctor",
    "messages",
    "listen",
    "credentials",
):
    try:
        importlib.import_module(f"mqops.cli.{_name}").register(app)
    except ModuleNotFoundError as _e:
        if _e.name != f"mqops.cli.{_name}":
            raise


def main() -> None:
    """Entry point of the console script. Exit codes: 0 done, 1 error, 2 wrong usage."""
    try:
        app()
    except (ConfigurationError, MqopsError) as error:
        message = error.message if isinstance(error, MqopsError) else str(error)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
