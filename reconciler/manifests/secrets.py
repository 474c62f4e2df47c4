"""Which secret files the declared resources refer to. Names only: what is in them is read by who uses them."""

from collections.abc import Iterable

from reconciler.state import Resource


def secret_files(resources: Iterable[Resource]) -> list[tuple[str, str]]:
    """(tenant, name) of every `{file: NAME}` reference, each once, in order."""
    found = set()
    for resource in resources:
        reference = (resource.spec.get("http") or {}).get("signingSecret") or {}
        if resource.identity.kind == "Handler" and reference.get("file"):
            found.add((resource.identity.tenant, reference["file"]))
    return sorted(found)
