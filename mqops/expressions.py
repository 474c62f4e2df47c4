"""CEL, the one language for every expression: filters here, transforms and policies when they come.

A filter sees ``payload``, ``headers``, ``key`` and ``topic``. A missing field makes it false (so a filter may name
fields that only some messages have); any other failure is the message's own and is reported as such. What can be known
without a message is checked when a filter is compiled: its syntax, the names it uses, the regular expressions in it.
Source of the language: https://github.com/google/cel-spec.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from mqops.errors import InvalidValue
from mqops.nearest import nearest

FILTER_VARIABLES = frozenset({"payload", "headers", "key", "topic"})

_TYPES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"})
_LITERALS = frozenset({"true", "false", "null", "in"})
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
"""Called on a list or map; their first argument names a variable for the others."""
_OF_STRINGS = frozenset({"size", "contains", "startsWith", "endsWith", "matches"})
_OF_DAYS = frozenset({"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"})
_OF_TIMES = frozenset({"getHours", "getMinutes", "getSeconds", "getMilliseconds"})
_METHODS = _OF_STRINGS | _OF_DAYS | _OF_TIMES
_CONVERSIONS = frozenset({"int", "uint", "double", "string", "bytes", "dyn", "duration", "timestamp"})
_FUNCTIONS = _CONVERSIONS | {"size", "has", "type"}
_TAKE_CONSTANTS = frozenset({"matches", "duration", "timestamp"})
"""Calls that a constant argument can make fail for every message; they are tried out once."""


class ExpressionFailed(Exception):
    """The expression could not be evaluated over this message."""


_PAYLOAD_FIELD = re.compile(r"\bpayload\s*[.\[]")


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter. It keeps no state: one instance serves any number of messages."""

    source: str
    program: Any

    def matches(self, *, payload: Any, headers: dict[str, str], key: str | None, topic: str) -> bool:
        """Whether the message passes. Raises ``ExpressionFailed`` for anything but a missing field."""
        try:
            result = self.program.execute({"payload": payload, "headers": headers, "key": key or "", "topic": topic})
        except KeyError:
            return False
        except Exception as error:  # the engine raises several kinds; all mean the same to a message
            if not isinstance(payload, dict) and _PAYLOAD_FIELD.search(self.source):
                return False  # a payload that is no object has none of the fields that the filter names
            raise ExpressionFailed(str(error)) from error
        if not isinstance(result, bool):
            raise ExpressionFailed(f"the filter gave {type(result).__name__}, not true or false")
        return result


@lru_cache(maxsize=4096)
@cache
def engine() -> Any:
    """The library. To import it takes a tenth of a second, since it brings a whole terminal interface along: most
    commands have nothing to compile. Who serves messages asks for it at the start."""
    import cel

    return cel


def compile_filter(source: str) -> Filter:
    """Compile ``source``; raises ``InvalidValue`` saying what is wrong and what was probably meant."""
    try:
        program = engine().compile(source)
    except ValueError as error:
        raise InvalidValue(f"not a CEL expression: {_shortened(str(error))}") from error
    _check_names(source)
    unexpanded = sorted({*_MACROS, "has"} & set(program.functions()))  # the engine expands those that are used rightly
    if unexpanded:
        raise InvalidValue(f"{unexpanded[0]}() has too few or too many arguments")
    return Filter(source, program)


def _shortened(error: str) -> str:
    """The engine repeats the whole expression and draws a picture of it; a line of a report has no room for either."""
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)", error)
    return f"line {match[1]}, character {match[2]}: {match[3]}" if match else error.splitlines()[0]


_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ | //[^\n]* )
    | (?P<text>    [bB]?[rR] (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
                 | [bB]? (?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
                           | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' ) )
    | (?P<number>  0x[0-9a-fA-F]+[uU]? | (?:\d+\.\d+ | \.\d+ | \d+) (?:[eE][+-]?\d+)? [uU]? )
    | (?P<name>    [A-Za-z_]\w* )
    | (?P<mark>    . )
    """,
    re.VERBOSE | re.DOTALL,
)


_Token = tuple[str, str]
"""What kind of token, and its text."""

_END: _Token = ("mark", "")


def _tokens(source: str) -> list[_Token]:
    return [(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(source) if match.lastgroup != "space"]


def _check_names(source: str) -> None:
    """Refuse variables and functions that no message will ever have.

    The engine lists the names an expression uses, but not which of them a macro binds (the ``i`` of
    ``payload.items.exists(i, i.price > 10)``): so the tokens are walked once, with the scopes that are open.
    """
    tokens = [_END, _END, *_tokens(source), _END, _END]
    scopes: list[str] = []  # for each open bracket the variable it binds, empty for none
    for index in range(2, len(tokens) - 2):
        kind, text = tokens[index]
        previous, (following_kind, following) = tokens[index - 1][1], tokens[index + 1]
        if kind == "mark" and text in ("(", "[", "{"):
            is_macro = previous in _MACROS and tokens[index - 2][1] == "."
            scopes.append(following if is_macro and following_kind == "name" else "")
        elif kind == "mark" and text in (")", "]", "}"):
            scopes.pop()
        elif kind == "name" and previous == "." and not _ends_value(tokens[index - 2]):
            _check_variable(f".{text}", set(FILTER_VARIABLES))
        elif kind == "name" and following == "(":
            _check_call(text, is_method=previous == ".")
            after, closing = tokens[index + 2], tokens[index + 3 : index + 4]
            if text in _TAKE_CONSTANTS and after[0] == "text" and closing == [("mark", ")")]:
                _try_out(text, after[1])
        elif kind == "name" and previous != "." and text not in FILTER_VARIABLES:
            _check_variable(text, {*FILTER_VARIABLES, *scopes})


def _ends_value(token: _Token) -> bool:
    """Whether what comes after ``token`` and a dot is a field of something."""
    kind, text = token
    return text in (")", "]", "}") if kind == "mark" else text != "in"


def _check_call(name: str, *, is_method: bool) -> None:
    if is_method and name not in _METHODS | _MACROS:
        hint = f"{name}(x)" if name in _FUNCTIONS else nearest(name, _METHODS | _MACROS)
        raise InvalidValue(f"nothing has a method {name}()", hint)
    if not is_method and name not in _FUNCTIONS:
        hint = f"x.{name}(…)" if name in _METHODS | _MACROS else nearest(name, _FUNCTIONS)
        raise InvalidValue(f"there is no function {name}()", hint)


def _check_variable(name: str, known: set[str]) -> None:
    if name not in known | _TYPES | _LITERALS:
        message = f"{name} is not a variable: a filter knows payload, headers, key and topic"
        raise InvalidValue(message, nearest(name, known - {""}) or f"payload.{name.lstrip('.')}")


def _try_out(name: str, constant: str) -> None:
    try:
        engine().compile(f"''.matches({constant})" if name == "matches" else f"{name}({constant})").execute()
    except Exception as error:
        wanted = {"matches": "a regular expression (RE2)", "duration": "a duration", "timestamp": "a timestamp"}[name]
        raise InvalidValue(f"{constant} is not {wanted}") from error
