"""Resources as manifests: what somebody would have written who leaves out whatever has its default. Pure.

Reading a manifest that was written here, with the same settings, gives the same resource again.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from mqops.model import API_VERSION, KINDS, Strict
from mqops.settings import Settings
from reconciler.manifests.deadletters import DeadLetters
from reconciler.manifests.desired import bare, usual
from reconciler.manifests.fields import model_in
from reconciler.state import Resource

_WIDEST = 2**31 - 1
"""Lines are never folded: a long filter or URL is easier to read, and to find, in one piece."""


def manifest_text(resource: Resource, letters: DeadLetters, settings: Settings, comment: str = "") -> str:
    """The manifest of ``resource``, with ``comment`` above it. ``letters`` are those of everything that there is, with
    ``resource`` among it."""
    kind, tenant, name = resource.identity
    metadata: dict[str, Any] = {"tenant": tenant} if KINDS[kind].has_tenant else {}
    metadata["name"] = name
    metadata |= {key: dict(value) for key, value in _named(resource).items() if value}
    manifest: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}
    spec = _chosen(KINDS[kind].spec, resource.spec, usual(resource, letters, settings))
    if spec:
        manifest["spec"] = _escaped(spec)
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST, default_flow_style=False
    )


def documents(texts: list[str]) -> str:
    """Manifests in one file."""
    return "---\n".join(texts)


def _named(resource: Resource) -> dict[str, Mapping[str, str]]:
    return {"labels": resource.labels, "annotations": resource.annotations}


def _chosen(model: type[Strict], value: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``value`` that are not as ``usual``, in the order of the documentation."""
    chosen: dict[str, Any] = {}
    for field in model.model_fields.values():
        name = field.alias or ""
        if name not in value or (not field.is_required() and value[name] == usual.get(name)):
            continue
        if value[name] is not None or field.is_required():  # what is not set cannot be said
            chosen[name] = _shortened(value[name], usual.get(name), model_in(field.annotation))
    return chosen


def _shortened(value: Any, usual: Any, inner: type[Strict] | None) -> Any:
    if inner is not None and isinstance(value, Mapping):
        return _chosen(inner, value, usual if isinstance(usual, Mapping) else bare(inner, value))
    if inner is not None and isinstance(value, list | tuple):
        return [_chosen(inner, item, bare(inner, item)) for item in value]
    return value


def _escaped(value: Any) -> Any:
    """Texts in a spec as they are written where ``${`` begins a variable, and whole numbers without their ``.0``."""
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return re.sub(r"\$\{", "$${", value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as such, and lists of plain values on one."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    is_plain = not any(isinstance(item, dict | list) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=is_plain)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
