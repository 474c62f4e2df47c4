"""Which resources a list shows, in which order, and where the next page begins.

A page goes on after a place in the order, not after a number of entries: what appears or goes away meanwhile neither
hides an entry nor repeats one.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mqops.catalog import Row
from mqops.errors import InvalidRequest

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
DEFAULT_SORT = "name"

PARAMETERS = ("limit", "cursor", "labelSelector", "sort")

_Place = tuple[str | int, str]
"""What is sorted by, and the name, which settles ties."""

ORDERS: Mapping[str, Callable[[Row], _Place]] = {
    "name": lambda row: (row.name, row.name),
    "createdAt": lambda row: (row.created_ms, row.name),
    "updatedAt": lambda row: (row.updated_ms, row.name),
}
"""A ``-`` before one turns it round."""

_cursor = msgspec.json.Decoder(tuple[str, str | int, str])


@dataclass(frozen=True, slots=True)
class Label:
    """One condition of a label selector."""

    key: str
    value: str
    is_wanted: bool
    """Whether the label has to have the value, or must not."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(self.key) == self.value) is self.is_wanted


@dataclass(frozen=True, slots=True)
class Query:
    """What a list was asked for."""

    limit: int
    sort: str
    labels: tuple[Label, ...]
    after: _Place | None

    def page(self, rows: Iterable[Row]) -> tuple[Sequence[Row], str | None]:
        """The rows of this page, and the cursor of the next one; None when there is none."""
        place, is_backwards = ORDERS[self.sort.removeprefix("-")], self.sort.startswith("-")
        chosen = [row for row in rows if self._is_chosen(row)]
        chosen.sort(key=place, reverse=is_backwards)
        if self.after is not None:
            after = self.after
            chosen = [row for row in chosen if (place(row) < after if is_backwards else place(row) > after)]
        page = chosen[: self.limit]
        return page, _written(self.sort, place(page[-1])) if len(chosen) > len(page) else None

    def _is_chosen(self, row: Row) -> bool:
        if not self.labels:
            return True
        labels = msgspec.json.decode(row.labels)
        return all(label.holds(labels) for label in self.labels)


def query_of(parameters: Mapping[str, Any]) -> Query:
    """What the query string asks for. Raises ``InvalidRequest`` naming the parameter."""
    refuse_unknown(parameters, PARAMETERS)
    sort = single(parameters, "sort") or DEFAULT_SORT
    if sort.removeprefix("-") not in ORDERS:
        raise InvalidRequest(f"sort is one of {', '.join(ORDERS)}, with a - before it for the other way round")
    cursor = single(parameters, "cursor")
    after = None if cursor is None else _read(cursor, sort)
    return Query(limit_of(single(parameters, "limit")), sort, _labels(single(parameters, "labelSelector")), after)


def refuse_unknown(parameters: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises ``InvalidRequest`` for a parameter that is not among ``known``."""
    unknown = set(parameters).difference(known)
    if unknown:
        raise InvalidRequest(f"unknown parameter: {', '.join(sorted(unknown))}")


def single(parameters: Mapping[str, Any], name: str) -> str | None:
    """The value of a parameter that stands once or not at all. Raises ``InvalidRequest`` when it stands twice."""
    value = parameters.get(name)
    if isinstance(value, list):
        raise InvalidRequest(f"{name} is given twice")
    return value


def limit_of(text: str | None) -> int:
    """How many entries a page has. Raises ``InvalidRequest``."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidRequest(f"limit is from 1 to {MAX_LIMIT}")
    return int(text)


def _labels(text: str | None) -> tuple[Label, ...]:
    return tuple(_label(part.strip()) for part in text.split(",")) if text else ()


def _label(text: str) -> Label:
    key, separator, value = text.partition("=")
    if not separator or not key.rstrip("!"):
        raise InvalidRequest(f"labelSelector: {text!r} is neither key=value nor key!=value")
    value = value if key.endswith("!") else value.removeprefix("=")  # key==value says the same as key=value
    return Label(key.removesuffix("!").strip(), value.strip(), is_wanted=not key.endswith("!"))


def _written(sort: str, place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, *place))).rstrip(b"=").decode()


def _read(cursor: str, sort: str) -> _Place:
    try:
        made_for, value, name = _cursor.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("cursor is the cursor of an earlier answer") from error
    if made_for != sort or isinstance(value, str) is not (sort.removeprefix("-") == "name"):
        raise InvalidRequest("cursor belongs to a list in another order")
    return value, name
