"""CEL, the one language for every expression: filters here, transforms and policies when they come.

A filter sees ``payload``, ``headers``, ``key`` and ``topic``. A missing field makes it false (so a filter may name
fields that only some messages have); any other failure is the message's own and is reported as such.
Source of the language: https://github.com/google/cel-spec.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

FILTER_VARIABLES = frozenset({"payload", "headers", "key", "topic"})


class ExpressionFailed(Exception):
    """The expression could not be evaluated over this message."""


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
            raise ExpressionFailed(str(error)) from error
        if not isinstance(result, bool):
            raise ExpressionFailed(f"the filter gave {type(result).__name__}, not true or false")
        return result


@lru_cache(maxsize=4096)
def compile_filter(source: str) -> Filter:
    """Compile ``source``; raises ``ValueError`` saying where it is wrong."""
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ValueError(f"not a CEL expression: {error}") from error
    unknown = set(program.variables()) - FILTER_VARIABLES
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"a filter knows payload, headers, key and topic, not {names}")
    return Filter(source, program)
