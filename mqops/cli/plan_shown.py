"""How `mqops plan` and `mqops apply` show a plan and what became of it."""

import json
from typing import TYPE_CHECKING, Literal

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from reconciler.apply import Report
    from reconciler.planning.plan import Plan

_STYLES = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "repair": "cyan",
    "rename": "blue",
    "refused": "bold red",
    "field": "",
    "plain": "",
}


def show(found: "Plan", directory: str, output: Literal["text", "json", "markdown"]) -> None:
    """Prints the plan. ``directory`` is what file names are relative to."""
    from reconciler.planning.markdown import markdown
    from reconciler.planning.render import as_json, text_lines

    if output == "json":
        typer.echo(json.dumps(as_json(found), indent=2, ensure_ascii=False))
    elif output == "markdown":
        typer.echo(markdown(found, directory), nl=False)
    else:
        console = Console(highlight=False)
        for about, line in text_lines(found, directory):
            console.print(Text(line, style=_STYLES[about]), soft_wrap=True)


def tell(report: "Report", found: "Plan", output: Literal["text", "json"]) -> None:
    """Prints how an apply went."""
    if output == "json":
        from reconciler.planning.render import as_json

        failed = [{"resource": str(it.identity), "action": it.action, "message": it.message} for it in report.failed]
        answer = {"revision": report.revision, "failed": failed, "plan": as_json(found)}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for failure in report.failed:
        typer.echo(f"failed to {failure.action} {failure.identity}: {failure.message}", err=True)
    if report.revision is not None or report.failed:
        typer.echo(report.summary)
