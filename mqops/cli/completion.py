"""`mqops completion`: the script that teaches a shell the commands, their options and the kinds."""

from typing import Annotated, Literal

import typer
from typer import completion as shells

# Typer answers what the scripts ask at each press of the key, once it has been told of the shells; this tells it.
shells.get_completion_inspect_parameters()


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("completion")(completion)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print the script that makes a shell complete commands, options and kinds.

    In ~/.bashrc: eval "$(mqops completion bash)"
    """
    write = shells.get_completion_script  # type: ignore[attr-defined]  # meant to be found there, not declared so
    typer.echo(write(prog_name="mqops", complete_var="_MQOPS_COMPLETE", shell=shell))
