"""`mqops suspend` and `mqops resume`: keeping a source or a resource from being reconciled, and letting it go on.

What is delivered meanwhile is not their business: that is `mqops pause` and `mqops unpause`.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from mqops.cli.named import target_called

if TYPE_CHECKING:
    from mqops.model import Identity

Name = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE|KIND/TENANT/NAME",
        help="A source, like default (`mqops get sources` lists them); or a resource, like topic/acme/orders.",
    ),
]
LockTimeout = Annotated[str, typer.Option("--lock-timeout", help="How long to wait for an apply of it to finish.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("suspend")(suspend)
    app.command("resume")(resume)


def suspend(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; whoever is kept from applying reads it.")] = "",
    lock_timeout: LockTimeout = "10s",
) -> None:
    """Keep a source or a resource from being reconciled: nothing of it is applied or repaired until `mqops resume`.

    Messages flow on: to stop them, `mqops pause`. An apply that is under way is waited for.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.named import seconds_of
    from reconciler import suspension
    from reconciler.pipeline import author_of

    author, seconds, settings = author_of("suspend"), seconds_of("--lock-timeout", lock_timeout), current_settings()
    identity = _resource_called(name)
    with open_stores(settings) as stores:
        if identity is None:
            suspension.suspend(suspension.Act(name, author, seconds), reason, settings, stores)
        else:
            suspension.suspend_resource(suspension.ResourceAct(identity, author, seconds), reason, settings, stores)
    what = f"Source {name}" if identity is None else str(identity)
    typer.echo(f"{what} is suspended: nothing of it is applied or repaired until `mqops resume {name}`.")


def resume(name: Name, lock_timeout: LockTimeout = "10s") -> None:
    """Let a source go on that is suspended, or pinned by a rollback, or a resource: its manifests are applied again.

    A subscription that is paused is let go on by `mqops unpause`.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.named import seconds_of
    from reconciler import suspension
    from reconciler.pipeline import author_of
    from reconciler.planning.beside import suspended_text

    author, seconds, settings = author_of("resume"), seconds_of("--lock-timeout", lock_timeout), current_settings()
    identity = _resource_called(name)
    with open_stores(settings) as stores:
        if identity is None:
            ended = [hold.kept for hold in suspension.resume(suspension.Act(name, author, seconds), settings, stores)]
        else:
            act = suspension.ResourceAct(identity, author, seconds)
            ended = [suspended_text(suspension.resume_resource(act, settings, stores))]
    for kept in ended:
        typer.echo(f"No longer {kept}.")
    what = f"Source {name}" if identity is None else str(identity)
    typer.echo(f"{what} is reconciled again, from the next look at its manifests on.")


def _resource_called(name: str) -> "Identity | None":
    """``None`` for a source's name, which has no slash in it. Raises ``ConfigurationError`` for what is neither."""
    return target_called(name) if "/" in name else None
