"""`mqops force-unlock`: taking the lock of a source from an apply that hangs out of reach."""

from typing import Annotated

import typer

from mqops.cli.approval import require_yes
from mqops.cli.asked import AutoApprove
from mqops.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("force-unlock")(force_unlock)


def force_unlock(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Like default; or api, which the management API's changes hold.")
    ],
    auto_approve: AutoApprove = False,
) -> None:
    """End the database session of an apply that hangs, and with it the locks of all its sources.

    Shows who holds the lock since when, and asks. That apply changes nothing more; the next one does the rest. An apply
    that can be reached is better interrupted.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import require_same_installation
    from reconciler.stores import lock, sources

    settings = current_settings()
    with open_stores(settings) as stores:
        require_same_installation(settings, stores)
        holder = lock.find_holder(stores.database, source)
        if holder is None:
            sources.require_known(stores.database, [source])
            typer.echo(f"No apply of source {source} is under way: its lock is free.")
            return
        typer.echo(f"The lock of source {source} is held: {holder}.")
        if not auto_approve:
            require_yes("End that session?", "it")
        if not lock.end(stores.database, source, holder):
            raise ConfigurationError(
                f"database process {holder.pid} was told to end and has not yet: PostgreSQL ends it as soon as it can"
            )
    typer.echo(f"The lock of source {source} is free. Run the apply again.")
