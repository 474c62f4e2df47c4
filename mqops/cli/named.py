"""How commands are told which resources are meant, and how long: names, targets, label selectors, durations."""

import typer

from mqops.cli.kinds import chosen_kind
from mqops.durations import parse_duration
from mqops.errors import ConfigurationError
from mqops.model import Identity, Kind


def identity_called(kind: Kind, text: str, tenant: str | None) -> Identity:
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


def labels_of(selector: str | None) -> dict[str, str]:
    """The labels in ``key=value,key=value``."""
    labels: dict[str, str] = {}
    for part in filter(None, (selector or "").split(",")):
        key, separator, value = part.partition("=")
        if not separator or not key or key.endswith("!"):
            raise typer.BadParameter(f"{part!r} is not key=value", param_hint="--selector")
        labels[key.strip()] = value.removeprefix("=").strip()  # key==value says the same
    return labels


def target_called(text: str) -> Identity:
    """``kind/tenant/name``; ``kind/name`` of a kind without tenants."""
    kind, separator, name = text.partition("/")
    if not separator:
        raise ConfigurationError(f"{text!r} is not KIND/TENANT/NAME, like topic/acme/orders")
    return identity_called(chosen_kind(kind), name, None)


def seconds_of(option: str, text: str) -> float:
    """What ``option`` says as a duration. Raises ``BadParameter``."""
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
