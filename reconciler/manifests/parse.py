"""YAML text into plain values, event by event. Pure.

Manifests come from others, so nothing is built before it is bounded: depth, and the number of nodes with aliases
expanded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from reconciler.manifests.places import Path, Place, Spot, spelled
from reconciler.manifests.problem import Problem, Rule, quoted
from reconciler.manifests.scalars import plain_value
from reconciler.manifests.syntax import syntax_message

MAX_DEPTH = 32
MAX_NODES = 100_000
"""Per document, aliases expanded: no manifest comes near."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # only its events are used; without libyaml it is slower
_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: what it says, and its text to find places in."""

    file: str
    line: int
    """Where its first key stands."""
    value: Any
    text: str
    text_line: int
    """Where ``text`` begins."""


class Unreadable(Exception):
    """The rest of the document cannot be read. ``index`` is where in the text that was noticed."""

    def __init__(self, problem: Problem, index: int) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.index = index


class Anchor(NamedTuple):
    """A value that aliases may repeat, and what repeating it costs."""

    value: Any
    nodes: int
    height: int


class Parser:
    """Reads the documents of ``text``, which begins at ``first_line`` of ``file``.

    ``problems`` gathers what is wrong without being in the way of the rest. With ``spots``, every value's place is
    noted there, which only the report of an error needs.
    """

    def __init__(self, file: str, text: str, first_line: int, spots: dict[Path, Spot] | None = None) -> None:
        self._file = file
        self._text = text
        self._first_line = first_line
        self._spots = spots
        self._path: list[str | int] = []
        self._anchors: dict[str, Anchor | None] = {}
        self._nodes = 0
        self._height = 0  # of the value that was read last: 0 for a scalar
        self.problems: list[Problem] = []
        self.document_start = 0
        """Where in the text the current document begins."""

    def documents(self) -> Iterator[Document]:
        """Every document but empty ones. Raises ``Unreadable``."""
        try:
            events = _Loader(self._text)
            try:
                self._next = events.get_event
                while (event := self._next()) is not None:
                    if type(event) is DocumentStartEvent:
                        document = self._document(event)
                        if document is not None:
                            yield document
            finally:
                events.dispose()
        except yaml.YAMLError as error:
            index, line, column, message = syntax_message(error, self._text)
            raise Unreadable(self._problem(line, column, message, Rule.SYNTAX), index) from error

    def _document(self, start: Any) -> Document | None:
        mark = start.start_mark
        self.document_start = mark.index
        self._path, self._anchors, self._nodes = [], {}, 0
        root = self._next()
        value = self._value(root, 0)
        end = self._next()
        if value is None and type(root) is ScalarEvent and not root.value:
            return None
        text = self._text[mark.index - mark.column : end.end_mark.index]  # whole lines: indentation counts
        line = self._first_line + root.start_mark.line
        return Document(self._file, line, value, text, self._first_line + mark.line)

    def _value(self, event: Any, depth: int) -> Any:
        self._nodes += 1
        kind = type(event)
        # Nearly all values, and most of the time of reading a large tree, are scalars with nothing about them.
        is_bare = kind is ScalarEvent and event.anchor is None and self._spots is None
        if is_bare and self._nodes <= MAX_NODES:
            self._height = 0
            return self._scalar(event)
        if kind is AliasEvent:
            return self._alias(event, depth)
        if self._nodes > MAX_NODES:
            raise self._stop(event, f"more than {MAX_NODES:,} values in one document: this is no manifest")
        nodes, anchor = self._nodes, event.anchor
        if self._spots is not None:
            self._note(event)
        if kind is ScalarEvent:
            value = self._scalar(event)
            self._height = 0
        elif depth >= MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        else:
            if anchor is not None:
                self._anchors[anchor] = None
            value = self._mapping(event, depth + 1) if kind is MappingStartEvent else self._sequence(event, depth + 1)
        if anchor is not None:
            self._anchors[anchor] = Anchor(value, self._nodes - nodes + 1, self._height)
        return value

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if "\0" in text:
            self._complain(event, "a NUL character, which no store can hold")
        if event.tag is None or event.tag == "!":
            return plain_value(text) if event.implicit[0] else text
        return self._tagged(event, text)

    def _tagged(self, event: Any, text: str) -> Any:
        if event.tag == f"{_CORE}str":
            return text
        value = plain_value(text)
        expected = {"null": type(None), "bool": bool, "int": int, "float": float}.get(event.tag.removeprefix(_CORE))
        if expected is None:
            self._complain(event, f"the tag {quoted(event.tag)} means nothing in a manifest: leave it out")
        elif type(value) is not expected:
            self._complain(event, f"{quoted(text)} is not what its tag says")
        return value

    def _sequence(self, start: Any, depth: int) -> list[Any]:
        self._check_collection_tag(start, "seq")
        result: list[Any] = []
        height = 0
        while type(event := self._next()) is not SequenceEndEvent:
            self._path.append(len(result))
            result.append(self._value(event, depth))
            self._path.pop()
            height = max(height, self._height)
        self._height = height + 1
        return result

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        self._check_collection_tag(start, "map")
        result: dict[str, Any] = {}
        keys: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        height = 0
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, depth)
            self._path.append(key)
            if self._spots is not None:
                self._note_key(event)
            value = self._value(self._next(), depth)
            self._path.pop()
            height = max(height, self._height)
            if key == "<<" and event.implicit[0]:
                merged.extend(self._merged(event, value))
                continue
            if key in keys:
                first = self._first_line + keys[key].start_mark.line
                message = f"{quoted(key)} stands here for a second time; the first is on line {first}"
                self._complain(event, message, Rule.DUPLICATE_KEY, key)
            else:
                keys[key] = event
            result[key] = value
        for mapping in merged:
            for key, value in mapping.items():
                result.setdefault(key, value)
        self._height = height + 1
        return result

    def _key(self, event: Any, depth: int) -> str:
        """A key is text. Whatever else it is, it is reported, and reading goes on under a stand-in."""
        if type(event) is not ScalarEvent:
            self._complain(event, "a key is plain text, not a list, a mapping or an alias")
            self._value(event, depth)
            return "?"
        self._nodes += 1
        value = self._scalar(event)
        if type(value) is not str:
            message = f"a key is text, and {event.value or 'an empty one'} is read as {_noun(value)}: quote it"
            self._complain(event, message, suggestion=f'"{event.value}"')
        text: str = event.value
        return text

    def _merged(self, event: Any, value: Any) -> list[dict[str, Any]]:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            self._complain(event, "<< takes an alias of a mapping, or a list of such")
            return []
        return mappings

    def _alias(self, event: Any, depth: int) -> Any:
        if self._spots is not None:
            self._note(event)
        if event.anchor not in self._anchors:
            self._complain(event, f"no anchor &{event.anchor} stands before this alias")
            return None
        anchor = self._anchors[event.anchor]
        if anchor is None:
            raise self._stop(event, f"the alias *{event.anchor} lies inside its own anchor")
        self._nodes += anchor.nodes
        self._height = anchor.height
        if self._nodes > MAX_NODES:
            raise self._stop(event, f"aliases expand to more than {MAX_NODES:,} values")
        if depth + anchor.height > MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        return anchor.value

    def _check_collection_tag(self, event: Any, tag: str) -> None:
        if event.tag not in (None, "!", _CORE + tag):
            self._complain(event, f"the tag {quoted(event.tag)} means nothing in a manifest: leave it out")

    def _note(self, event: Any) -> None:
        assert self._spots is not None
        path = tuple(self._path)
        mark = event.start_mark
        place = Place(self._first_line + mark.line, mark.column + 1)
        raw = event.value if type(event) is ScalarEvent and event.implicit[0] else None
        known = self._spots.get(path)
        self._spots[path] = Spot(known.key if known else place, place, raw)

    def _note_key(self, event: Any) -> None:
        assert self._spots is not None
        mark = event.start_mark
        place = Place(self._first_line + mark.line, mark.column + 1)
        self._spots[tuple(self._path)] = Spot(place, place, None)

    def _complain(
        self, event: Any, message: str, rule: Rule = Rule.SYNTAX, key: str | None = None, suggestion: str = ""
    ) -> None:
        mark = event.start_mark
        path = spelled((*self._path, key) if key is not None else self._path)
        line = self._first_line + mark.line
        self.problems.append(Problem(self._file, line, mark.column + 1, path, message, rule, suggestion))

    def _problem(self, line: int, column: int, message: str, rule: Rule) -> Problem:
        return Problem(self._file, self._first_line + line, column + 1, "", message, rule)

    def _stop(self, event: Any, message: str) -> Unreadable:
        mark = event.start_mark
        return Unreadable(self._problem(mark.line, mark.column, message, Rule.LIMIT), mark.index)


def _noun(value: Any) -> str:
    return quoted(value) if value is None or isinstance(value, bool) else "a number"
