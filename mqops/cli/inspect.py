"""`mqops get`, `mqops describe` and `mqops wait`: what is applied, and how it fares."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mqops.cli.kinds import KindArgument, chosen_kind
from mqops.cli.named import identity_called, labels_of
from mqops.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.state import Applied

_POLL_SECONDS = 0.5

TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("get")(get)
    app.command("describe")(describe)
    app.command("wait")(wait)


def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(metavar="[TENANT/NAME]", help="Only this one.")] = None,
    tenant: TenantOption = None,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", help="Only with these labels: key=value,key=value.")
    ] = None,
    output: Annotated[
        Literal["text", "wide", "json", "yaml", "name"],
        typer.Option("--output", "-o", help="text, wide, json, yaml or name"),
    ] = "text",
) -> None:
    """List what is applied, with live numbers of topics, queues and subscriptions."""
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.shown import print_items
    from mqops.cli.sources import print_sources, read_sources
    from reconciler.stores.inventory import read_items

    chosen = chosen_kind(kind)
    wanted = None if name is None else identity_called(chosen, name, tenant)
    labels = labels_of(selector)

    def is_chosen(applied: "Applied") -> bool:
        identity = applied.resource.identity
        return (
            identity.kind == chosen.name
            and (wanted is None or identity == wanted)
            and (tenant is None or tenant in (identity.tenant, identity.name if not chosen.has_tenant else ""))
            and labels.items() <= applied.resource.labels.items()
        )

    with open_stores(current_settings()) as stores:
        items = read_items(stores, is_chosen)
        if chosen.name == "Source":
            sources = read_sources(stores, items, is_undeclared_wanted=not labels and tenant is None)
            sources = [one for one in sources if name in (None, one.name)]
            if sources:
                print_sources(sources, output, is_single=name is not None)
                return
    if wanted is not None and not items:
        raise ConfigurationError(f"there is no {wanted}: `mqops get {chosen.plural}` lists what there is")
    print_items(items, chosen, output, is_single=wanted is not None)


def describe(
    kind: KindArgument,
    name: Annotated[str, typer.Argument(metavar="TENANT/NAME", help="Which one.")],
    tenant: TenantOption = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Show all about one resource: its settings, what belongs to it, its partitions and positions, its history."""
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.shown import details_json, print_details
    from mqops.cli.sources import print_source, read_source
    from reconciler.stores.inventory import read_details

    chosen = chosen_kind(kind)
    identity = identity_called(chosen, name, tenant)
    with open_stores(current_settings()) as stores:
        details = read_details(stores, identity)
        source = read_source(stores, name, details) if chosen.name == "Source" else None
    if source is not None:
        print_source(source, details, output)
        return
    if details is None:
        raise ConfigurationError(f"there is no {identity}: `mqops get {chosen.plural}` lists what there is")
    if output == "json":
        typer.echo(json.dumps(details_json(details), indent=2, ensure_ascii=False))
    else:
        print_details(details)


def wait(
    kind: KindArgument,
    name: Annotated[str, typer.Argument(metavar="TENANT/NAME", help="Which one.")],
    tenant: TenantOption = None,
    timeout: Annotated[str, typer.Option("--timeout", help="How long, like 30s.")] = "1m",
) -> None:
    """Wait until a resource is there and ready.

    Exit code 1 when it is not in time.
    """
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.named import seconds_of
    from reconciler.stores.inventory import read_items

    chosen = chosen_kind(kind)
    identity = identity_called(chosen, name, tenant)
    deadline = time.monotonic() + seconds_of("--timeout", timeout)
    while True:
        with open_stores(current_settings()) as stores:
            found = read_items(stores, lambda applied: applied.resource.identity == identity)
        if found and found[0].status.is_ready:
            typer.echo(f"{identity} is ready.")
            return
        if time.monotonic() >= deadline:
            why = f"{found[0].status.reason}: {found[0].status.message}" if found else "there is none"
            raise ConfigurationError(f"{identity} is not ready after {timeout}: {why}")
        time.sleep(_POLL_SECONDS)
