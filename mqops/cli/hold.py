"""`mqops suspend` and `mqops resume`: keeping a source from being reconciled, and letting it go on."""

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="SOURCE", help="Like default: `mqops get sources` lists them.")]
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
    """Keep a source from being reconciled: nothing of it is applied or repaired until `mqops resume`.

    An apply of it that is under way is waited for.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.plan import seconds_of
    from reconciler.pipeline import author_of
    from reconciler.suspension import Act
    from reconciler.suspension import suspend as suspend_source

    act = Act(name, author_of("suspend"), seconds_of("--lock-timeout", lock_timeout))
    settings = current_settings()
    with open_stores(settings) as stores:
        suspend_source(act, reason, settings, stores)
    typer.echo(f"Source {name} is suspended: nothing of it is applied or repaired until `mqops resume {name}`.")


def resume(name: Name, lock_timeout: LockTimeout = "10s") -> None:
    """Let a source go on that is suspended, or pinned by a rollback: its manifests are applied again."""
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.plan import seconds_of
    from reconciler.pipeline import author_of
    from reconciler.suspension import Act
    from reconciler.suspension import resume as resume_source

    act = Act(name, author_of("resume"), seconds_of("--lock-timeout", lock_timeout))
    settings = current_settings()
    with open_stores(settings) as stores:
        ended = resume_source(act, settings, stores)
    for hold in ended:
        typer.echo(f"No longer {hold.kept}.")
    typer.echo(f"Source {name} is reconciled again, from the next look at its manifests on.")
