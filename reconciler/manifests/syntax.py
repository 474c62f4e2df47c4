"""The YAML parser's complaints in the words of someone who mends the file. Pure."""

from typing import Any

import yaml

_WORDED = {
    "mapping values are not allowed in this context": (
        'a ": " where none can be: the line is indented wrongly, or the value contains ": " and wants quotes'
    ),
    "could not find expected ':'": 'a key without ": " after it',
    "did not find expected key": "indented unlike the keys before it",
    "did not find expected '-' indicator": "indented unlike the list it stands in",
    "did not find expected ',' or ']'": "a list opened with [ is not closed with ]",
    "did not find expected ',' or '}'": "a mapping opened with { is not closed with }",
    "found unexpected end of stream": "a quote is opened here and never closed",
    "found unexpected document indicator": "a quote is opened here and never closed",
    "did not find expected node content": "a value is missing here",
    "did not find expected <document start>": "a document ends above, and the next one begins with ---",
    "found unknown escape character": 'a backslash sequence that YAML does not know: use single quotes, or "\\\\"',
}
_AT_CONTEXT = frozenset(
    {
        "did not find expected ',' or ']'",
        "did not find expected ',' or '}'",
        "found unexpected end of stream",
        "found unexpected document indicator",
    }
)
"""Complaints whose cause is where the thing was opened, not where its end was missed."""


def syntax_message(error: yaml.YAMLError, text: str) -> tuple[int, int, int, str]:
    """Where reading stopped (index into ``text``), the line and column (from 0) to point at, and what to say."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 0, 0, 0, str(error)
    mark: Any = error.problem_mark
    problem = error.problem or ""
    line = text[text.rfind("\n", 0, mark.index) + 1 :].partition("\n")[0]
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        return mark.index, mark.line, indentation.index("\t"), "a tab: YAML is indented with spaces"
    if problem == "found character that cannot start any token":
        character = text[mark.index : mark.index + 1]
        return mark.index, mark.line, mark.column, f'"{character}" cannot begin a value: put it in quotes'
    message = _WORDED.get(problem) or ": ".join(part for part in (error.context, problem) if part)
    shown: Any = error.context_mark if problem in _AT_CONTEXT and error.context_mark else mark
    return mark.index, shown.line, shown.column, message
