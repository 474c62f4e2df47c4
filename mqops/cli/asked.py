"""What `mqops plan` and `mqops apply` are asked to plan: which manifests, and how much of them."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mqops.cli.named import labels_of, target_called
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from mqops.settings import Settings
    from reconciler.manifests.check import Checked
    from reconciler.planning.guard import Allowances
    from reconciler.planning.saved import Basis, PlaceDocument, RequestDocument, SavedDocument
    from reconciler.planning.scope import Scope
    from reconciler.request import Planned, Request

File = Annotated[
    str | None,
    typer.Option("--file", "-f", metavar="FILE", help="One file of manifests instead of the directory; - is stdin."),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="KIND/TENANT/NAME",
        help="Only this, and what it needs; like topic/acme/orders. Repeatable.",
    ),
]
Selector = Annotated[
    str | None,
    typer.Option("--selector", "-l", metavar="KEY=VALUE,…", help="Only what has these labels, and what it needs."),
]
RefreshOnly = Annotated[
    bool, typer.Option("--refresh-only", help="Only put back what was changed outside; nothing of the manifests.")
]
TakeOver = Annotated[
    list[str] | None,
    typer.Option(
        "--take-over",
        metavar="SOURCE",
        help="A source that is no more: what it has and is declared here is handed over, the rest of it deleted.",
    ),
]

AllowDataLoss = Annotated[
    bool, typer.Option("--allow-data-loss", help="Delete also what holds unfinished messages: they are lost.")
]
AllowMassDelete = Annotated[
    list[int] | None,
    typer.Option(
        "--allow-mass-delete",
        min=1,
        metavar="N",
        help="Delete more of a source than its maxDeletes: the very number that the refusal tells.",
    ),
]
Unprotect = Annotated[
    list[str] | None,
    typer.Option("--unprotect", metavar="KIND/TENANT/NAME", help="Delete it although it is protected."),
]

Adopt = Annotated[
    bool, typer.Option("--adopt", help="Make what was made over the management API the source's that declares it.")
]

AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")]
LockTimeout = Annotated[str, typer.Option("--lock-timeout", help="How long to wait for another apply to finish.")]
ApplyOutput = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")]

_DEFAULT_DIRECTORY = Path("manifests")
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class Asked:
    """The manifests, and how much of them."""

    directory: Path | None
    """``None`` when the manifests are one file."""
    file: str | None
    scope: "Scope"
    take_over: tuple[str, ...]
    allowed: "Allowances"

    @property
    def shown_directory(self) -> str:
        """What the names of files are relative to, as the user called it."""
        if self.directory is not None:
            return str(self.directory)
        return "" if self.file in (None, _STDIN) else str(Path(str(self.file)).parent)

    def request(self, settings: "Settings") -> "Request":
        """Reads and checks the manifests. Raises ``ConfigurationError`` when they are not there, or wrong."""
        from reconciler.request import Request

        return Request(self._checked(settings), settings, self.take_over, self.scope, self.allowed)

    def document(self) -> "RequestDocument":
        """The same in writing, for a saved plan."""
        from reconciler.planning.saved import request_document

        directory = None if self.directory is None else str(self.directory)
        return request_document((directory, self.file), self.scope, self.take_over, self.allowed)

    def basis(self, planned: "Planned") -> "Basis":
        """What the plan was made from, for a saved plan."""
        from reconciler.planning.saved import Basis

        instance, settings = planned.instance, planned.request.settings
        commit = planned.request.checked.commit
        installation = None if instance is None else instance.installation
        place: PlaceDocument = {"installation": installation, "environment": settings.environment}
        return Basis(planned.request.checked, planned.observed, place, None if commit is None else commit.head)

    def given(self) -> tuple[Path, bytes]:
        """The one file, or what stands for it, and what it holds. Raises ``ConfigurationError``."""
        from reconciler.manifests.load import MAX_FILE_BYTES

        if self.file == _STDIN:
            return Path("stdin"), sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        path = Path(str(self.file))
        try:
            with path.open("rb") as opened:
                return path, opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error

    def _checked(self, settings: "Settings") -> "Checked":
        from mqops.bootstrap.control import applied_elsewhere
        from reconciler.provenance import read_commit
        from reconciler.reading import check_given, check_manifests

        lookup = applied_elsewhere(settings)
        if self.directory is not None:
            return check_manifests(self.directory, settings, lookup=lookup)
        path = Path(str(self.file))
        commit = None if self.file == _STDIN else read_commit(path.parent, path.name)
        return replace(check_given(*self.given(), settings, lookup), commit=commit)


def asked_for(
    directory: Path | None, file: str | None, scope: "Scope", take_over: list[str] | None, allowed: "Allowances"
) -> Asked:
    """What the options say. Raises ``ConfigurationError`` when they say two things."""
    if file is not None and directory is not None:
        raise ConfigurationError(f"--file {file} and {directory} are both manifests: leave one out")
    if file is None:
        directory = directory or _DEFAULT_DIRECTORY
    return Asked(directory, file, scope, tuple(take_over or ()), allowed)


def allowances_for(
    data_loss: bool, mass_delete: list[int] | None, unprotect: list[str] | None, adopt: bool
) -> "Allowances":
    """What the options let through. Raises ``ConfigurationError`` for what cannot be a resource."""
    from reconciler.planning.guard import Allowances

    unprotected = frozenset(map(target_called, unprotect or ()))
    return Allowances(data_loss, frozenset(mass_delete or ()), unprotected, adopt)


def scope_for(targets: list[str] | None, selector: str | None, *, refresh_only: bool) -> "Scope":
    """What the options limit the plan to. Raises ``ConfigurationError`` for a target that cannot be."""
    from reconciler.planning.scope import Scope

    return Scope(frozenset(map(target_called, targets or ())), labels_of(selector), refresh_only)


def asked_before(saved: "SavedDocument") -> Asked:
    """What a saved plan was asked for."""
    from reconciler.planning.saved import allowances_of, scope_of

    request = saved["request"]
    directory = None if request["directory"] is None else Path(request["directory"])
    return Asked(directory, request["file"], scope_of(request), tuple(request["take_over"]), allowances_of(request))
