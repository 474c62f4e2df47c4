"""How a command that cannot do what it was asked says so."""

import sys

from mqops.errors import ConfigurationError, MqopsError


def print_error(error: ConfigurationError | MqopsError) -> None:
    """One line on standard error; as many as there are problems for rejected manifests."""
    message = error.message if isinstance(error, MqopsError) else str(error)
    print(f"error: {message}", file=sys.stderr)
