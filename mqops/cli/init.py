"""`mqops init`: a starter tree of manifests, with what an editor needs to complete them without a network."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mqops.errors import ConfigurationError

_SCHEMA = ".schema/manifest.schema.json"
"""Hidden, and so no manifest."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("init")(init)


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIRECTORY]", help="Where to; made when it is not there.")
    ] = Path("manifests"),
) -> None:
    """Write a tree of manifests to start from: a tenant with a topic, who reads it, and a schema for the editor.

    Overwrites nothing: a directory that has manifests, or a file in the way, is refused.
    """
    files = _files()
    _refuse_what_is_there(directory, files)
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:  # whatever came there meanwhile stays
                opened.write(text)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        typer.echo(f"  {path}")
    typer.echo(_next_steps(directory))


def _files() -> dict[str, str]:
    """What is written, by its path within the directory."""
    from mqops.cli.starter import manifests
    from reconciler.manifests.schema import schemas

    schema = json.dumps(schemas()["manifest.schema.json"], indent=2, ensure_ascii=False) + "\n"
    written = {}
    for name, text in manifests().items():
        to_top = "../" * name.count("/")
        written[name] = f"# yaml-language-server: $schema={to_top}{_SCHEMA}\n{text}"
    return {**written, _SCHEMA: schema}


def _refuse_what_is_there(directory: Path, files: Mapping[str, str]) -> None:
    """Raises ``ConfigurationError`` when ``directory`` has a manifest, or a file that would be overwritten."""
    from reconciler.manifests.source import find

    if not os.path.lexists(directory):
        return
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is not a directory: name another")
    manifests = find(directory).files
    if manifests:
        raise ConfigurationError(
            f"{directory} has manifests already ({manifests[0].name}): name another directory, or "
            f"`mqops explain` what you want to add"
        )
    taken = [name for name in files if os.path.lexists(directory / name)]
    if taken:
        raise ConfigurationError(f"{directory / taken[0]} is there already: name another directory")


def _next_steps(directory: Path) -> str:
    place = shlex.quote(str(directory))
    steps = {
        f"mqops validate {place}": "check them, also after every change",
        f"mqops up {place}": "start everything here, apply them, and follow the files",
        "mqops listen": "in another terminal: stand in for the webhook",
        """mqops publish acme/orders -d '{"id": 1, "total": 150.0}'""": "in a third: billing gets it",
        "mqops pull acme/reports --ack": "and so does who pulls",
    }
    width = max(map(len, steps))
    return "\n".join(("\nNext:", *(f"  {command:<{width}}  # {why}" for command, why in steps.items())))
