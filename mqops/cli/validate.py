"""`mqops validate`: whether manifests are right, and everything that is not, without touching any store."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from reconciler.manifests.check import Checked


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("validate")(validate)


def validate(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The directory of manifests.")] = Path("manifests"),
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Check the manifests and report every problem with its place; needs no server.

    Exit code 1 when there are problems.
    """
    # Imported here, as everywhere: the other commands should not wait for the model and the YAML parser.
    from mqops.settings import settings_from
    from reconciler.manifests.check import check

    with Console(stderr=True).status("checking"):
        checked = check(directory, settings_from(os.environ))
    if output == "json":
        typer.echo(json.dumps(_as_json(checked), indent=2, ensure_ascii=False))
    else:
        for problem in checked.problems:
            typer.echo(problem.render(directory))
        typer.echo(_summary(checked), err=bool(checked.problems))
    if checked.problems:
        raise typer.Exit(1)


def _as_json(checked: "Checked") -> dict[str, object]:
    return {
        "formatVersion": 1,
        "valid": not checked.problems,
        "resources": checked.declared,
        "files": checked.files,
        "sources": sorted(checked.sources),
        "problems": [problem.as_json() for problem in checked.problems],
    }


def _summary(checked: "Checked") -> str:
    if checked.problems:
        return f"error: {_count(len(checked.problems), 'problem')}"
    resources, files = _count(checked.declared, "resource"), _count(checked.files, "file")
    return f"{resources} in {files}, {_count(len(checked.sources), 'source')}: valid"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
