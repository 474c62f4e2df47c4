"""``mqops serve``: the HTTP service."""

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="serve")(serve)


def serve() -> None:
    """Answer HTTP on PORT (3010), until SIGTERM; then finish what is under way."""
    # Imported here: drivers and servers take half a second that every other command would pay.
    from mqops.bootstrap.control import current_settings
    from mqops.bootstrap.serve import run_server

    run_server(current_settings())
