"""`mqops doctor`: whether the stores would lose messages or belong to another installation."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from reconciler.stores.doctor import Finding

_STYLES = {"ok": "green", "bad": "bold red", "unknown": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("doctor", help="Check what would lose messages or mix up installations.")(doctor)


def doctor(
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Exit code 1 when something is bad; what a server will not tell is unknown, which is not bad."""
    from mqops.bootstrap.control import current_settings, examine_stores

    findings = examine_stores(current_settings())
    if output == "json":
        typer.echo(json.dumps({"checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _print(findings)
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(1)


def _print(findings: "list[Finding]") -> None:
    console = Console(highlight=False)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        line = Text.assemble(
            (f"{finding.verdict:<8}", _STYLES[finding.verdict]), f"{finding.check:<{width}}  {finding.found}"
        )
        if finding.remedy:
            line.append(f"\n{'':8}{'':{width}}  → {finding.remedy}")
        console.print(line, soft_wrap=True)
