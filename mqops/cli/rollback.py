"""`mqops rollback`: back to what was applied at an earlier revision."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mqops.cli.plan import approve, seconds_of, show, tell, working
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan
    from reconciler.rollback import Rollback


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("rollback")(rollback)


def rollback(
    revision: Annotated[int, typer.Argument(metavar="REVISION", min=1, help="`mqops history` lists them.")],
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="Only this source; more than once for several."),
    ] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    lock_timeout: Annotated[
        str, typer.Option("--lock-timeout", help="How long to wait for another apply to finish.")
    ] = "10s",
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Go back to what sources had applied at a revision: show the plan, ask, and carry it out.

    The sources stay pinned to it until a commit changes their manifests (outside git: until they change), or
    `mqops resume`. Messages that were deleted since do not come back. Exit code 1 when a change failed or is refused.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import author_of, require_same
    from reconciler.rollback import plan_rollback, roll_back

    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    settings = current_settings()
    with working("planning") as status, open_stores(settings) as stores:
        wanted = plan_rollback(revision, source or (), settings, stores)
        if not auto_approve:
            approve(wanted.plan, status, lambda: _show(wanted))

        def select(planned: "Rollback") -> "Plan":
            if not auto_approve:
                require_same(wanted.plan, planned.plan)
            elif output == "text":
                status.stop()
                _show(planned)
                status.start()
            return planned.plan

        status.update("applying")
        author = author_of("rollback")
        planned, report = roll_back(
            wanted, settings, stores, author, select=select, lock_timeout_seconds=timeout_seconds
        )
    tell(report, planned.plan, output)
    if output == "text" and planned.is_going:
        typer.echo(_pinned_text(planned))
    if report.failed or planned.plan.refused:
        raise typer.Exit(1)


def _show(planned: "Rollback") -> None:
    if planned.plan.is_empty and not planned.plan.refused:
        typer.echo(f"No changes. What is applied is what was at revision {planned.revision}.")
    else:
        show(planned.plan, Path(), "text")


def _pinned_text(planned: "Rollback") -> str:
    what = (
        f"Source {planned.sources[0]} is" if len(planned.sources) == 1 else f"Sources {', '.join(planned.sources)} are"
    )
    ways = ", ".join(f"`mqops resume {name}`" for name in planned.sources)
    return (
        f"{what} pinned to revision {planned.revision}, until a commit changes the manifests (outside git: until "
        f"they change), or {ways}."
    )
