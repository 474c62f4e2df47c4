"""`mqops reconcile`: keep what is applied true to the manifests, once or for as long as it runs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mqops.cli.asked import LockTimeout
from mqops.cli.exit_codes import ERROR, REFUSED
from mqops.cli.log_lines import LogLines
from mqops.cli.named import seconds_of
from mqops.durations import format_duration, parse_duration
from mqops.embedded.port import url_host
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.measures import Measures


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
    lock_timeout: LockTimeout = "10s",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            min=0,
            max=65_535,
            help="With --watch: where Prometheus finds the reconciler's figures; MQOPS_RECONCILER_METRICS_PORT.",
        ),
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
    lines = LogLines(settings.log_format)
    upkeep = Upkeep(directory, settings, partial(open_stores, settings), lines.say)
    upkeep.log = lines.change if lines.is_structured else None
    upkeep.lock_timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if not watch:
        if interval is not None:
            raise typer.BadParameter("only --watch looks more than once", param_hint="--interval")
        if metrics_port is not None:
            raise typer.BadParameter("only --watch stays to be asked", param_hint="--metrics-port")
        if upkeep.look() is not Verdict.SETTLED:
            raise typer.Exit(REFUSED if upkeep.is_refused else ERROR)
        lines.say("what is applied matches the manifests")
        return
    seconds = settings.health_check_interval_seconds if interval is None else _seconds(interval)
    running = Watch(upkeep, partial(open_redis, settings), seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    lines.say(f"watching {directory}, and looking for drift every {format_duration(int(seconds * 1000))}")
    port = settings.reconciler_metrics_port if metrics_port is None else metrics_port
    with nullcontext() if port is None else _shown(upkeep.measures, settings.host, port, lines):
        running.run()
    lines.say("stopped")


@contextmanager
def _shown(measures: "Measures", host: str, port: int, lines: LogLines) -> Iterator[None]:
    """Answers Prometheus for as long as the block lasts. Raises ``ConfigurationError`` when the port cannot be had."""
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, host, measures.registry)
    except OSError as error:
        raise ConfigurationError(
            f"port {port} of {host} cannot be had for metrics ({error.strerror}): choose another --metrics-port"
        ) from error
    lines.say(f"metrics at http://{url_host(host)}:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--interval") from error
    if seconds < 1:
        raise typer.BadParameter("at least 1s", param_hint="--interval")
    return seconds
