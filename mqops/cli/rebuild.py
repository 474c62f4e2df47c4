"""`mqops rebuild`: the catalog as far as Redis still knows it, after PostgreSQL was lost."""

from typing import TYPE_CHECKING

import typer

from mqops.cli.approval import approve, approved
from mqops.cli.asked import ApplyOutput, AutoApprove, LockTimeout
from mqops.cli.exit_codes import ERROR
from mqops.cli.named import seconds_of
from mqops.cli.plan import log_changes
from mqops.cli.plan_shown import show, tell
from mqops.cli.progress import working
from mqops.cli.under_way import UnderWay
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.rebuild import Rebuild


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("rebuild")(rebuild)


def rebuild(
    auto_approve: AutoApprove = False,
    lock_timeout: LockTimeout = "10s",
    output: ApplyOutput = "text",
) -> None:
    """After PostgreSQL was lost: take up every stream and group that Redis holds, with all that is in them.

    Shows what it would do, and asks; migrates and stamps an empty database. `mqops apply` does the rest afterwards.
    Exit code 1 when something failed.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.journal import journal
    from reconciler.pipeline import author_of
    from reconciler.rebuild import plan_rebuild
    from reconciler.rebuild import rebuild as rebuild_catalog
    from reconciler.request import Execution

    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    settings = current_settings()
    with working("looking at Redis") as status, open_stores(settings) as stores:
        shown = None if auto_approve else plan_rebuild(settings, stores)
        if shown is not None:
            before = shown
            approve(before.plan, status, lambda: _show(before))

        status.update("rebuilding")
        select = approved(shown, status, _show, output)
        execution = Execution(author_of("rebuild"), select, timeout_seconds, UnderWay(status))
        found, report = rebuild_catalog(settings, stores, execution)
    log_changes(settings, journal(report, found.plan, execution.author))
    tell(report, found.plan, output)
    if output == "text" and report.done:
        typer.echo("What Redis does not tell is at its defaults: `mqops apply` completes it from the manifests.")
    if not report.is_complete:
        raise typer.Exit(ERROR)


def _show(found: "Rebuild") -> None:
    if found.plan.is_empty:
        typer.echo(f"Nothing to rebuild: all that Redis holds of {found.instance} is in the catalog.")
    else:
        show(found.plan, "", "text")
