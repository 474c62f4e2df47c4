"""What every manifest has: version, kind, metadata; and the strictness they share."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from mqops.errors import InvalidValue

API_VERSION = "mqops/v1"

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,199}$"
TOPIC_REFERENCE_PATTERN = r"^([a-z0-9][a-z0-9._-]{0,199}/)?[a-z0-9][a-z0-9._-]{0,199}$"


def _not_a_uid(name: str) -> str:
    try:
        UUID(name)
    except ValueError:
        return name
    raise InvalidValue("a name must not look like a UUID: paths take either, and could not tell them apart")


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_not_a_uid)]
"""Unique per tenant and kind (topics and queues share one namespace)."""

LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]


def _not_reserved(key: str) -> str:
    if key.startswith("mqops/"):
        raise InvalidValue(f"{key} means nothing in this version: keys under mqops/ are reserved")
    return key


AnnotationKey = Annotated[
    LabelKey,
    AfterValidator(_not_reserved),
    WithJsonSchema({"type": "string", "pattern": r"^(?!mqops/)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"}),
]


class Strict(BaseModel):
    """A model that refuses what it does not know; fields are camelCase in manifests, snake_case in Python."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class TenantlessMetadata(Strict):
    """Metadata of the kinds that belong to no tenant."""

    name: Name
    """Unique among its kind."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Yours, for selecting and finding."""
    annotations: dict[AnnotationKey, str] = Field(default_factory=dict)
    """Yours, for notes and other tools. Keys under `mqops/` are reserved."""


class Metadata(TenantlessMetadata):
    """Metadata of the kinds that belong to a tenant."""

    tenant: Name
    """The Tenant that owns this."""
    name: Name
    """Unique in the tenant among its kind; topics and queues share one namespace."""
