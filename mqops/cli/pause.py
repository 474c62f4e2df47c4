"""`mqops pause` and `mqops unpause`: an operator's word that a subscription hands nothing out, over the HTTP API.

Whether it is reconciled is not their business: that is `mqops suspend` and `mqops resume`.
"""

import json
from typing import Annotated, Any, Literal

import typer

from mqops.cli.kinds import KindArgument, chosen_kind
from mqops.cli.named import identity_called
from mqops.durations import format_duration
from mqops.errors import ConfigurationError
from mqops.model import Identity
from mqops.override import MAX_PAUSE_MS

_Name = Annotated[str, typer.Argument(metavar="TENANT/NAME", help="Which one.")]
_Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose, when NAME stands alone.")]
_Server = Annotated[str | None, typer.Option(help="Without it, MQOPS_URL or the `mqops up` of this directory.")]
_Credential = Annotated[str | None, typer.Option(help="A key. Without it, MQOPS_CREDENTIAL or that of `mqops up`.")]
_Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("pause")(pause)
    app.command("unpause")(unpause)


def pause(
    kind: KindArgument,
    name: _Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; every plan shows it.")] = "",
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Like 2h; then it ends by itself. Or for good.")
    ] = None,
    tenant: _Tenant = None,
    server: _Server = None,
    credential: _Credential = None,
    output: _Output = "text",
) -> None:
    """Hand nothing of a subscription or a queue out, until `mqops unpause` or for a while. The backlog is kept.

    It works on what manifests declare, changes none of that, and no apply undoes it.
    """
    body: dict[str, Any] = {"reason": reason}
    if lasting is not None:
        body["forMs"] = _lasting_ms(lasting)
    identity = _called(kind, name, tenant)
    answer = _told("pause", identity, body, (server, credential))
    if output == "json":
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    until = answer["status"]["override"]["until"]
    ending = "until" if until is None else f"until {until}, or"
    typer.echo(f"{identity} is paused {ending} `mqops unpause {kind} {name}`: it hands nothing out.")


def unpause(
    kind: KindArgument,
    name: _Name,
    tenant: _Tenant = None,
    server: _Server = None,
    credential: _Credential = None,
    output: _Output = "text",
) -> None:
    """Hand out again, also what its manifest declares as paused."""
    identity = _called(kind, name, tenant)
    answer = _told("resume", identity, None, (server, credential))
    if output == "json":
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    is_declared = "override" not in answer["status"]
    ending = "" if is_declared else f", though it is declared as paused: `mqops pause {kind} {name}` ends that"
    typer.echo(f"{identity} hands out again{ending}.")


def _lasting_ms(text: str) -> int:
    """Raises ``typer.BadParameter`` for what is no duration, and for what no pause may last."""
    from mqops.cli.named import seconds_of

    lasting_ms = round(seconds_of("--for", text) * 1000)
    if not 1 <= lasting_ms <= MAX_PAUSE_MS:
        most = format_duration(MAX_PAUSE_MS)
        raise typer.BadParameter(f"a pause lasts 1ms to {most}; without --for, for good", param_hint="--for")
    return lasting_ms


def _called(kind: str, name: str, tenant: str | None) -> Identity:
    """Raises ``ConfigurationError`` for what hands nothing out."""
    chosen = chosen_kind(kind)
    if chosen.name not in ("Subscription", "Queue"):
        raise ConfigurationError(f"a {chosen.name.lower()} hands nothing out: subscriptions and queues are paused")
    return identity_called(chosen, name, tenant)


def _told(verb: str, identity: Identity, body: dict[str, Any] | None, whom: tuple[str | None, str | None]) -> Any:
    from mqops.cli.remote import find_remote

    remote = find_remote(*whom, identity.tenant)
    # A queue's subscription has the queue's name.
    return remote.call("POST", remote.path("subscriptions", identity.name, verb), body)
