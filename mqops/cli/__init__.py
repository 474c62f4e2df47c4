"""The ``mqops`` command. A module per command or family of commands; this one only gathers them."""

from mqops.cli.app import app, main

__all__ = ["app", "main"]
