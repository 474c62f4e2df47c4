"""`mqops up`: the whole platform on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("up")(up)


def up(
    manifests: Annotated[Path, typer.Argument(help="The directory of manifests to apply and to follow.")] = Path(
        "manifests"
    ),
    accept_risk: Annotated[
        bool, typer.Option("--accept-risk", help="Start on stores that `mqops doctor` calls bad.")
    ] = False,
) -> None:
    """Run the whole platform here until Ctrl-C: servers, migrations, manifests and all processes.

    Without REDIS_URL or DATABASE_URL an embedded server of that kind is started; its data is kept in .mqops/.
    """
    # Imported here: drivers and servers take half a second that every other command would pay.
    from rich.console import Console

    from mqops.bootstrap.up import run_platform
    from mqops.cli.progress import Progress

    run_platform(manifests, Progress(Console(highlight=False)), {"MQOPS_ACCEPT_RISK": "1"} if accept_risk else {})
