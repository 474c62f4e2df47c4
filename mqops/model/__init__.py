"""The model is the source of truth of what can be declared: a module per kind; ``kinds`` is the table of them.

Nothing here does I/O. ``schemas/`` is generated from it; defaults that depend on the installation stay ``None`` here
and are filled in by the reconciler, which knows the settings.
"""

from mqops.model.credential import CredentialKey, CredentialSpec, Role
from mqops.model.handler import HandlerSpec, HttpHandler, SecretReference, environment_prefix
from mqops.model.kinds import KINDS, SYSTEM_TENANT, Identity, Kind, completed, defaults_of
from mqops.model.manifest import manifest_model
from mqops.model.metadata import (
    API_VERSION,
    INTERNAL_API,
    INTERNAL_PATHS,
    PROTECT,
    Metadata,
    Name,
    Strict,
    TenantlessMetadata,
    internal_paths,
)
from mqops.model.mutability import Mutability, Way, mutability_of
from mqops.model.scope import TopicScope
from mqops.model.source import SourceSpec
from mqops.model.subscription import RetrySpec, SubscriptionSpec
from mqops.model.tenant import TenantSpec
from mqops.model.topic import DEADLETTER_RETENTION_MS, QueueSpec, StoredSpec, TopicSpec

__all__ = [
    "API_VERSION",
    "DEADLETTER_RETENTION_MS",
    "INTERNAL_API",
    "INTERNAL_PATHS",
    "KINDS",
    "PROTECT",
    "SYSTEM_TENANT",
    "CredentialKey",
    "CredentialSpec",
    "HandlerSpec",
    "HttpHandler",
    "Identity",
    "Kind",
    "Metadata",
    "Mutability",
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
    "TopicScope",
    "TopicSpec",
    "Way",
    "completed",
    "defaults_of",
    "environment_prefix",
    "internal_paths",
    "manifest_model",
    "mutability_of",
]
