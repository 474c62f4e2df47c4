"""`mqops export` and `mqops import`: manifests of what exists, so that a source may adopt it."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mqops.cli.asked import Selector
from mqops.cli.credentials import require_valid
from mqops.cli.kinds import KindArgument, chosen_kind, complete_kind
from mqops.cli.named import identity_called, labels_of
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from mqops.model import Identity


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIRECTORY]", help="Where to; without it, to standard output.")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option("--tenant", help="Only of this tenant; repeatable.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only of this kind; repeatable.", autocompletion=complete_kind),
    ] = None,
    selector: Selector = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what sources own.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="Write a sources.yaml too, that declares the files as NAME's."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write manifests of what exists and no source owns: made over the management API, or found on Redis alone.

    Applied with --adopt in the tree of a source, they change only whose it is. Of secrets there are references.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.export import Chosen
    from reconciler.export import export as export_resources
    from reconciler.export import files as files_of
    from reconciler.manifests.write import documents
    from reconciler.stores.sources import read_owned

    if directory is None and (source is not None or force):
        raise ConfigurationError("--source and --force are about files: name a DIRECTORY to write")
    kinds = frozenset(chosen_kind(text).name for text in kind or ())
    chosen = Chosen(frozenset(tenant or ()), kinds, labels_of(selector), everything)
    settings = current_settings()
    with open_stores(settings) as stores:
        found = export_resources(chosen, settings, stores)
        is_new = source is not None and source not in read_owned(stores.database)
    if not found:
        typer.echo(
            "nothing to export: sources own all that is chosen, or there is none (--all has theirs too)", err=True
        )
    elif directory is None:
        typer.echo(documents([one.text for one in found]), nl=False)
    else:
        written = files_of(found, source)
        _require_usable(source, written)
        _write(directory, written, is_forced=force)
        typer.echo(f"{_count(len(found), 'resource')} in {_count(len(written), 'file')}")
        typer.echo(f"\n{_next(directory) if is_new else _NEXT}")


def import_(
    kind: KindArgument,
    name: Annotated[str, typer.Argument(metavar="TENANT/NAME", help="Which one.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there, behind what the file has already.")
    ] = None,
) -> None:
    """Write the manifest of one resource that exists and no source owns, and say how to adopt it."""
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.export import export_one

    identity = identity_called(chosen_kind(kind), name, None)
    settings = current_settings()
    with open_stores(settings) as stores:
        found = export_one(identity, settings, stores)
    if out is None:
        typer.echo(found.text, nl=False)
        place = "a file of the source that shall have it"
    else:
        _append(out, identity, found.text)
        place = str(out)
    tree = _tree_of(out)
    where = "" if tree is not None else " and with its whole tree as TREE"
    target = "/".join(part for part in (identity.kind.lower(), identity.tenant, identity.name) if part)
    typer.echo(
        f"\nWith this in {place}{where}:\n"
        f"  mqops plan {tree or 'TREE'} --adopt --target {target}   # what adopting it changes\n"
        f"  mqops apply {tree or 'TREE'} --adopt --target {target}",
        err=True,
    )


_NEXT = """\
Next: these files go into the folder of the source that shall have what they declare, where they are not in it already.
Then plan its whole tree with --adopt. Planned alone they would be taken for all that the source declares, and what else
it has for deleted."""


def _next(directory: Path) -> str:
    """What to do with a tree of its own, whose source has nothing yet."""
    return f"Next:\n  mqops plan {shlex.quote(str(directory))} --adopt  # what adopting them changes"


def _tree_of(file: Path | None) -> str | None:
    """The directory of manifests that ``file`` is in, for a shell, where a file there says so."""
    from reconciler.manifests.authority import SOURCES_FILE

    above = () if file is None else file.parents
    found = next((folder for folder in above if (folder / SOURCES_FILE).is_file()), None)
    return None if found is None else shlex.quote(str(found))


def _require_usable(source: str | None, written: Mapping[str, str]) -> None:
    """Raises ``ConfigurationError`` for a name that no source can have."""
    from reconciler.state import NO_SOURCES

    if source in NO_SOURCES:
        raise ConfigurationError(f"{source} is what has no source: choose another name")
    if source is not None:
        require_valid(written["sources.yaml"])


def _write(directory: Path, files: Mapping[str, str], *, is_forced: bool) -> None:
    """All of them, or none where one is there already. Raises ``ConfigurationError``."""
    taken = [directory / name for name in files if os.path.lexists(directory / name)]
    if taken and not is_forced:
        others = f" and {_count(len(taken) - 1, 'other')}" if len(taken) > 1 else ""
        raise ConfigurationError(f"{taken[0]}{others} would be overwritten: name another directory, or pass --force")
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w" if is_forced else "x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        typer.echo(f"  {path}")


def _append(path: Path, identity: "Identity", text: str) -> None:
    """Behind what the file has. Raises ``ConfigurationError`` when it declares this already, or cannot be read."""
    from reconciler.manifests.load import load
    from reconciler.manifests.validate import Declared, validate

    try:
        there = path.read_bytes() if path.exists() else b""
        loaded = load(str(path), there)
        problems = [problem.message for problem in loaded.problems]
        declared = [validate(document, {}) for document in loaded.documents]
        if any(isinstance(one, Declared) and one.identity == identity for one in declared):
            problems = [f"it declares {identity} already"]
        if problems:
            raise ConfigurationError(f"{path} was left as it is: {problems[0]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as opened:
            if there:
                opened.write(b"---\n" if there.endswith(b"\n") else b"\n---\n")
            opened.write(text.encode())
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
