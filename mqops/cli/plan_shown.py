"""How `mqops plan` and `mqops apply` show a plan and what became of it."""

import json
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.apply import Report, Result
    from reconciler.planning.holds import Hold
    from reconciler.planning.plan import Plan
    from reconciler.request import Planned

_MOST_SHOWN = 100
"""The plan itself shows all of them; what came of the others is told in numbers, and by `mqops history show`."""

STYLES = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "repair": "cyan",
    "rename": "blue",
    "adopt": "magenta",
    "handover": "magenta",
    "replace": "red",
    "drift": "magenta",
    "refused": "bold red",
    "waiting": "dim",
    "field": "",
    "plain": "",
}
"""By what a line is about."""


def show(
    found: "Plan",
    directory: str,
    output: Literal["text", "markdown"],
    holds: "Sequence[Hold]" = (),
) -> None:
    """Prints the plan for people. ``directory`` is what file names are relative to. Nothing to do is no news where
    there are ``holds``: what is applied need not match the manifests."""
    from reconciler.planning.markdown import markdown
    from reconciler.planning.render import text_lines

    if output == "markdown":
        typer.echo(markdown(found, directory, [str(hold) for hold in holds]), nl=False)
    elif not holds or not found.is_empty or found.refused:
        print_lines(text_lines(found, directory))


def print_json(document: "Mapping[str, Any]") -> None:
    """Prints a plan, or what became of one, for programs."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_lines(lines: "Iterable[tuple[str, str]]") -> None:
    """Prints a plan's lines, each in the colour of what it is about."""
    console = Console(highlight=False)
    for about, line in lines:
        console.print(Text(line, style=STYLES.get(about, "")), soft_wrap=True)


def tell(
    report: "Report",
    found: "Plan",
    output: Literal["text", "json"],
    holds: "Sequence[Hold]" = (),
    held_back: int = 0,
) -> None:
    """Prints how an apply went; the plan itself, and what is held, only in JSON."""
    if output == "json":
        from reconciler.planning.render import as_json, held_json

        failed = [{"resource": str(it.identity), "action": it.action, "message": it.message} for it in report.failed]
        held = held_json(holds)
        answer = {
            "revision": report.revision,
            "results": [_result_json(result) for result in report.results],
            "failed": failed,
            "held": held,
            "plan": as_json(found, held, held_back),
        }
        print_json(answer)
        return
    _print_results(report)
    if report.revision is not None or not report.is_complete:
        typer.echo(report.summary)
    if report.not_done:
        typer.echo("Stopped: run it again to do the rest.", err=True)


def _result_json(result: "Result") -> dict[str, str | None]:
    kind, tenant, name = result.identity
    told = {"action": result.action.value, "outcome": result.outcome.value, "message": result.message or None}
    return {"kind": kind, "tenant": tenant, "name": name, **told}


def _print_results(report: "Report") -> None:
    """What was done on standard output, a line a change up to a number that a person may read; what was not on standard
    error, all of it but what was only stopped before."""
    from reconciler.apply import DONE

    for change in report.done[:_MOST_SHOWN]:
        typer.echo(f"{DONE[change.action]} {change.identity}")
    if len(report.done) > _MOST_SHOWN:
        typer.echo(f"and {len(report.done) - _MOST_SHOWN:,} more")
    for result in report.failed:
        typer.echo(f"failed to {result.action.verb} {result.identity}: {result.message}", err=True)
    for result in report.not_done[:_MOST_SHOWN]:
        typer.echo(f"did not {result.action.verb} {result.identity}: {result.message}", err=True)
    if len(report.not_done) > _MOST_SHOWN:
        typer.echo(f"nor {len(report.not_done) - _MOST_SHOWN:,} more", err=True)


def tell_holds(planned: "Planned") -> None:
    """Prints which sources are held, and how much of their manifests waits for that, beside the output; and what else
    there is to know of the stores."""
    tell_beside(planned.warnings, map(str, planned.holds), planned.held_back)


def tell_beside(warnings: "Iterable[str]", holds: "Iterable[str]", held_back: int) -> None:
    """The same, in words."""
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    for message in holds:
        typer.echo(f"error: {message}", err=True)
    if held_back:
        what = "1 resource stays" if held_back == 1 else f"{held_back} resources stay"
        typer.echo(f"{what} as applied, though declared otherwise", err=True)
