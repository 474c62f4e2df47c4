"""``mqops scheduled``: what waits in a topic or queue for its time, over the data plane's HTTP API."""

import sys
from typing import Annotated, Any

import typer

from mqops.cli.messages import (
    CredentialOption,
    Output,
    OutputOption,
    ServerOption,
    TenantOption,
    message_path,
    print_json,
    print_scheduled,
    when_of,
)

_PAGE = 100

_Topic = Annotated[str, typer.Argument(help="The topic's name or id, or TENANT/NAME.")]
_Message = Annotated[str, typer.Argument(help="The message's id.")]
_Queue = Annotated[bool, typer.Option("--queue", help="TOPIC is a queue.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    commands = typer.Typer(name="scheduled", help="See and change what waits for its time.", no_args_is_help=True)
    commands.callback()(_family)
    commands.command("list")(list_all)
    commands.command("show")(show)
    commands.command("move")(move)
    commands.command("cancel")(cancel)
    app.add_typer(commands)


def _family() -> None:
    """See and change what waits for its time."""


def list_all(
    topic: _Topic,
    queue: _Queue = False,
    most: Annotated[int, typer.Option("--max", min=1, help="How many at most.")] = 100,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List what waits, next ones first."""
    remote, path = message_path(topic, tenant, server, credential, "queues" if queue else "topics")
    shown, cursor, total = 0, "", 0
    while cursor is not None and shown < most:
        page = remote.call("GET", f"{path}?limit={min(_PAGE, most - shown)}&cursor={cursor}")
        for message in page["messages"]:
            print_scheduled(message, output)
        shown, cursor, total = shown + len(page["messages"]), page["cursor"], page["total"]
    if output is Output.TEXT and shown < total:
        print(f"{total - shown} more wait: list them with --max", file=sys.stderr)
    if output is Output.TEXT and not total:
        print("nothing waits", file=sys.stderr)


def show(
    topic: _Topic,
    message: _Message,
    queue: _Queue = False,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show a message that waits."""
    remote, path = message_path(topic, tenant, server, credential, "queues" if queue else "topics", message)
    print_scheduled(remote.call("GET", path), output)


def move(
    topic: _Topic,
    message: _Message,
    delay: Annotated[str | None, typer.Option("--delay", metavar="DURATION", help="From now, like 30s or 2h.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="RFC 3339: 2026-12-24T18:00:00+01:00")] = None,
    queue: _Queue = False,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a message that waits another time."""
    remote, path = message_path(topic, tenant, server, credential, "queues" if queue else "topics", message)
    answer = remote.call("PATCH", path, when_of(delay, at))
    _tell(answer, f"{answer['id']} is due at {answer['scheduledAt']}", output)


def cancel(
    topic: _Topic,
    message: _Message,
    queue: _Queue = False,
    tenant: TenantOption = None,
    server: ServerOption = None,
    credential: CredentialOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Cancel a message that waits."""
    remote, path = message_path(topic, tenant, server, credential, "queues" if queue else "topics", message)
    answer = remote.call("DELETE", path)
    _tell(answer, f"cancelled {answer['cancelled']}", output)


def _tell(answer: dict[str, Any], text: str, output: Output) -> None:
    if output is Output.JSON:
        print_json(answer)
    else:
        print(text)
