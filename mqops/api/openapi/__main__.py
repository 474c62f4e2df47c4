"""Writes ``schemas/openapi.json``: ``python -m mqops.api.openapi``; with ``--check`` it only says whether it is as
generated."""

import argparse
import sys
from pathlib import Path

from mqops.api.openapi.serve import description_text

_FILE = Path(__file__).parents[3] / "schemas" / "openapi.json"


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when it is out of date and was only to be checked."""
    parser = argparse.ArgumentParser(description="Writes schemas/openapi.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is out of date")
    parser.add_argument("--file", type=Path, default=_FILE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.file.exists() and options.file.read_bytes() == description_text():
        return 0
    if options.check:
        print(f"{options.file.name} is not as it is generated: run python -m mqops.api.openapi", file=sys.stderr)
        return 1
    options.file.write_bytes(description_text())
    print(options.file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
