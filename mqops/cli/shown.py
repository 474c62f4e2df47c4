"""How `mqops get` and `mqops describe` show what is applied: tables for people, JSON and YAML for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mqops.model import Identity, Kind
from reconciler.fields import leaves
from reconciler.history import Entry
from reconciler.inventory import Details, Item
from reconciler.problem import printable
from reconciler.render import value_text

_NUMBERS = {"messages": "MESSAGES", "backlog": "BACKLOG", "deadLettered": "DEAD-LETTERED", "lost": "LOST"}


def print_items(
    items: Sequence[Item], kind: Kind, output: Literal["text", "json", "yaml", "name"], *, is_single: bool
) -> None:
    """``is_single``: one was asked for by name, so programs get it bare, not in a list."""
    if output == "name":
        for item in items:
            typer.echo(_full_name(item.identity))
    elif output == "json":
        found = [item.as_json() for item in items]
        typer.echo(json.dumps(found[0] if is_single else {"items": found}, indent=2, ensure_ascii=False))
    elif output == "yaml":
        typer.echo(
            yaml.safe_dump_all((item.as_json() for item in items), sort_keys=False, allow_unicode=True), nl=False
        )
    elif not items:
        typer.echo(f"No {kind.plural}.")
    else:
        _print(_items_table(items, kind))


def _items_table(items: Sequence[Item], kind: Kind) -> Table:
    numbers = [name for name in _NUMBERS if name in items[0].numbers]
    table = _table("NAME", "MANAGED BY", "DECLARED AT", "GENERATION", "AGE", *(_NUMBERS[name] for name in numbers))
    now = datetime.now(UTC)
    for item in items:
        resource = item.applied.resource
        table.add_row(
            _full_name(item.identity),
            resource.managed_by,
            printable(str(resource.origin)),
            str(item.applied.generation),
            age_text((now - item.created_at).total_seconds()),
            *(f"{item.numbers[name]:,}" for name in numbers),
        )
    for column in table.columns[3:]:
        column.justify = "right"
    return table


def age_text(seconds: float) -> str:
    """A duration as kubectl shows it: its largest unit, rounded down."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def details_json(details: Details) -> dict[str, Any]:
    """Everything that ``print_details`` shows."""
    drift = details.drift
    return {
        **details.item.as_json(),
        "implied": [str(identity) for identity in details.implied],
        "neededBy": [str(identity) for identity in details.needed_by],
        "partitions": [
            {
                "partition": it.number,
                "last": it.last or None,
                "positions": dict(it.positions),
                "isMissing": it.is_missing,
            }
            for it in details.partitions
        ],
        "drift": None
        if drift is None
        else {
            "reason": drift.reason.value,
            "fields": [{"path": it.path, "before": it.before, "after": it.after} for it in drift.fields],
        },
        "history": [
            {
                "revision": entry.revision,
                "action": entry.action,
                "appliedAt": entry.applied_at.isoformat(),
                "actor": entry.author.actor,
                "trigger": entry.author.trigger,
                "changed": _changed(entry),
                "error": entry.error,
            }
            for entry in details.history
        ],
    }


def print_details(details: Details) -> None:
    """Everything about one resource, in sections; those with nothing in them are left out."""
    item = details.item
    resource = item.applied.resource
    _heading(str(item.identity))
    facts = {
        "uid": item.applied.uid,
        "generation": f"{item.applied.generation} (revision {item.applied.revision})",
        "managed by": resource.managed_by,
        "declared at": str(resource.origin),
        "implied by": None if resource.implied_by is None else str(resource.implied_by),
        "created": f"{item.created_at:%Y-%m-%d %H:%M:%S %Z}",
        "updated": f"{item.updated_at:%Y-%m-%d %H:%M:%S %Z}",
        **{_NUMBERS[name].lower(): f"{number:,}" for name, number in item.numbers.items()},
    }
    _print_pairs({name: value for name, value in facts.items() if value is not None})
    _section("Labels", dict(resource.labels))
    _section("Annotations", dict(resource.annotations))
    _section("Spec", {path.removeprefix("spec."): value_text(value) for path, value in leaves("spec", resource.spec)})
    _section("Brought along", {str(identity): "" for identity in details.implied})
    _section("Needed by", {str(identity): "" for identity in details.needed_by})
    if details.partitions:
        _heading("Partitions")
        _print(_partitions_table(details))
    if details.drift is not None:
        found = {
            field.path: f"{value_text(field.before)} → {value_text(field.after)}" for field in details.drift.fields
        }
        _section(f"To be repaired: {details.drift.reason.value.replace('_', ' ')}", found)
    if details.history:
        _heading("History")
        _print(_history_table(details.history))


def _partitions_table(details: Details) -> Table:
    readers = list(dict.fromkeys(name for partition in details.partitions for name in partition.positions))
    table = _table("PARTITION", "LAST", *readers)
    for partition in details.partitions:
        last = "stream is gone" if partition.is_missing else partition.last or "empty"
        positions = (partition.positions.get(name) or "none" for name in readers)
        table.add_row(str(partition.number), last, *positions)
    return table


def _history_table(history: Sequence[Entry]) -> Table:
    table = _table("REVISION", "WHEN", "WHAT", "BY", "CHANGED")
    for entry in history:
        what = entry.action if entry.error is None else f"{entry.action} failed: {entry.error}"
        when = f"{entry.applied_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        who = f"{entry.author.actor} ({entry.author.trigger})"
        table.add_row(str(entry.revision), when, printable(what), printable(who), printable(", ".join(_changed(entry))))
    return table


def _changed(entry: Entry) -> list[str]:
    """Which fields an update changed, or what a repair put back."""
    after = entry.after or {}
    if "repaired" in after:
        return [after["repaired"]["reason"].replace("_", " "), *after["repaired"]["fields"]]
    if entry.before is None or entry.after is None:
        return []
    before = dict(_told(entry.before))
    now = dict(_told(entry.after))
    return [path for path in {**before, **now} if before.get(path) != now.get(path)]


def _told(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("spec", "labels", "annotations", "managedBy"):
        yield from leaves(part, state.get(part))


def _full_name(identity: Identity) -> str:
    return f"{identity.tenant}/{identity.name}" if identity.tenant else identity.name


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    return table


def _heading(text: str) -> None:
    _print(Text(f"\n{text}" if text != "" else "", style="bold"))


def _section(title: str, pairs: Mapping[str, str]) -> None:
    if pairs:
        _heading(title)
        _print_pairs(pairs)


def _print_pairs(pairs: Mapping[str, str]) -> None:
    width = max(len(name) for name in pairs)
    for name, value in pairs.items():
        _print(Text(printable(f"  {name:<{width}}  {value}".rstrip())))


def _print(what: Table | Text) -> None:
    # Without a terminal nothing is cut to a width that nobody has.
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    console.print(what, soft_wrap=isinstance(what, Text))
