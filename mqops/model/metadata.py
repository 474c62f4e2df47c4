"""What every manifest has: version, kind, metadata; and the strictness they share."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic.alias_generators import to_camel

API_VERSION = "mqops/v1"

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,199}$"
TOPIC_REFERENCE_PATTERN = r"^([a-z0-9][a-z0-9._-]{0,199}/)?[a-z0-9][a-z0-9._-]{0,199}$"


def _not_a_uid(name: str) -> str:
    try:
        UUID(name)
    except ValueError:
        return name
    raise ValueError("a name must not look like a UUID: paths take either, and could not tell them apart")


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_not_a_uid)]
"""Unique per tenant and kind (topics and queues share one namespace)."""

LabelValue = Annotated[str, StringConstraints(max_length=256)]


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
    labels: dict[str, LabelValue] = Field(default_factory=dict)
    """Yours, for selecting and finding."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Yours, for notes and other tools. Keys under `mqops/` are reserved."""

    @field_validator("annotations")
    @classmethod
    def _reserved(cls, annotations: dict[str, str]) -> dict[str, str]:
        for key in annotations:
            if key.startswith("mqops/"):
                raise ValueError(f"{key!r} is not an annotation of this version: keys under mqops/ are reserved")
        return annotations


class Metadata(TenantlessMetadata):
    """Metadata of the kinds that belong to a tenant."""

    tenant: Name
    """The Tenant that owns this."""
    name: Name
    """Unique in the tenant among its kind; topics and queues share one namespace."""
