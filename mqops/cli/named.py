"""How commands are told which resources are meant: kinds, names, targets, label selectors."""

import typer

from mqops.errors import ConfigurationError
from mqops.model import KINDS, Identity, Kind
from mqops.nearest import nearest


def kind_called(text: str) -> Kind:
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
        if not separator or not key:
            raise typer.BadParameter(f"{part!r} is not key=value", param_hint="--selector")
        labels[key.strip()] = value.strip()
    return labels


def target_called(text: str) -> Identity:
    """``kind/tenant/name``; ``kind/name`` of a kind without tenants."""
    kind, separator, name = text.partition("/")
    if not separator:
        raise ConfigurationError(f"{text!r} is not KIND/TENANT/NAME, like topic/acme/orders")
    return identity_called(kind_called(kind), name, None)
