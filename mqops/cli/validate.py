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
    applied: Annotated[
        bool,
        typer.Option("--applied", help="They may name what is applied by others: needs the database, unlike the rest."),
    ] = False,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Check the manifests and report every problem with its place; needs no server.

    Topics, handlers and tenants that others have, other trees or the management API, are known with --applied alone.

    Exit code 1 when there are problems.
    """
    # Imported here, as everywhere: the other commands should not wait for the model and the YAML parser.
    from mqops.settings import settings_from
    from reconciler.manifests.check import check
    from reconciler.manifests.problem import printable

    with Console(stderr=True).status("checking"):
        checked = _beside_others(directory) if applied else check(directory, settings_from(os.environ))
    if output == "json":
        typer.echo(json.dumps(_as_json(checked), indent=2, ensure_ascii=False))
    else:
        for problem in checked.problems:
            typer.echo(problem.render(directory))
        for one in checked.waiting:
            typer.echo(f"{printable(f'{directory}/{one.origin}')}: {one.identity} waits: {one.message}")
        typer.echo(_summary(checked), err=bool(checked.problems))
    if checked.problems:
        raise typer.Exit(1)


def _beside_others(directory: Path) -> "Checked":
    from mqops.bootstrap.control import current_settings, open_database
    from reconciler.manifests.check import check
    from reconciler.reading import applied_in

    settings = current_settings()
    with open_database(settings) as database:
        return check(directory, settings, lookup=applied_in(database))


def _as_json(checked: "Checked") -> dict[str, object]:
    return {
        "formatVersion": 1,
        "valid": not checked.problems,
        "resources": checked.declared,
        "files": checked.files,
        "sources": sorted(checked.sources),
        "problems": [problem.as_json() for problem in checked.problems],
        "waiting": [f"{one.identity}: {one.message}" for one in checked.waiting],
    }


def _summary(checked: "Checked") -> str:
    if checked.problems:
        return f"error: {_count(len(checked.problems), 'problem')}"
    resources, files = _count(checked.declared, "resource"), _count(checked.files, "file")
    return f"{resources} in {files}, {_count(len(checked.sources), 'source')}: valid"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
