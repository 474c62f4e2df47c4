"""``mqops work``: a push worker."""

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="work")(work)


def work() -> None:
    """Deliver messages to their handlers, until SIGTERM; then finish what is under way. Any number may run."""
    # Imported here: drivers and servers take half a second that every other command would pay.
    from mqops.bootstrap.control import current_settings
    from mqops.bootstrap.work import run_worker

    run_worker(current_settings())
