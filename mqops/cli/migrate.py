"""`mqops migrate`: bring the database to this version, and stamp both stores with the installation."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("migrate", help="Bring the database to this version of mqops, and stamp both stores.")(migrate)


def migrate() -> None:
    """Apply the migrations that are pending and establish the installation."""
    # Drivers are imported here, as in every command: the others should not wait for them.
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.stores import instance, migrate

    settings = current_settings()
    with open_stores(settings) as stores:
        applied = migrate.migrate(stores.database)
        established = instance.establish(stores.database, stores.redis, stores.keys, settings.environment)
    for migration in applied:
        typer.echo(f"applied {migration.number:04} {migration.name}")
    typer.echo(
        f"{'The database is at' if applied else 'Nothing to do: the database is at'} this version. {established}."
    )
