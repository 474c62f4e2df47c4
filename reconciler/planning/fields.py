"""The difference between two resources, field by field. Pure.

Maps are compared key by key. A list of plain values changes as a whole, since its items have no names; in a list of
maps each position is compared on its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mqops.model import KINDS, Identity
from reconciler.planning.change import FieldChange
from reconciler.state import Resource

_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def is_same(before: Resource, after: Resource) -> bool:
    """Whether nothing that counts differs. Where it stands in the manifests does not count."""
    return (
        before.spec == after.spec
        and before.labels == after.labels
        and before.annotations == after.annotations
        and before.managed_by == after.managed_by
        and before.implied_by == after.implied_by
    )


def field_changes(before: Resource, after: Resource) -> tuple[FieldChange, ...]:
    """Every field that differs, in the order spec, labels, annotations, ownership."""
    return (
        *_differences("spec", before.spec, after.spec),
        *_differences("metadata.labels", before.labels, after.labels),
        *_differences("metadata.annotations", before.annotations, after.annotations),
        *_differences("managedBy", before.managed_by, after.managed_by),
        *_differences("impliedBy", _text(before.implied_by), _text(after.implied_by)),
    )


def in_model_order(resource: Resource) -> dict[str, Any]:
    """The spec in the order of its kind's documentation, which PostgreSQL does not keep."""
    spec = dict(resource.spec)
    try:
        return KINDS[resource.identity.kind].spec.model_validate(spec).model_dump(mode="json")
    except ValidationError:  # of another version of mqops
        return spec


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The plain values in ``value``, each with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(_below(path, key), item)
    elif _is_list_of_maps(value):
        for index, item in enumerate(value):
            yield from leaves(f"{path}[{index}]", item)
    else:
        yield path, value


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*after, *before)):
            yield from _differences(_below(path, key), before.get(key), after.get(key))
    elif _is_list_of_maps(before) and _is_list_of_maps(after):
        for index in range(max(len(before), len(after))):
            yield from _differences(f"{path}[{index}]", _item(before, index), _item(after, index))
    else:
        yield FieldChange(path, before, after)


def _below(path: str, key: str) -> str:
    """Keys that are not plain words (label keys, header names) are quoted, so that a path has one reading."""
    return f"{path}.{key}" if _SIMPLE_KEY.fullmatch(key) else f'{path}["{key}"]'


def _is_list_of_maps(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _item(items: Sequence[Any], index: int) -> Any:
    return items[index] if index < len(items) else None


def _text(identity: Identity | None) -> str | None:
    return None if identity is None else str(identity)
