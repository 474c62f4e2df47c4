"""`mqops get` and `mqops describe`: what is applied, and how it fares."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mqops.errors import ConfigurationError
from mqops.model import KINDS, Identity, Kind
from mqops.nearest import nearest

if TYPE_CHECKING:
    from reconciler.state import Applied

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="Like topic or topics.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("get")(get)
    app.command("describe")(describe)


def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(metavar="[TENANT/NAME]", help="Only this one.")] = None,
    tenant: TenantOption = None,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", help="Only with these labels: key=value,key=value.")
    ] = None,
    output: Annotated[
        Literal["text", "json", "yaml", "name"], typer.Option("--output", "-o", help="text, json, yaml or name")
    ] = "text",
) -> None:
    """List what is applied, with live numbers of topics, queues and subscriptions."""
    from mqops.bootstrap.control import current_settings, open_stores
    from mqops.cli.shown import print_items
    from mqops.cli.sources import print_sources, read_sources
    from reconciler.stores.inventory import read_items

    chosen = _kind(kind)
    wanted = None if name is None else _identity(chosen, name, tenant)
    labels = _labels(selector)

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

    chosen = _kind(kind)
    identity = _identity(chosen, name, tenant)
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


def _kind(text: str) -> Kind:
    """The kind called ``text``: ``topic``, ``Topic``, ``topics``, or the beginning of just one kind's name."""
    kinds = list(KINDS.values())
    names = {spelling.lower(): kind for kind in kinds for spelling in (kind.name, kind.plural)}
    begun = [kind for kind in kinds if text and kind.plural.startswith(text.lower())]
    found = names.get(text.lower()) or (begun[0] if len(begun) == 1 else None)
    if found is None:
        likely = nearest(text, names)
        hint = f"did you mean {likely}?" if likely else f"there are {', '.join(kind.plural for kind in kinds)}"
        raise ConfigurationError(f"there is no kind {text!r}: {hint}")
    return found


def _identity(kind: Kind, text: str, tenant: str | None) -> Identity:
    """``tenant/name``; ``name`` alone with ``--tenant``, or of a kind without tenants."""
    owner, separator, name = text.rpartition("/")
    if not kind.has_tenant:
        if separator:
            raise ConfigurationError(f"{kind.plural} belong to no tenant: write the name alone")
        return Identity(kind.name, "", text)
    if separator and tenant is not None and tenant != owner:
        raise ConfigurationError(f"{text!r} and --tenant {tenant} name two tenants")
    owner = owner or tenant or ""
    if not owner:
        raise ConfigurationError(f"whose {kind.name} {text!r}? Write TENANT/{text}, or add --tenant")
    return Identity(kind.name, owner, name)


def _labels(selector: str | None) -> dict[str, str]:
    labels: dict[str, str] = {}
    for part in filter(None, (selector or "").split(",")):
        key, separator, value = part.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{part!r} is not key=value", param_hint="--selector")
        labels[key.strip()] = value.strip()
    return labels
