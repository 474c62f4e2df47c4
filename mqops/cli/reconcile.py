"""`mqops reconcile`: keep what is applied true to the manifests, once or for as long as it runs."""

import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mqops.cli.exit_codes import ERROR, REFUSED
from mqops.durations import format_duration, parse_duration


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("reconcile")(reconcile)


def reconcile(
    directory: Annotated[Path, typer.Argument(help="The directory of manifests.")] = Path("manifests"),
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and follow changes and drift.")] = False,
    interval: Annotated[
        str | None,
        typer.Option("--interval", help="With --watch: between looks while nothing seems to happen, like 30s."),
    ] = None,
) -> None:
    """Apply the manifests without asking, and repair what was changed outside.

    With --watch, stays until SIGTERM or Ctrl-C: a saved file is applied at once, a broken one is reported and changes
    nothing, and what someone destroyed is put back. A line per event.

    Exit code 1 when something failed, 3 when a change is refused or a source is held.
    """
    from mqops.bootstrap.control import current_settings, open_redis, open_stores
    from reconciler.loop import Watch
    from reconciler.upkeep import Upkeep, Verdict

    settings = current_settings()
    upkeep = Upkeep(directory, settings, partial(open_stores, settings), _say)
    if not watch:
        if interval is not None:
            raise typer.BadParameter("only --watch looks more than once", param_hint="--interval")
        if upkeep.look() is not Verdict.SETTLED:
            raise typer.Exit(REFUSED if upkeep.is_refused else ERROR)
        _say("what is applied matches the manifests")
        return
    seconds = settings.health_check_interval_seconds if interval is None else _seconds(interval)
    running = Watch(upkeep, partial(open_redis, settings), seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    _say(f"watching {directory}, and looking for drift every {format_duration(int(seconds * 1000))}")
    running.run()
    _say("stopped")


def _say(text: str) -> None:
    typer.echo(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--interval") from error
    if seconds < 1:
        raise typer.BadParameter("at least 1s", param_hint="--interval")
    return seconds
