"""`mqops explain`: what a kind or a field of it is, what it takes, and how it may change. Needs no server."""

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mqops.cli.kinds import chosen_kind, complete_kind
from mqops.cli.tables import print_line, print_pairs, print_table
from mqops.errors import ConfigurationError
from mqops.model import KINDS, Mutability, Way
from mqops.nearest import nearest

if TYPE_CHECKING:
    from reconciler.manifests.fields import Field


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("explain")(explain)


def complete_path(incomplete: str) -> list[str]:
    """The kinds and fields that a shell may complete ``incomplete`` to: those down to its next dot."""
    from reconciler.manifests.fields import fields_of, walk

    kind, dot, _ = incomplete.partition(".")
    if not dot:
        return complete_kind(incomplete)
    try:
        chosen = chosen_kind(kind)
    except ConfigurationError:
        return []
    paths = (f"{kind}.{_plain(field.path)}" for field in walk(fields_of(chosen.name)))
    return [path for path in paths if path.startswith(incomplete) and "." not in path[len(incomplete) :]]


def explain(
    what: Annotated[
        str | None,
        typer.Argument(metavar="KIND[.PATH]", help="Like topic.spec.retention.", autocompletion=complete_path),
    ] = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Explain a kind or one of its fields: type, default, limits, meaning, and how it may change; without KIND, list
    the kinds."""
    from reconciler.manifests.fields import fields_of, meaning_of

    if what is None:
        kinds = [
            {"kind": kind.name, "plural": kind.plural, "meaning": meaning_of(kind.name)} for kind in KINDS.values()
        ]
        if output == "json":
            _print_json({"kinds": kinds})
        else:
            print_table(("KIND", "PLURAL", "MEANING"), [tuple(kind.values()) for kind in kinds], left=3)
        return
    kind_text, _, path = what.partition(".")
    kind = chosen_kind(kind_text).name
    field = _found(kind, path) if path else None
    if output == "json":
        about = {"meaning": meaning_of(kind), "fields": [_as_json(it) for it in fields_of(kind)]}
        _print_json({"kind": kind, **(about if field is None else _as_json(field))})
    elif field is None:
        print_line(kind, "bold")
        print_line(f"\n{meaning_of(kind)}\n")
        _print_tree(fields_of(kind))
    else:
        _print_field(kind, field)


def _plain(path: str) -> str:
    """Without the brackets of lists: `keys[0].sha256`, `keys[].sha256` and `keys.sha256` are one field."""
    return re.sub(r"\[\d*\]", "", path)


def _found(kind: str, path: str) -> "Field":
    """The field at ``path``. Raises ``ConfigurationError`` with the nearest one when there is none."""
    from reconciler.manifests.fields import fields_of, walk

    known = {_plain(field.path): field for field in walk(fields_of(kind))}
    wanted = _plain(path)
    if wanted in known:
        return known[wanted]
    last = wanted.rpartition(".")[2]
    named = [path for path in known if path.rpartition(".")[2] == last]
    likely = named[0] if named else nearest(wanted, known)
    lister = f"`mqops explain {kind.lower()}` lists what there is"
    hint = f"did you mean {kind.lower()}.{likely}?" if likely else lister
    raise ConfigurationError(f"{kind} has no field {path!r}: {hint}")


def _print_field(kind: str, field: "Field") -> None:
    print_line(f"{kind}.{field.path}", "bold")
    print_line("")
    facts = {
        "type": ", ".join(filter(None, (field.type, field.limits))),
        "default": _default(field),
        "one of": ", ".join(field.choices),
        "form": field.form,
        "changing": "" if field.mutability is None else str(field.mutability),
    }
    print_pairs({name: fact for name, fact in facts.items() if fact})
    print_line(f"\n{field.meaning}")
    if field.mutability is not None:
        print_line("")
        print_pairs(_ways(field.mutability))
        if field.mutability.note:
            print_line(f"\nChanging it: {field.mutability.note}.")
    if field.fields:
        print_line("")
        _print_tree(field.fields)


def _ways(mutability: Mutability) -> dict[str, str]:
    ways: list[Way | None] = [mutability.way, mutability.fewer]
    return {way: way.meaning for way in ways if way is not None}


def _print_tree(fields: "tuple[Field, ...]") -> None:
    from reconciler.manifests.fields import walk

    depth = fields[0].path.count(".")
    rows = [
        (
            "  " * (field.path.count(".") - depth) + field.path.rpartition(".")[2],
            " | ".join(field.choices) or ", ".join(filter(None, (field.type, field.limits))),
            _default(field),
            "" if field.mutability is None else str(field.mutability),
        )
        for field in walk(fields)
    ]
    print_table(("FIELD", "TYPE", "DEFAULT", "CHANGING"), rows, left=4)


def _default(field: "Field") -> str:
    from reconciler.planning.wording import value_text

    if field.is_required:
        return "required"
    if field.default is None:
        return field.instead or "none"
    return value_text(field.default)


def _as_json(field: "Field") -> dict[str, Any]:
    mutability = field.mutability
    return {
        "path": field.path,
        "type": field.type,
        "meaning": field.meaning,
        "required": field.is_required,
        "default": field.default,
        "instead": field.instead or None,
        "limits": field.limits or None,
        "choices": list(field.choices),
        "form": field.form or None,
        "changing": None
        if mutability is None
        else {"way": mutability.way, "fewer": mutability.fewer, "note": mutability.note or None},
        "fields": [_as_json(inner) for inner in field.fields],
    }


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
