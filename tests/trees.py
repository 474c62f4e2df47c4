"""Directories of manifests for tests."""

from collections.abc import Mapping
from pathlib import Path

from mqops.settings import Settings
from reconciler.manifests.check import Checked, check
from reconciler.manifests.load import Loaded, load
from reconciler.manifests.validate import Declared, Rejected, validate

DIGESTS = tuple(f"{number:064x}" for number in range(16))


def tree(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes ``files`` below ``directory``."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def checked(directory: Path, files: Mapping[str, str | bytes], settings: Settings | None = None) -> Checked:
    return check(tree(directory, files), settings or Settings())


def manifest(kind: str, name: str, spec: str = "{}", tenant: str = "acme") -> str:
    """One document. ``tenant`` is left out where the kind has none."""
    has_tenant = kind not in ("Tenant", "Source")
    metadata = f"{{tenant: {tenant}, name: {name}}}" if has_tenant else f"{{name: {name}}}"
    return f"apiVersion: mqops/v1\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n"


def together(*documents: str) -> str:
    return "---\n".join(documents)


def loaded(text: str | bytes) -> Loaded:
    return load("f.yaml", text if isinstance(text, bytes) else text.encode())


def validated(text: str, variables: Mapping[str, str] | None = None) -> list[Declared | Rejected]:
    return [validate(document, variables or {}) for document in loaded(text).documents]
