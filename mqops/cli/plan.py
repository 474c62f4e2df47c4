"""`mqops plan` and `mqops apply`: what the manifests would change, and changing it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.status import Status

from mqops.cli.approval import approve
from mqops.cli.asked import (
    Adopt,
    AllowDataLoss,
    AllowMassDelete,
    ApplyOutput,
    Asked,
    AutoApprove,
    File,
    LockTimeout,
    RefreshOnly,
    Selector,
    TakeOver,
    Targets,
    Unprotect,
    allowances_for,
    asked_before,
    asked_for,
    scope_for,
)
from mqops.cli.exit_codes import ERROR, PENDING, REFUSED
from mqops.cli.log_lines import LogLines
from mqops.cli.named import seconds_of
from mqops.cli.plan_file import read_plan, write_plan
from mqops.cli.plan_shown import print_json, show, tell, tell_holds
from mqops.cli.progress import working
from mqops.cli.under_way import UnderWay
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from mqops.settings import Settings
    from reconciler.journal import Line
    from reconciler.planning.plan import Plan
    from reconciler.request import Planned

    Select = Callable[[Planned], Plan]

Directory = Annotated[
    Path | None, typer.Argument(metavar="DIRECTORY", show_default="manifests", help="The directory of manifests.")
]
DirectoryOrPlan = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIRECTORY|PLAN",
        show_default="manifests",
        help="The directory of manifests, or a plan that was saved with `mqops plan --out`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("plan")(plan)
    app.command("apply")(apply)


def plan(
    directory: Directory = None,
    file: File = None,
    target: Targets = None,
    selector: Selector = None,
    refresh_only: RefreshOnly = False,
    take_over: TakeOver = None,
    allow_data_loss: AllowDataLoss = False,
    allow_mass_delete: AllowMassDelete = None,
    unprotect: Unprotect = None,
    adopt: Adopt = False,
    output: Annotated[
        Literal["text", "json", "markdown"], typer.Option("--output", "-o", help="text, json or markdown")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PLAN", help="Save the plan, for `mqops apply PLAN`.")
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when something is to change, or held back.")
    ] = False,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Have this server plan; no store is needed here.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="With --server: whose manifests these are.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="With --server: act in this tenant.")] = None,
    credential_file: Annotated[
        Path | None,
        typer.Option("--credential-file", metavar="FILE", help="With --server: has the key. Else MQOPS_CREDENTIAL."),
    ] = None,
) -> None:
    """Show what applying the manifests would change; change nothing.

    With --server, a server plans what it is sent, as whom the credential says: a tenant's sees its own.

    Exit code 1 when the manifests have problems, 3 when a change is refused.
    """
    # Drivers are imported inside the commands, as everywhere: the others should not wait for them.
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.pipeline import plan_manifests
    from reconciler.planning import saved

    scope = scope_for(target, selector, refresh_only=refresh_only)
    allowed = allowances_for(allow_data_loss, allow_mass_delete, unprotect, adopt)
    asked = asked_for(directory, file, scope, take_over, allowed)
    if server is not None:
        from mqops.cli.plan_sent import Elsewhere, plan_elsewhere

        if out is not None:
            raise ConfigurationError(
                "a server's plan cannot be saved: what it was made from is not here to be compared when it is applied. "
                "Leave out --out, or plan with DATABASE_URL and REDIS_URL"
            )
        with working("planning"), _problems_as(output):
            sent = plan_elsewhere(asked, Elsewhere(server, source, tenant, credential_file), output)
        sent.show(output)
        _finish(is_refused=sent.is_refused, is_pending=detailed_exitcode and sent.is_pending)
        return
    if source is not None or tenant is not None or credential_file is not None:
        raise ConfigurationError("--source, --tenant and --credential-file say what to ask a server: add --server URL")
    settings = current_settings()
    with working("planning"), _problems_as(output):
        request = asked.request(settings)
        with open_stores(settings) as stores:
            planned = plan_manifests(request, stores)
    found = planned.plan
    if out is not None:
        write_plan(out, saved.write(found, asked.basis(planned), asked.document(), planned.document))
    if output == "json":
        print_json(planned.document)
    else:
        show(found, asked.shown_directory, output, planned.holds)
    tell_holds(planned)
    _finish(is_refused=bool(found.refused), is_pending=detailed_exitcode and planned.is_pending)


def _finish(*, is_refused: bool, is_pending: bool) -> None:
    if is_refused:
        raise typer.Exit(REFUSED)
    if is_pending:
        raise typer.Exit(PENDING)


def apply(
    directory: DirectoryOrPlan = None,
    file: File = None,
    target: Targets = None,
    selector: Selector = None,
    refresh_only: RefreshOnly = False,
    take_over: TakeOver = None,
    allow_data_loss: AllowDataLoss = False,
    allow_mass_delete: AllowMassDelete = None,
    unprotect: Unprotect = None,
    adopt: Adopt = False,
    auto_approve: AutoApprove = False,
    lock_timeout: LockTimeout = "10s",
    output: ApplyOutput = "text",
) -> None:
    """Apply the manifests: show the plan, ask, and carry it out.

    With a saved plan, exactly that is done, or nothing when what it was made from has moved.

    Ctrl-C stops it between changes: what is done by then stays, the next apply does the rest. A second one aborts.

    Exit code 1 when a change failed or was not done, 3 when one is refused, a source is held, or the saved plan is
    stale; other changes are made all the same.
    """
    timeout_seconds = seconds_of("--lock-timeout", lock_timeout)
    if output == "json" and not auto_approve:
        raise ConfigurationError("-o json leaves nobody to ask: pass --auto-approve with it")
    scope = scope_for(target, selector, refresh_only=refresh_only)
    allowed = allowances_for(allow_data_loss, allow_mass_delete, unprotect, adopt)
    if directory is not None and directory.is_file():
        if (
            file is not None
            or take_over
            or not scope.is_whole
            or any((allow_data_loss, allow_mass_delete, unprotect, adopt))
        ):
            raise ConfigurationError(f"{directory} says itself what it covers: leave the options out, or plan again")
        asked, select = _saved(directory)
    else:
        asked, select = asked_for(directory, file, scope, take_over, allowed), _whole
    _apply(asked, select, _Manner(auto_approve, timeout_seconds, output))


@dataclass(frozen=True, slots=True)
class _Manner:
    """How to apply."""

    is_approved: bool
    lock_timeout_seconds: float
    output: Literal["text", "json"]


def _apply(asked: Asked, select: "Select", manner: _Manner) -> None:
    from mqops.bootstrap.control import current_settings, open_stores
    from reconciler.journal import journal
    from reconciler.pipeline import apply_manifests, author_of, exactly, plan_manifests
    from reconciler.request import Execution

    settings = current_settings()
    with working("planning") as status, _problems_as(manner.output):
        request = asked.request(settings)
        with open_stores(settings) as stores:
            if manner.is_approved:
                select = _showing(select, status, asked, manner.output)
            else:
                planned = plan_manifests(request, stores)
                found = select(planned)
                approve(found, status, lambda: show(found, asked.shown_directory, "text", planned.holds))
                select = exactly(found, select)
            status.update("applying")
            execution = Execution(author_of("apply"), select, manner.lock_timeout_seconds, UnderWay(status))
            planned, report = apply_manifests(request, stores, execution)
    log_changes(settings, journal(report, planned.plan, replace(execution.author, commit=request.checked.commit)))
    tell(report, planned.plan, manner.output, planned.holds, planned.held_back)
    tell_holds(planned)
    if not report.is_complete:
        raise typer.Exit(ERROR)
    if planned.plan.refused or planned.holds:
        raise typer.Exit(REFUSED)


def log_changes(settings: "Settings", lines: "Iterable[Line]") -> None:
    """A line a change on standard error, where the settings give logs a form."""
    log = LogLines(settings.log_format, to_stderr=True)
    if log.is_structured:
        log.changes(lines)


def _whole(planned: "Planned") -> "Plan":
    return planned.plan


def _saved(path: Path) -> "tuple[Asked, Select]":
    """What a saved plan was asked for, and how to do just what it says."""
    from reconciler.planning import saved, staleness

    document = saved.read(str(path), read_plan(path))
    asked = asked_before(document)
    return asked, lambda planned: staleness.select(document, planned.plan, asked.basis(planned))


@contextmanager
def _problems_as(output: Literal["text", "json", "markdown"]) -> Iterator[None]:
    """Who reads JSON finds what is wrong with the manifests there, too, in the words of `mqops validate`."""
    from reconciler.reading import ManifestsRejected

    try:
        yield
    except ManifestsRejected as error:
        if output == "json":
            print_json({"problems": [problem.as_json() for problem in error.problems]})
        raise


def _showing(select: "Select", working: Status, asked: Asked, output: Literal["text", "json"]) -> "Select":
    """Takes what is selected as approved, and shows it in passing."""

    def shown(planned: "Planned") -> "Plan":
        found = select(planned)
        if output == "text":
            working.stop()
            show(found, asked.shown_directory, "text", planned.holds)
            working.start()
        return found

    return shown
