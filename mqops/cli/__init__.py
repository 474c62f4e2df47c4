"""The ``mqops`` command. A module per command or family of commands; ``app`` gathers them."""

import sys


def main() -> None:
    """Entry point of the console script."""
    try:
        # Imported here: Ctrl-C while the program is still loading is a Ctrl-C, not a traceback.
        from mqops.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
