"""`mqops history`: what was applied, when, by whom and from which commit."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.stores.revisions import Recorded, Revision

Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")]

_PAGE = 20
_MOST = 1_000_000
"""Revisions that are read at once."""

_history = typer.Typer(invoke_without_command=True, help="Show what was applied, the latest first.")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(_history, name="history")


@_history.callback()
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="How many.")] = _PAGE,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only of this source.")] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="REVISION", min=1, max=2**63 - 1, help="Only earlier ones: the next page."),
    ] = None,
    output: Output = "text",
) -> None:
    """Show what was applied, the latest first: when, by whom, from which commit, and what came of it.

    `mqops history show REVISION` shows the changes of one.
    """
    if context.invoked_subcommand is not None:
        return
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import require_same_installation
    from reconciler.stores.revisions import read_revisions
    from reconciler.stores.sources import require_known

    settings = current_settings()
    with open_stores(settings) as stores:
        require_same_installation(settings, stores)
        found = read_revisions(stores.database, limit + 1, before, source)  # one more tells whether there are more
        if source is not None and not found:
            require_known(stores.database, [source])
    page, following = found[:limit], found[limit - 1].number if len(found) > limit else None
    if output == "json":
        answer = {"revisions": [_revision_json(one) for one in page], "before": following}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    _print_revisions(page)
    if following is not None:
        chosen = "" if source is None else f" --source {source}"
        number = "" if limit == _PAGE else f" --limit {limit}"
        typer.echo(f"\nEarlier ones: mqops history{chosen}{number} --before {following}")


@_history.command("show")
def show(
    revision: Annotated[int, typer.Argument(metavar="REVISION", min=1, help="`mqops history` lists them.")],
    output: Output = "text",
) -> None:
    """Show each change of a revision, with its fields before and after, and why some failed."""
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import require_same_installation
    from reconciler.stores.revisions import read_changes, read_revision

    settings = current_settings()
    with open_stores(settings) as stores:
        require_same_installation(settings, stores)
        found = read_revision(stores.database, revision)
        changes = read_changes(stores.database, revision)
    if output == "json":
        answer = {**_revision_json(found), "changes": list(_changes_json(changes))}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _print_revision(found)
        _print_changes(changes)


def _print_revisions(revisions: "Sequence[Revision]") -> None:
    from mqops.cli.shown import moment_text
    from mqops.cli.tables import print_table
    from reconciler.manifests.problem import printable

    if not revisions:
        typer.echo("Nothing was applied.")
        return
    rows = [
        (
            str(one.number),
            moment_text(one.applied_at),
            f"{one.author.actor} ({one.author.trigger})",
            "" if one.author.commit is None else one.author.commit.short,
            ", ".join(one.sources),
            _result_text(one),
        )
        for one in revisions
    ]
    table = [tuple(map(printable, row)) for row in rows]
    print_table(("REVISION", "WHEN", "BY", "COMMIT", "SOURCES", "RESULT"), table, left=6)


def _print_revision(revision: "Revision") -> None:
    from mqops.cli.shown import moment_text
    from mqops.cli.tables import print_line, print_pairs

    print_line(f"Revision {revision.number}", "bold")
    facts = {
        "when": f"{moment_text(revision.applied_at)} UTC",
        "by": f"{revision.author.actor} ({revision.author.trigger})",
        "commit": "" if revision.author.commit is None else str(revision.author.commit),
        "sources": ", ".join(revision.sources),
        "result": _result_text(revision),
    }
    print_pairs({name: value for name, value in facts.items() if value})


def _print_changes(changes: "Sequence[Recorded]") -> None:
    from mqops.cli.plan_shown import STYLES
    from mqops.cli.shown import heading
    from mqops.cli.tables import print_line
    from reconciler.manifests.problem import printable
    from reconciler.planning.render import change_lines

    for title, chosen in (
        ("Changes", [one for one in changes if one.error is None]),
        ("Failed", [one for one in changes if one.error is not None]),
    ):
        if chosen:
            heading(title)
        for one in chosen:
            for about, line in change_lines(one.change, ""):
                print_line(line, STYLES[about])
            if one.error is not None:
                print_line(f"      {printable(one.error)}", STYLES["refused"])


def _result_text(revision: "Revision") -> str:
    """Like ``3 created, 1 failed``, or what else was done."""
    from reconciler.apply import counts_text

    counts = counts_text(revision.summary)
    return "; ".join(filter(None, (counts, revision.author.note))) or _ACTS.get(revision.author.trigger, "no changes")


_COUNTS = {"failed": "failed", "stopped": "not_done"}
"""What a revision came to that is not done → what counts it."""
_ACTS = {"suspend": "suspended", "resume": "resumed"}


def _revision_json(revision: "Revision") -> dict[str, Any]:
    commit = revision.author.commit
    return {
        "revision": revision.number,
        "appliedAt": revision.applied_at.isoformat(),
        "actor": revision.author.actor,
        "trigger": revision.author.trigger,
        "commit": None if commit is None else str(commit),
        "note": revision.author.note or None,
        "sources": list(revision.sources),
        "summary": dict(revision.summary),
        "result": next((word for word in ("failed", "stopped") if revision.summary.get(_COUNTS[word])), "done"),
    }


def _changes_json(changes: "Sequence[Recorded]") -> "Iterator[dict[str, Any]]":
    from reconciler.planning.render import change_json

    return ({**change_json(one.change), "error": one.error} for one in changes)
