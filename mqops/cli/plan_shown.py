"""How `mqops plan` and `mqops apply` show a plan and what became of it."""

import json
from typing import TYPE_CHECKING, Literal

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.apply import Report
    from reconciler.pipeline import Planned
    from reconciler.planning.holds import Hold
    from reconciler.planning.plan import Plan

STYLES = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "repair": "cyan",
    "rename": "blue",
    "adopt": "magenta",
    "handover": "magenta",
    "refused": "bold red",
    "field": "",
    "plain": "",
}
"""By what a line is about."""


def show(
    found: "Plan",
    directory: str,
    output: Literal["text", "json", "markdown"],
    holds: "Sequence[Hold]" = (),
) -> None:
    """Prints the plan. ``directory`` is what file names are relative to. Nothing to do is no news where there are
    ``holds``: what is applied need not match the manifests."""
    from reconciler.planning.markdown import markdown
    from reconciler.planning.render import as_json, text_lines

    if output == "json":
        typer.echo(json.dumps(as_json(found), indent=2, ensure_ascii=False))
    elif output == "markdown":
        typer.echo(markdown(found, directory), nl=False)
    elif not holds or not found.is_empty or found.refused:
        console = Console(highlight=False)
        for about, line in text_lines(found, directory):
            console.print(Text(line, style=STYLES[about]), soft_wrap=True)


def tell(report: "Report", found: "Plan", output: Literal["text", "json"], holds: "Sequence[Hold]" = ()) -> None:
    """Prints how an apply went; the plan itself only in JSON."""
    if output == "json":
        from reconciler.planning.render import as_json

        failed = [{"resource": str(it.identity), "action": it.action, "message": it.message} for it in report.failed]
        held = [{"source": hold.source, "message": str(hold)} for hold in holds]
        answer = {"revision": report.revision, "failed": failed, "held": held, "plan": as_json(found)}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for failure in report.failed:
        typer.echo(f"failed to {failure.action.verb} {failure.identity}: {failure.message}", err=True)
    if report.revision is not None or report.failed:
        typer.echo(report.summary)


def tell_holds(planned: "Planned") -> None:
    """Prints which sources are held, and how much of their manifests waits for that, beside the output."""
    for hold in planned.holds:
        typer.echo(f"error: {hold}", err=True)
    if planned.held_back:
        what = "1 resource stays" if planned.held_back == 1 else f"{planned.held_back} resources stay"
        typer.echo(f"{what} as applied, though declared otherwise", err=True)
