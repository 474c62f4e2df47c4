"""What every manifest has: version, kind, metadata; and the strictness they share."""

import re
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from mqops.errors import InvalidValue
from mqops.model.mutability import LIVE, Mutability, Way

API_VERSION = "mqops/v1"

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,199}$"
TOPIC_REFERENCE_PATTERN = r"^([a-z0-9][a-z0-9._-]{0,199}/)?[a-z0-9][a-z0-9._-]{0,199}$"


_UID_DIGITS = 32


def _not_a_uid(name: str) -> str:
    if len(name) < _UID_DIGITS:  # nearly all of tens of thousands
        return name
    try:
        UUID(name)
    except ValueError:
        return name
    raise InvalidValue("a name must not look like a UUID: paths take either, and could not tell them apart")


def explained(pattern: str, explanation: str, **keywords: int) -> WithJsonSchema:
    """The JSON Schema of a text of this ``pattern``. ``explanation`` says what the text should be; editors and errors
    show it (``patternErrorMessage`` is a keyword that several editors know)."""
    message = f"This is not {explanation}"
    return WithJsonSchema({"type": "string", "pattern": pattern, "patternErrorMessage": message, **keywords})


_NAME_EXPLANATION = (
    'a name: lower-case letters, digits, ".", "_" and "-", beginning with a letter or digit, at most 200 characters'
)
Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    AfterValidator(_not_a_uid),
    explained(NAME_PATTERN, _NAME_EXPLANATION),
]
"""Unique per tenant and kind (topics and queues share one namespace)."""

_KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"
_KEY_EXPLANATION = 'a key: letters, digits, ".", "_", "/" and "-", beginning with a letter or digit'
LabelKey = Annotated[str, StringConstraints(pattern=_KEY_PATTERN), explained(_KEY_PATTERN, _KEY_EXPLANATION)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]


PROTECT = "mqops/protect"
"""The annotation that keeps a resource from being deleted, also when its manifest is gone."""

INTERNAL_API = "mqops/internal-api"
"""The annotation of a topic or queue of the tenant ``system`` that says which of these paths publish to it."""
INTERNAL_PATHS = ("audit-logs", "notifications", "user-events", "user-notifications")


def _not_reserved(key: str) -> str:
    if key.startswith("mqops/") and key not in (PROTECT, INTERNAL_API):
        raise InvalidValue(f"{key} means nothing in this version: keys under mqops/ are reserved")
    return key


AnnotationKey = Annotated[
    str,
    StringConstraints(pattern=_KEY_PATTERN),
    AfterValidator(_not_reserved),
    explained(_KEY_PATTERN.replace("^", "^(?!mqops/(?!(protect|internal-api)$))"), _KEY_EXPLANATION),
]


def _protect_is_a_switch(annotations: dict[str, str]) -> dict[str, str]:
    if annotations.get(PROTECT, "true") not in ("true", "false"):
        raise InvalidValue(f'{PROTECT} is "true" or "false"')
    return annotations


def internal_paths(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The paths of the internal API that publish to what has ``annotations``."""
    text = annotations.get(INTERNAL_API)
    return () if text is None else tuple(re.split(" *, *", text))


def _internal_paths_exist(annotations: dict[str, str]) -> dict[str, str]:
    paths = internal_paths(annotations)
    if not set(paths).issubset(INTERNAL_PATHS) or len(set(paths)) < len(paths):
        raise InvalidValue(f"{INTERNAL_API} is {_INTERNAL_EXPLANATION}")
    return annotations


_INTERNAL_EXPLANATION = f"one or more of {', '.join(INTERNAL_PATHS)}, with commas between them"
_INTERNAL_PATH = f"({'|'.join(INTERNAL_PATHS)})"
_INTERNAL_PATTERN = f"^{_INTERNAL_PATH}( *, *{_INTERNAL_PATH})*$"


Annotations = Annotated[
    dict[AnnotationKey, str],
    AfterValidator(_protect_is_a_switch),
    AfterValidator(_internal_paths_exist),
    Field(
        json_schema_extra={
            "properties": {
                PROTECT: {"enum": ["true", "false"]},
                INTERNAL_API: explained(_INTERNAL_PATTERN, _INTERNAL_EXPLANATION).json_schema or {},
            }
        }
    ),
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


_NAMES_IT = Mutability(
    Way.REPLACE, note="another name is another resource: this one is deleted with all it holds, and a new one made"
)


class TenantlessMetadata(Strict):
    """Metadata of the kinds that belong to no tenant."""

    name: Annotated[Name, _NAMES_IT]
    """Unique among its kind."""
    labels: Annotated[dict[LabelKey, LabelValue], LIVE] = Field(default_factory=dict)
    """Yours, for selecting and finding."""
    annotations: Annotated[Annotations, LIVE] = Field(default_factory=dict)
    """Yours, for notes and other tools. Keys under `mqops/` are reserved; `mqops/protect: "true"` keeps this from being
    deleted, even when its manifest is gone, and `mqops/internal-api` has the platform's services publish to it."""


class RenamableMetadata(TenantlessMetadata):
    """Metadata of the kinds that can be renamed, without a tenant."""

    renamed_from: Annotated[Name | None, LIVE] = None
    """What this was called before: it is renamed, with everything under it kept."""


class Metadata(RenamableMetadata):
    """Metadata of the kinds that belong to a tenant."""

    tenant: Annotated[Name, _NAMES_IT]
    """The Tenant that owns this."""
    name: Annotated[Name, _NAMES_IT]
    """Unique in the tenant among its kind; topics and queues share one namespace."""
