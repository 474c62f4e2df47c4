"""A whole manifest of each kind: what a document of a manifest file has to be."""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from mqops.model.kinds import KINDS
from mqops.model.metadata import API_VERSION, Metadata, RenamableMetadata, Strict, TenantlessMetadata
from mqops.model.mutability import ONLY_VALUE, Mutability, Way

_IS_WHAT_IT_IS = Mutability(
    Way.REPLACE, note="a Topic and a Queue share their names: one that becomes the other goes with all it holds"
)


@cache
def manifest_model(kind_name: str) -> type[Strict]:
    """The model of the kind's manifests, with fields ``api_version``, ``kind``, ``metadata`` and ``spec``.

    A spec that requires nothing may be left out. Raises ``KeyError`` for an unknown kind.
    """
    kind = KINDS[kind_name]
    is_optional = not any(field.is_required() for field in kind.spec.model_fields.values())
    metadata = Metadata if kind.has_tenant else RenamableMetadata if kind.is_renamable else TenantlessMetadata
    fields: dict[str, Any] = {
        "api_version": (Annotated[Literal[API_VERSION], ONLY_VALUE], Field(description="Of the manifest format.")),
        "kind": (Annotated[Literal[kind_name], _IS_WHAT_IT_IS], Field(description="What this declares.")),
        "metadata": (metadata, Field(description="What it is called.")),
        "spec": (kind.spec, Field(default_factory=kind.spec) if is_optional else Field()),
    }
    return create_model(kind_name, __base__=Strict, __doc__=kind.spec.__doc__, **fields)
