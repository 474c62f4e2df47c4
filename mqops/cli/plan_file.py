"""Saved plans on the disk. For their owner's eyes only: they show all that manifests and catalog say."""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from mqops.errors import ConfigurationError

_MAX_BYTES = 256 * 1024**2


def write_plan(path: Path, text: str) -> None:
    """Writes it whole or not at all, and readable by nobody else (0600). Raises ``ConfigurationError``."""
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"{path} is not a file: name one to save the plan to")
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(text)
            unfinished.replace(path)
        finally:
            with suppress(FileNotFoundError):
                unfinished.unlink()
    except OSError as error:
        raise ConfigurationError(f"the plan cannot be saved to {path}: {error.strerror}") from error


def read_plan(path: Path) -> str:
    """What was written. Raises ``ConfigurationError`` when it cannot be read."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{path} is too large for a saved plan")
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not a saved plan") from error
