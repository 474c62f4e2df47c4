"""`mqops drift`: what was changed outside since it was applied."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from mqops.cli.asked import Selector, Targets, scope_for
from mqops.cli.exit_codes import PENDING
from mqops.cli.plan_shown import STYLES
from mqops.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.planning.drifted import Drifted


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("drift")(drift)


def drift(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIRECTORY",
            show_default=False,
            help="Manifests: look only at what their sources own. Without them, at everything that is applied.",
        ),
    ] = None,
    target: Targets = None,
    selector: Selector = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Show what was changed outside since it was applied: rows, streams, consumer groups; who did it, and since when it
    is known. Repair nothing.

    It makes no difference what the manifests say by now. Exit code 0 when there is none, 2 when there is some.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.drifting import look
    from reconciler.reading import check_manifests

    scope = scope_for(target, selector, refresh_only=False)
    settings = current_settings()
    with working("looking"):
        checked = None if directory is None else check_manifests(directory, settings)
        with open_stores(settings) as stores:
            looked = look(checked, scope, settings, stores)
    if not looked.is_about_something:
        typer.echo(f"nothing that is applied has the labels {selector}", err=True)
    _show(looked.drift, output, is_whole=scope.is_whole)
    if looked.drift:
        raise typer.Exit(PENDING)


def _show(found: "Sequence[Drifted]", output: Literal["text", "json"], *, is_whole: bool) -> None:
    from reconciler.planning.document import FORMAT_VERSION
    from reconciler.planning.drift_shown import drift_json, drift_lines

    if output == "json":
        document = {"format_version": FORMAT_VERSION, "resource_drift": [drift_json(one) for one in found]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif not found:
        typer.echo("No drift. Everything is as it was applied." if is_whole else "No drift in what is chosen.")
    else:
        console = Console(highlight=False)
        for about, line in drift_lines(found):
            console.print(Text(line, style=STYLES[about]), soft_wrap=True)
