"""The three processes of the platform that `mqops up` runs beside the servers."""

import sys

from mqops.embedded.process import Program

_BEYOND_DRAIN_SECONDS = 8.0  # `serve` gives its workers 5 s beyond the drain


def platform_programs(manifests: str, drain_seconds: float, environment: dict[str, str]) -> tuple[Program, ...]:
    """`reconcile`, `work` and `serve`, in the order to start them; the last is the first to stop."""
    return tuple(
        Program(
            name=arguments[0],
            command=(sys.executable, "-m", "mqops.cli", *arguments),
            mark=f"-m mqops.cli {arguments[0]}",
            environment=environment,
            grace_seconds=drain_seconds + _BEYOND_DRAIN_SECONDS,
        )
        for arguments in (("reconcile", "--watch", manifests), ("work",), ("serve",))
    )
