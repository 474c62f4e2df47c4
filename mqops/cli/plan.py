"""`mqops plan` and `mqops apply`: what the manifests would change, and changing it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from mqops.durations import parse_duration
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.apply import Report
    from reconciler.pipeline import Planned
    from reconciler.planning.holds import Hold
    from reconciler.planning.plan import Plan

STYLES = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "repair": "cyan",
    "refused": "bold red",
    "field": "",
    "plain": "",
}

Directory = Annotated[Path, typer.Argument(help="The directory of manifests.")]
Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")]
TakeOver = Annotated[
    list[str] | None,
    typer.Option(
        "--take-over",
        metavar="SOURCE",
        help="A source that is no more: what it has and is declared here is handed over, the rest of it deleted.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("plan")(plan)
    app.command("apply")(apply)


def plan(
    directory: Directory = Path("manifests"),
    output: Output = "text",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there is something to change.")
    ] = False,
    take_over: TakeOver = None,
) -> None:
    """Show what applying the manifests would change; change nothing.

    Exit code 1 when the manifests have problems or a change is refused.
    """
    # Drivers are imported inside the commands, as everywhere: the others should not wait for them.
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import check_manifests, plan_manifests

    settings = current_settings()
    with working("planning"):
        checked = check_manifests(directory, settings)
        with open_stores(settings) as stores:
            planned = plan_manifests(checked, settings, stores, take_over or ())
    found = planned.plan
    _show_planned(planned, directory, output)
    _tell_holds(planned)
    if found.refused:
        raise typer.Exit(1)
    if detailed_exitcode and not found.is_empty:
        raise typer.Exit(2)


def apply(
    directory: Directory = Path("manifests"),
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    lock_timeout: Annotated[
        str, typer.Option("--lock-timeout", help="How long to wait for another apply to finish.")
    ] = "10s",
    take_over: TakeOver = None,
    output: Output = "text",
) -> None:
    """Apply the manifests: show the plan, ask, and carry it out.

    Exit code 1 when a change failed or is refused; the others are made all the same.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import apply_manifests, author_of, check_manifests, exactly, plan_manifests

    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    settings = current_settings()
    taken = take_over or ()
    with working("planning") as status:
        checked = check_manifests(directory, settings)
        with open_stores(settings) as stores:
            if auto_approve:
                select = _showing(status, directory, output)
            else:
                planned = plan_manifests(checked, settings, stores, taken)
                approve(planned.plan, status, lambda: _show_planned(planned, directory))
                select = exactly(planned.plan)
            status.update("applying")
            author = author_of("apply")
            planned, report = apply_manifests(
                checked, settings, stores, author, take_over=taken, select=select, lock_timeout_seconds=timeout_seconds
            )
    tell(report, planned.plan, output, planned.holds)
    _tell_holds(planned)
    if report.failed or planned.plan.refused or planned.holds:
        raise typer.Exit(1)


def working(text: str) -> Status:
    """Shows what is being done for as long as it takes; on a terminal alone, and beside the output."""
    return Console(stderr=True).status(text)


def approve(found: "Plan", working: Status, show: Callable[[], None]) -> None:
    """Shows the plan and asks. Raises ``ConfigurationError`` when it is not approved, or there is nobody to ask."""
    working.stop()
    show()
    if not found.is_empty:
        if not sys.stdin.isatty():
            raise ConfigurationError("nobody is there to approve the plan: pass --auto-approve")
        if typer.prompt("Apply this? Only 'yes' is taken as approval", default="no", show_default=False) != "yes":
            raise ConfigurationError("not approved, nothing was changed")
    working.start()


def _showing(working: Status, directory: Path, output: Literal["text", "json"]) -> "Callable[[Planned], Plan]":
    """Takes every plan as approved, and shows it in passing."""

    def select(planned: "Planned") -> "Plan":
        if output == "text":
            working.stop()
            _show_planned(planned, directory)
            working.start()
        return planned.plan

    return select


def _show_planned(planned: "Planned", directory: Path, output: Literal["text", "json"] = "text") -> None:
    """Nothing to do is no news where sources are held: what is applied need not match their manifests."""
    if output == "json" or not planned.holds or not planned.plan.is_empty or planned.plan.refused:
        show(planned.plan, directory, output)


def _tell_holds(planned: "Planned") -> None:
    for hold in planned.holds:
        typer.echo(f"error: {hold}", err=True)
    if planned.held_back:
        what = "1 resource stays" if planned.held_back == 1 else f"{planned.held_back} resources stay"
        typer.echo(f"{what} as applied, though declared otherwise", err=True)


def show(found: "Plan", directory: Path, output: Literal["text", "json"]) -> None:
    """The plan, as text or JSON."""
    from reconciler.planning.render import as_json, text_lines

    if output == "json":
        typer.echo(json.dumps(as_json(found), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for about, line in text_lines(found, str(directory)):
        console.print(Text(line, style=STYLES[about]), soft_wrap=True)


def tell(report: "Report", found: "Plan", output: Literal["text", "json"], holds: "tuple[Hold, ...]" = ()) -> None:
    """How the apply of a plan went; the plan itself only in JSON."""
    if output == "json":
        from reconciler.planning.render import as_json

        failed = [{"resource": str(it.identity), "action": it.action, "message": it.message} for it in report.failed]
        held = [{"source": hold.source, "message": str(hold)} for hold in holds]
        answer = {"revision": report.revision, "failed": failed, "held": held, "plan": as_json(found)}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for failure in report.failed:
        typer.echo(f"failed to {failure.action} {failure.identity}: {failure.message}", err=True)
    if report.revision is not None or report.failed:
        typer.echo(report.summary)


def seconds_of(option: str, text: str) -> float:
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
