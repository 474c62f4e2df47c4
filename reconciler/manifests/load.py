"""A file's bytes into documents. Pure: ``source`` reads the files.

Everything that keeps a file from being read is reported with its place, and reading goes on behind it wherever a next
document begins, so that one mistake hides no other.
"""

import re
from dataclasses import dataclass

from reconciler.manifests.parse import Document, Parser, Unreadable
from reconciler.manifests.places import Path, Place, Places, Spot
from reconciler.manifests.problem import Problem, Rule, quoted

MAX_FILE_BYTES = 4 * 1024**2
_MAX_BROKEN_DOCUMENTS = 50

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks
_NEXT_DOCUMENT = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_TAG_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file says, as far as it can be read."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    broken: tuple[str, ...] = ()
    """The text of documents that could not be read: there is no telling what they declare."""


def load(file: str, data: bytes) -> Loaded:
    """The documents of ``file``; never raises for anything that ``data`` may be."""
    if len(data) > MAX_FILE_BYTES:
        return Loaded((), (too_large(file),))
    if data[:2] in _UTF_16:
        return Loaded((), (Problem(file, 1, 1, "", "UTF-16: save it as UTF-8", Rule.SYNTAX),), ("",))
    problems: list[Problem] = []
    text = _decoded(file, data, problems)
    unwanted = _UNWANTED.search(text)
    if unwanted:
        name = "NUL" if unwanted[0] == "\0" else "control"
        problems.append(_at(file, text, unwanted.start(), f"a {name} character (U+{ord(unwanted[0]):04X})"))
        text = _UNWANTED.sub("�", text)
    directive = _TAG_DIRECTIVE.search(text)
    if directive:  # the parser's time grows with their square
        problems.append(_at(file, text, directive.start(), "%TAG means nothing in a manifest: leave it out"))
        return Loaded((), tuple(problems), (text,))
    documents, broken = _documents(file, text, problems)
    return Loaded(tuple(documents), tuple(problems), tuple(broken))


def places_of(document: Document) -> Places:
    """Where everything in ``document`` stands. Reads its text again: for errors only."""
    spots: dict[Path, Spot] = {}
    parser = Parser(document.file, document.text, document.text_line, spots)
    for _ in parser.documents():
        break
    return Places(spots, Place(document.line, 1))


def too_large(file: str) -> Problem:
    """The problem of a file that is not even read."""
    limit = MAX_FILE_BYTES // 1024**2
    return Problem(file, 0, 0, "", f"larger than {limit} MiB: split it into several files", Rule.LIMIT)


def _decoded(file: str, data: bytes, problems: list[Problem]) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", "replace")
        line_start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[line_start : error.start].decode("utf-8", "replace")) + 1
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        problems.append(Problem(file, line, column, "", message, Rule.SYNTAX))
    return text.removeprefix("\ufeff")


def _at(file: str, text: str, index: int, message: str) -> Problem:
    column = index - (text.rfind("\n", 0, index) + 1)
    return Problem(file, text.count("\n", 0, index) + 1, column + 1, "", message, Rule.SYNTAX)


def _documents(file: str, text: str, problems: list[Problem]) -> tuple[list[Document], list[str]]:
    """Reads on behind each document that cannot be read."""
    documents: list[Document] = []
    broken: list[str] = []
    start = 0
    while True:
        parser = Parser(file, text[start:], text.count("\n", 0, start) + 1)
        try:
            for document in parser.documents():
                if isinstance(document.value, dict):
                    documents.append(document)
                else:
                    problems.append(_not_a_mapping(document))
        except Unreadable as stopped:
            problems.extend((*parser.problems, stopped.problem))
            begin = start + parser.document_start
            following = _NEXT_DOCUMENT.search(text, max(begin + 1, start + stopped.index))
            end = len(text) if following is None else following.start()
            broken.append(text[begin:end])
            if following is None:
                return documents, broken
            if len(broken) == _MAX_BROKEN_DOCUMENTS:
                problems.append(_at(file, text, end, "too many mistakes: the rest of the file was not read"))
                return documents, [*broken, text[end:]]
            start = end
        else:
            problems.extend(parser.problems)
            return documents, broken


def _not_a_mapping(document: Document) -> Problem:
    what = "a list" if isinstance(document.value, list) else quoted(document.value)
    message = f"a manifest is a mapping with apiVersion, kind, metadata and spec, not {what}"
    return Problem(document.file, document.line, 1, "", message, Rule.SYNTAX)
