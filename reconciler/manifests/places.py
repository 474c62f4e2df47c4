"""Where in its file each value of a document stands. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.manifests.problem import shortened

Path = tuple[str | int, ...]

_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Place(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int


class Spot(NamedTuple):
    """What is known of a value: where its key and it itself stand."""

    key: Place
    value: Place
    raw: str | None
    """Its text when it is written without quotes."""


@dataclass(frozen=True, slots=True)
class Places:
    """The spots of one document. What has none of its own (it came in by an alias, or is missing) has that of the
    nearest thing around it."""

    spots: Mapping[Path, Spot]
    start: Place
    """Of the document."""

    def key(self, path: Path) -> Place:
        """Where the key of ``path`` stands."""
        spot = self._nearest(path)
        return self.start if spot is None else spot.key

    def value(self, path: Path) -> Place:
        """Where the value at ``path`` begins."""
        spot = self._nearest(path)
        return self.start if spot is None else spot.value

    def raw(self, path: Path) -> str | None:
        """The text of the value at ``path`` when it is written without quotes."""
        spot = self.spots.get(path)
        return None if spot is None else spot.raw

    def _nearest(self, path: Path) -> Spot | None:
        for length in range(len(path), 0, -1):
            spot = self.spots.get(path[:length])
            if spot is not None:
                return spot
        return None


def spelled(path: Iterable[str | int]) -> str:
    """A path as people write it: ``spec.keys[0].sha256``, ``metadata.labels["a.b/c"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _SIMPLE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{shortened(part, 60)}"]'
    return text
