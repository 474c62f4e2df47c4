"""How `mqops get` and `mqops describe` show what is applied: tables for people, JSON and YAML for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import typer
import yaml

from mqops.cli.tables import print_line, print_pairs, print_table
from mqops.model import Identity, Kind
from mqops.status import Status, conditions, moment_of
from reconciler.manifests.problem import printable
from reconciler.planning.beside import moment, of_ms, override_text, suspended_text
from reconciler.planning.drift_shown import known_of, what
from reconciler.planning.fields import leaves
from reconciler.planning.wording import value_text
from reconciler.stores.history import Entry
from reconciler.stores.inventory import Details, Item, Partition

_NUMBERS = {"messages": "MESSAGES", "backlog": "BACKLOG", "deadLettered": "DEAD-LETTERED", "lost": "LOST"}
_MOST_LISTED = 20


def print_items(
    items: Sequence[Item], kind: Kind, output: Literal["text", "wide", "json", "yaml", "name"], *, is_single: bool
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
        _print_items_table(items, is_wide=output == "wide")


def moment_text(when: datetime) -> str:
    """To the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _print_items_table(items: Sequence[Item], *, is_wide: bool) -> None:
    numbers = [name for name in _NUMBERS if name in items[0].numbers]
    beside = [_beside_text(item) for item in items]
    held = ["HELD"] if any(beside) else []
    status = ["READY", "REASON", "SINCE", "MESSAGE"] if is_wide else ["READY"]
    columns = ("NAME", *status, "MANAGED BY", "DECLARED AT", *held)
    header = (*columns, "GENERATION", "AGE", *(_NUMBERS[name] for name in numbers))
    now = datetime.now(UTC)
    rows = [
        (
            _full_name(item.identity),
            *_status_texts(item.status, is_wide=is_wide),
            item.applied.resource.managed_by,
            printable(str(item.applied.resource.origin)),
            *([told] if held else []),
            str(item.applied.generation),
            age_text((now - item.created_at).total_seconds()),
            *(f"{item.numbers[name]:,}" for name in numbers),
        )
        for item, told in zip(items, beside, strict=True)
    ]
    print_table(header, rows, left=len(columns))


def _status_texts(status: Status, *, is_wide: bool) -> tuple[str, ...]:
    """Whether it is ready; and why not, in brief or with since when and all there is to say."""
    if is_wide:
        ready, since = str(status.is_ready), moment_of(status.ready_since_ms)
        return ready, status.reason, since, printable(status.message)
    return ("True" if status.is_ready else f"False ({status.reason})",)


def _print_conditions(status: Status) -> None:
    rows = [
        tuple(printable(str(one[name])) for name in ("type", "status", "reason", "lastTransitionTime", "message"))
        for one in conditions(status)
    ]
    print_table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows, left=5)


def _beside_text(item: Item) -> str:
    """Like ``paused until 2026-11-28T03:00:00Z, suspended``; `mqops describe` says the rest."""
    told: list[str] = []
    if item.override is not None:
        until_ms = item.override.until_ms
        told.append(item.override.word + ("" if until_ms is None else f" until {moment(of_ms(until_ms))}"))
    if item.suspended is not None:
        told.append("suspended")
    return ", ".join(told)


def _held_text(item: Item) -> str | None:
    """That it is suspended, or what it belongs to."""
    if item.suspended is None:
        return None
    text = suspended_text(item.suspended.suspended)
    return text if item.suspended.identity == item.identity else f"{item.suspended.identity} is {text}"


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
            "message": drift.message,
            "changedBy": drift.changed_by,
            "changedAt": None if drift.changed_at is None else moment(drift.changed_at),
            "firstSeenAt": None if drift.first_seen_at is None else moment(drift.first_seen_at),
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
    print_line(str(item.identity), "bold")
    facts = {
        "uid": item.applied.uid,
        "generation": f"{item.applied.generation} (revision {item.applied.revision})",
        "managed by": resource.managed_by,
        "declared at": str(resource.origin),
        "implied by": None if resource.implied_by is None else str(resource.implied_by),
        "created": f"{item.created_at:%Y-%m-%d %H:%M:%S %Z}",
        "updated": f"{item.updated_at:%Y-%m-%d %H:%M:%S %Z}",
        **{_NUMBERS[name].lower(): f"{number:,}" for name, number in item.numbers.items()},
        "override": None if item.override is None else override_text(item.override),
        "held": _held_text(item),
    }
    print_pairs({name: value for name, value in facts.items() if value is not None})
    heading("Conditions")
    _print_conditions(item.status)
    section("Labels", dict(resource.labels))
    section("Annotations", dict(resource.annotations))
    section("Spec", {path.removeprefix("spec."): value_text(value) for path, value in leaves("spec", item.spec)})
    section("Brought along", _listed(details.implied))
    section("Needed by", _listed(details.needed_by))
    if details.partitions:
        heading("Partitions")
        _print_partitions(details.partitions)
    if details.drift is not None:
        found = {
            field.path: f"{value_text(field.before)} → {value_text(field.after)}" for field in details.drift.fields
        }
        if details.drift.message:
            found["not repaired"] = printable(details.drift.message)
        section(f"Drift: {what(details.drift)}{known_of(details.drift)}", found)
    if details.history:
        heading("History")
        _print_history(details.history)


def _print_partitions(partitions: Sequence[Partition]) -> None:
    readers = list(dict.fromkeys(name for partition in partitions for name in partition.positions))
    rows = []
    for partition in partitions:
        last = "stream is gone" if partition.is_missing else partition.last or "empty"
        rows.append((str(partition.number), last, *(partition.positions.get(name) or "none" for name in readers)))
    print_table(("PARTITION", "LAST", *readers), rows, left=2 + len(readers))


def _print_history(history: Sequence[Entry]) -> None:
    rows = []
    for entry in history:
        what = entry.action if entry.error is None else f"{entry.action} failed: {entry.error}"
        when = moment_text(entry.applied_at)
        who = f"{entry.author.actor} ({entry.author.trigger})"
        told = (what, who, ", ".join(_changed(entry)))
        rows.append((str(entry.revision), when, *map(printable, told)))
    print_table(("REVISION", "WHEN", "WHAT", "BY", "CHANGED"), rows, left=5)


def _changed(entry: Entry) -> list[str]:
    """Which fields an update changed, what a repair put back, or what a rename renamed."""
    after = entry.after or {}
    if "repaired" in after:
        fields = after["repaired"]["fields"]
        # Early versions recorded the paths alone.
        paths = [field if isinstance(field, str) else field["path"] for field in fields]
        return [after["repaired"]["reason"].replace("_", " "), *paths]
    if entry.before is None or entry.after is None:
        return []
    before = dict(_told(entry.before))
    now = dict(_told(entry.after))
    renamed = [f"from {after['renamedFrom']}"] if "renamedFrom" in after else []
    return renamed + [path for path in {**before, **now} if before.get(path) != now.get(path)]


def _told(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("spec", "labels", "annotations", "managedBy"):
        yield from leaves(part, state.get(part))


def _full_name(identity: Identity) -> str:
    return f"{identity.tenant}/{identity.name}" if identity.tenant else identity.name


def heading(text: str) -> None:
    """An empty line and a title."""
    print_line("")
    print_line(text, "bold")


def section(title: str, pairs: Mapping[str, str]) -> None:
    """A title with names and values below; nothing when there are none."""
    if pairs:
        heading(title)
        print_pairs(pairs)


def _listed(identities: Sequence[Identity]) -> dict[str, str]:
    """The first of them: what a tenant is needed by would fill screens."""
    shown = {str(identity): "" for identity in identities[:_MOST_LISTED]}
    return shown if len(identities) <= _MOST_LISTED else {**shown, f"and {len(identities) - _MOST_LISTED} more": ""}
