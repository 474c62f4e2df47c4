"""The model is the source of truth of what can be declared: a module per kind, and the table of kinds here.

Nothing here does I/O. ``schemas/`` is generated from it; defaults that depend on the installation stay ``None`` here
and are filled in by the reconciler, which knows the settings.
"""

from dataclasses import dataclass
from typing import NamedTuple

from mqops.model.credential import CredentialKey, CredentialSpec, Role
from mqops.model.handler import HandlerSpec, HttpHandler, SecretReference
from mqops.model.metadata import API_VERSION, Metadata, Name, Strict, TenantlessMetadata
from mqops.model.source import SourceSpec
from mqops.model.subscription import RetrySpec, SubscriptionSpec
from mqops.model.tenant import TenantSpec
from mqops.model.topic import DEADLETTER_RETENTION_MS, QueueSpec, StoredSpec, TopicSpec

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
    """A kind of manifest. ``plural`` is what commands and paths call it; ``order`` is where it comes in an apply."""

    name: str
    plural: str
    spec: type[Strict]
    has_tenant: bool
    order: int


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Source", "sources", SourceSpec, has_tenant=False, order=0),
        Kind("Tenant", "tenants", TenantSpec, has_tenant=False, order=1),
        Kind("Credential", "credentials", CredentialSpec, has_tenant=True, order=2),
        Kind("Handler", "handlers", HandlerSpec, has_tenant=True, order=3),
        Kind("Topic", "topics", TopicSpec, has_tenant=True, order=4),
        Kind("Queue", "queues", QueueSpec, has_tenant=True, order=5),
        Kind("Subscription", "subscriptions", SubscriptionSpec, has_tenant=True, order=6),
    )
}

__all__ = [
    "API_VERSION",
    "DEADLETTER_RETENTION_MS",
    "KINDS",
    "SYSTEM_TENANT",
    "CredentialKey",
    "CredentialSpec",
    "HandlerSpec",
    "HttpHandler",
    "Identity",
    "Kind",
    "Metadata",
    "Name",
    "QueueSpec",
    "RetrySpec",
    "Role",
    "SecretReference",
    "SourceSpec",
    "StoredSpec",
    "Strict",
    "SubscriptionSpec",
    "TenantSpec",
    "TenantlessMetadata",
    "TopicSpec",
]
