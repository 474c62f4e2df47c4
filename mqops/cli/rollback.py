"""`mqops rollback`: back to what was applied at an earlier revision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mqops.cli.approval import approve, approved
from mqops.cli.asked import (
    Adopt,
    AllowDataLoss,
    AllowMassDelete,
    ApplyOutput,
    AutoApprove,
    LockTimeout,
    Unprotect,
    allowances_for,
)
from mqops.cli.exit_codes import ERROR, REFUSED
from mqops.cli.named import seconds_of
from mqops.cli.plan import log_changes
from mqops.cli.plan_shown import show, tell
from mqops.cli.progress import working
from mqops.cli.under_way import UnderWay
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
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
    allow_data_loss: AllowDataLoss = False,
    allow_mass_delete: AllowMassDelete = None,
    unprotect: Unprotect = None,
    adopt: Adopt = False,
    auto_approve: AutoApprove = False,
    lock_timeout: LockTimeout = "10s",
    output: ApplyOutput = "text",
) -> None:
    """Go back to what sources had applied at a revision: show the plan, ask, and carry it out.

    The sources that something changes of, and those of --source, stay pinned to it until a commit changes their
    manifests (outside git: until they change), or `mqops resume`. Messages that were deleted since do not come back.
    Exit code 1 when a change failed, 3 when one is refused, or a source is suspended.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.journal import journal
    from reconciler.pipeline import author_of
    from reconciler.request import Execution
    from reconciler.rollback import Wanted, plan_rollback, roll_back

    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    allowed = allowances_for(allow_data_loss, allow_mass_delete, unprotect, adopt)
    settings = current_settings()
    wanted = Wanted(revision, tuple(source or ()), settings, allowed)
    with working("planning") as status, open_stores(settings) as stores:
        found = plan_rollback(wanted, stores)
        if not auto_approve:
            approve(found.plan, status, lambda: _show(found))

        status.update("applying")
        select = approved(None if auto_approve else found, status, _show, output)
        execution = Execution(author_of("rollback"), select, timeout_seconds, UnderWay(status))
        planned, report = roll_back(found, stores, execution)
    log_changes(settings, journal(report, planned.plan, execution.author))
    tell(report, planned.plan, output)
    if output == "text" and planned.pinned:
        typer.echo(_pinned_text(planned))
    if not report.is_complete:
        raise typer.Exit(ERROR)
    if planned.plan.refused:
        raise typer.Exit(REFUSED)


def _show(planned: "Rollback") -> None:
    if planned.plan.is_empty and not planned.plan.refused:
        typer.echo(f"No changes. What is applied is what was at revision {planned.wanted.revision}.")
    else:
        show(planned.plan, "", "text")
    if planned.pinned:
        typer.echo(f"{_sources_text(planned.pinned)} to be pinned to revision {planned.wanted.revision}.")


def _pinned_text(planned: "Rollback") -> str:
    names, revision = planned.pinned, planned.wanted.revision
    ways = ", ".join(f"`mqops resume {name}`" for name in names)
    return (
        f"{_sources_text(names)} pinned to revision {revision}, until a commit changes the manifests (outside git: "
        f"until they change), or {ways}."
    )


def _sources_text(names: Sequence[str]) -> str:
    return f"Source {names[0]} is" if len(names) == 1 else f"Sources {', '.join(names)} are"
