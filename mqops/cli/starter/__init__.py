"""The manifests that ``mqops init`` writes, as they are written."""

from importlib import resources
from importlib.resources.abc import Traversable


def manifests() -> dict[str, str]:
    """Each file's text, by its path within the tree: the top's first, for it says who may declare what."""
    top = resources.files(__name__)
    return dict(sorted(_below(top, ""), key=lambda file: (file[0].count("/"), file[0])))


def _below(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found = []
    for entry in folder.iterdir():
        if entry.name.endswith(".yaml"):
            found.append((prefix + entry.name, entry.read_text("utf-8")))
        elif entry.is_dir() and entry.name != "__pycache__":
            found.extend(_below(entry, f"{prefix}{entry.name}/"))
    return found
