"""Nothing is changed that nobody approved: how a command shows a plan, asks, and holds to the answer."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import typer
from rich.status import Status

from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan
    from reconciler.request import Found


def approve(found: "Plan", working: Status, show: Callable[[], None]) -> None:
    """Shows the plan and asks. Raises ``ConfigurationError`` when it is not approved, or there is nobody to ask."""
    working.stop()
    show()
    if not found.is_empty:
        require_yes("Apply this?", "the plan")
    working.start()


def approved(
    before: "Found | None", working: Status, show: "Callable[[Found], None]", output: Literal["text", "json"]
) -> "Callable[[Found], Plan]":
    """Selects the whole plan: the same that was approved ``before``; or, when nobody was asked, any, shown in
    passing."""
    from reconciler.pipeline import require_same

    def selected(found: "Found") -> "Plan":
        if before is not None:
            require_same(before.plan, found.plan)
        elif output == "text":
            working.stop()
            show(found)
            working.start()
        return found.plan

    return selected


def require_yes(question: str, what: str, flag: str = "--auto-approve") -> None:
    """Asks. Raises ``ConfigurationError`` for any answer but yes, and when nobody is there to approve ``what``: then
    ``flag`` does."""
    if not sys.stdin.isatty():
        raise ConfigurationError(f"nobody is there to approve {what}: pass {flag}")
    if typer.prompt(f"{question} Only 'yes' is taken as approval", default="no", show_default=False) != "yes":
        raise ConfigurationError("not approved, nothing was changed")
