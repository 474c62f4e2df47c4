"""`mqops rebuild`: the catalog as far as Redis still knows it, after PostgreSQL was lost."""

from typing import TYPE_CHECKING

import typer

from mqops.cli.asked import ApplyOutput, AutoApprove, LockTimeout
from mqops.cli.exit_codes import ERROR
from mqops.cli.plan import approve, seconds_of, working
from mqops.cli.plan_shown import show, tell
from mqops.cli.under_way import UnderWay
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan
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
    from reconciler.pipeline import Execution, author_of, require_same
    from reconciler.rebuild import plan_rebuild
    from reconciler.rebuild import rebuild as rebuild_catalog

    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    settings = current_settings()
    with working("looking at Redis") as status, open_stores(settings) as stores:
        if not auto_approve:
            shown = plan_rebuild(settings, stores)
            approve(shown.plan, status, lambda: _show(shown))

        def select(found: "Rebuild") -> "Plan":
            if not auto_approve:
                require_same(shown.plan, found.plan)
            elif output == "text":
                status.stop()
                _show(found)
                status.start()
            return found.plan

        status.update("rebuilding")
        execution = Execution(author_of("rebuild"), select, timeout_seconds, UnderWay(status))
        found, report = rebuild_catalog(settings, stores, execution)
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
