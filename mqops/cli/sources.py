"""How `mqops get sources` and `mqops describe source` show sources: their manifests' commit, and whether they are held.

A tree without ``sources.yaml`` is a source that nothing declares: it is listed too, since it can be held as well.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import typer
import yaml

from mqops.cli.shown import age_text, details_json, moment_text, print_details, section
from mqops.cli.tables import print_line, print_table
from mqops.model import API_VERSION
from reconciler.planning.holds import Pin, Suspension
from reconciler.state import NO_SOURCES
from reconciler.stores import Stores
from reconciler.stores.inventory import Details, Item
from reconciler.stores.sources import SourceState, read_owned, read_states


@dataclass(frozen=True, slots=True)
class Listed:
    """One source."""

    name: str
    item: Item | None
    """Its manifest; ``None`` when nothing declares it."""
    state: SourceState | None
    """``None`` when it was not reconciled since that is noted."""
    owned: int
    """How many resources it has."""


def read_sources(stores: Stores, items: Sequence[Item], *, is_undeclared_wanted: bool) -> list[Listed]:
    """The declared ``items`` and, when they are wanted, those that nothing declares; by name."""
    declared = {item.identity.name: item for item in items}
    states, owned = read_states(stores.database), read_owned(stores.database)
    names = {*declared, *(owned if is_undeclared_wanted else ())}.difference(NO_SOURCES)
    return [Listed(name, declared.get(name), states.get(name), owned.get(name, 0)) for name in sorted(names)]


def read_source(stores: Stores, name: str, details: Details | None) -> Listed | None:
    """One of them; ``None`` when there is none of this name."""
    found = read_sources(stores, [] if details is None else [details.item], is_undeclared_wanted=True)
    return next((one for one in found if one.name == name), None)


def print_sources(
    sources: Sequence[Listed], output: Literal["text", "wide", "json", "yaml", "name"], *, is_single: bool
) -> None:
    """``is_single``: one was asked for by name, so programs get it bare, not in a list."""
    found = [source_json(one) for one in sources]
    if output == "name":
        for one in sources:
            typer.echo(one.name)
    elif output == "json":
        typer.echo(json.dumps(found[0] if is_single else {"items": found}, indent=2, ensure_ascii=False))
    elif output == "yaml":
        typer.echo(yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True), nl=False)
    else:
        rows = [(one.name, _hold_text(one.state), _manifests_text(one.state), str(one.owned)) for one in sources]
        print_table(("NAME", "STATE", "MANIFESTS", "RESOURCES"), rows, left=3)


def print_source(source: Listed, details: Details | None, output: Literal["text", "json"]) -> None:
    """All about one."""
    if output == "json":
        about = {} if details is None else details_json(details)
        typer.echo(json.dumps({**about, **source_json(source)}, indent=2, ensure_ascii=False))
        return
    if details is None:
        print_line(f"Source {source.name}", "bold")
        print_line("  declared by no sources.yaml")
    else:
        print_details(details)
    state = source.state
    section("Reconciling", {"manifests": _manifests_text(state), "resources": str(source.owned)})
    if state is not None and state.suspension is not None:
        section("Suspended", {**_who(state.suspension), "reason": state.suspension.reason or "none given"})
    if state is not None and state.pin is not None:
        section("Pinned", {**_who(state.pin), "to revision": str(state.pin.revision)})


def source_json(source: Listed) -> dict[str, Any]:
    """Its manifest, as far as it has one, and its status."""
    bare: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "Source", "metadata": {"name": source.name}}
    manifest = bare if source.item is None else source.item.as_json()
    state = source.state
    suspension, pin = (None, None) if state is None else (state.suspension, state.pin)
    status = {
        "commit": None if state is None or state.commit is None else str(state.commit),
        "digest": None if state is None else state.content.digest or None,
        "reconciledAt": None if state is None or state.reconciled_at is None else state.reconciled_at.isoformat(),
        "resources": source.owned,
        "suspended": None
        if suspension is None
        else {"by": suspension.by, "since": suspension.since.isoformat(), "reason": suspension.reason or None},
        "pinned": None if pin is None else {"by": pin.by, "since": pin.since.isoformat(), "revision": pin.revision},
    }
    known = {} if source.item is None else manifest["status"]
    return {**manifest, "status": {**known, **status}}


def _hold_text(state: SourceState | None) -> str:
    if state is not None and state.suspension is not None:
        return "suspended"
    if state is not None and state.pin is not None:
        return f"pinned to revision {state.pin.revision}"
    return "reconciled"


def _manifests_text(state: SourceState | None) -> str:
    """What was last reconciled, and since when it is the same."""
    if state is None or state.reconciled_at is None:
        return "none known"
    what = f"sha256 {state.content.digest[:12]}" if state.commit is None else state.commit.short
    return f"{what}, {age_text((datetime.now(UTC) - state.reconciled_at).total_seconds())} ago"


def _who(hold: Suspension | Pin) -> dict[str, str]:
    return {"by": hold.by, "since": moment_text(hold.since)}
