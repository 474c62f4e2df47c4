"""The kinds of things that can be declared, and what they are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from mqops.model.credential import CredentialSpec
from mqops.model.handler import HandlerSpec
from mqops.model.metadata import Strict
from mqops.model.source import SourceSpec
from mqops.model.subscription import SubscriptionSpec
from mqops.model.tenant import TenantSpec
from mqops.model.topic import QueueSpec, TopicSpec

SYSTEM_TENANT = "system"
"""Reserved: its principals may act for other tenants."""


class Identity(NamedTuple):
    """What a resource is called; ``tenant`` is empty for kinds that belong to none."""

    kind: str
    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.tenant}/{self.name}" if self.tenant else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of manifest. ``plural`` is what commands and paths call it; ``order`` is where it comes in an apply.
    What owns others, and is told from them by its name alone, is not ``is_renamable``."""

    name: str
    plural: str
    spec: type[Strict]
    has_tenant: bool
    order: int
    is_renamable: bool = True


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Source", "sources", SourceSpec, has_tenant=False, order=0, is_renamable=False),
        Kind("Tenant", "tenants", TenantSpec, has_tenant=False, order=1),
        Kind("Credential", "credentials", CredentialSpec, has_tenant=True, order=2),
        Kind("Handler", "handlers", HandlerSpec, has_tenant=True, order=3),
        Kind("Topic", "topics", TopicSpec, has_tenant=True, order=4),
        Kind("Queue", "queues", QueueSpec, has_tenant=True, order=5),
        Kind("Subscription", "subscriptions", SubscriptionSpec, has_tenant=True, order=6),
    )
}


@cache
def defaults_of(kind: str) -> Mapping[str, Any]:
    """The fields of a kind's spec that have a default, in JSON form."""
    return KINDS[kind].spec.model_construct().model_dump(mode="json")


def completed(kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """``spec``, as an earlier version may have stored it, with the defaults of fields that came since: a new field is
    no difference until somebody sets it."""
    defaults = defaults_of(kind)
    missing = defaults.keys() - spec.keys()
    return {**spec, **{name: defaults[name] for name in sorted(missing)}} if missing else spec
