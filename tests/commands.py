"""``mqops`` as a subprocess: how to start it, and in which environment."""

import os
import sys

MQOPS = (sys.executable, "-m", "mqops.cli")

_SETTINGS = ("MQOPS_", "REDIS_", "DATABASE_")


def environment(**settings: str) -> dict[str, str]:
    """``settings`` in this process's environment, without the settings there: whoever runs the tests may have some."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**inherited, **settings}
