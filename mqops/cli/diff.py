"""`mqops diff`: what the manifests would change, as a unified diff of YAML."""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from mqops.cli.asked import TakeOver
from mqops.cli.failure import print_error
from mqops.cli.plan_shown import tell_holds
from mqops.errors import ConfigurationError, MqopsError

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan
    from reconciler.request import Planned

_STYLES = {"header": "bold", "hunk": "cyan", "added": "green", "removed": "red", "plain": ""}

_DIFFERENT, _FAILED = 1, 2


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("diff")(diff)


def diff(
    directory: Annotated[Path, typer.Argument(help="The directory of manifests.")] = Path("manifests"),
    take_over: TakeOver = None,
    output: Annotated[
        Literal["text", "name"], typer.Option("--output", "-o", help="text, or the name of what differs")
    ] = "text",
) -> None:
    """Show what applying the manifests would change, as a unified diff of YAML; change nothing.

    Exit code 0 when nothing differs, 1 when something does, if only because a source is held, 2 when that cannot be
    told or a change is refused.
    """
    try:
        planned = _planned(directory, take_over or [])
    except (ConfigurationError, MqopsError) as error:
        print_error(error)
        raise typer.Exit(_FAILED) from error
    except Exception as error:
        traceback.print_exc()
        raise typer.Exit(_FAILED) from error
    found = planned.plan
    if output == "name":
        changed = [change.identity for change in found.changes]
        for identity in dict.fromkeys((*changed, *(leftover.identity for leftover in found.leftovers))):
            typer.echo(str(identity))
    else:
        _show(found, directory)
    for refusal in found.refused:
        change = refusal.change
        typer.echo(f"error: cannot {change.action.verb} {change.identity}: {refusal.message}", err=True)
    tell_holds(planned)
    if found.refused:
        raise typer.Exit(_FAILED)
    if planned.is_pending:
        raise typer.Exit(_DIFFERENT)


def _planned(directory: Path, taken: list[str]) -> "Planned":
    from mqops.bootstrap.control import applied_elsewhere, current_settings, open_stores
    from reconciler.pipeline import plan_manifests
    from reconciler.reading import check_manifests
    from reconciler.request import Request

    settings = current_settings()
    with Console(stderr=True).status("planning"):
        checked = check_manifests(directory, settings, lookup=applied_elsewhere(settings))
        with open_stores(settings) as stores:
            return plan_manifests(Request(checked, settings, tuple(taken)), stores)


def _show(found: "Plan", directory: Path) -> None:
    from reconciler.planning.unified import diff_lines

    console = Console(highlight=False)
    for about, line in diff_lines(found, str(directory)):
        console.print(Text(line, style=_STYLES[about]), soft_wrap=True)
