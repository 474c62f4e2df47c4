"""What the model says of a manifest it refuses, in the words of someone who is to mend it. Pure."""

import re
from collections.abc import Callable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mqops.errors import InvalidValue
from mqops.model import API_VERSION
from mqops.nearest import nearest
from reconciler.manifests.parse import Document
from reconciler.manifests.places import Path, Places, spelled
from reconciler.manifests.problem import Problem, Rule, quoted, shortened
from reconciler.manifests.schema import Schema, schema_at

Words = tuple[str, str]
"""A message, and a suggestion or nothing."""


def problems_of(error: ValidationError, document: Document, kind: str, places: Places) -> list[Problem]:
    """Each of the model's errors with its place, its words and what was probably meant."""
    errors = error.errors(include_url=False)
    unknown = [(_path(details)[:-1], _nearest_field(kind, details)) for details in errors if _is_unknown(details)]
    problems: list[Problem] = []
    for details in errors:
        path = _path(details)
        if details["type"] == "missing" and (path[:-1], path[-1]) in unknown:
            continue  # it is there, misspelt, and reported as that
        if details["type"] == "too_short" and any(_is_below(_path(other), path) for other in errors):
            continue  # the items are there, and reported
        is_about_key = details["type"] in ("missing", "extra_forbidden") or details["loc"][-1:] == ("[key]",)
        place = places.key(path) if is_about_key else places.value(path)
        message, suggestion = _worded(details, kind, path, places.raw(path))
        rule = Rule.FIELD if details["type"] in ("missing", "extra_forbidden") else Rule.VALUE
        problems.append(Problem(document.file, *place, spelled(path), message, rule, suggestion))
    return problems


def _path(details: ErrorDetails) -> Path:
    location = details["loc"]
    return location[:-1] if location[-1:] == ("[key]",) else location


def _is_unknown(details: ErrorDetails) -> bool:
    return details["type"] == "extra_forbidden"


def _is_below(path: Path, ancestor: Path) -> bool:
    return len(path) > len(ancestor) and path[: len(ancestor)] == ancestor


def _nearest_field(kind: str, details: ErrorDetails) -> str:
    path = _path(details)
    return nearest(str(path[-1]), schema_at(kind, path[:-1]).get("properties", {}))


def _worded(details: ErrorDetails, kind: str, path: Path, raw: str | None) -> Words:
    if details["type"] == "missing":
        return "is required", ""
    if _is_unknown(details):
        return _unknown_field(details, kind, path)
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, InvalidValue):
        return shortened(str(cause)), shortened(cause.suggestion)
    is_about_key = details["loc"][-1:] == ("[key]",)
    schema = schema_at(kind, path[:-1]).get("propertyNames", {}) if is_about_key else schema_at(kind, path)
    worded = _WORDED.get(details["type"])
    if worded is None:
        worded = _time if details["type"].startswith(("datetime", "timezone")) else _otherwise
    return worded(details, schema, raw)


def _unknown_field(details: ErrorDetails, kind: str, path: Path) -> Words:
    if kind in ("Tenant", "Source") and path == ("metadata", "tenant"):
        return f"a {kind} belongs to no tenant: leave it out", ""
    near = _nearest_field(kind, details)
    known = schema_at(kind, path[:-1]).get("properties", {})
    return "there is no such field" + ("" if near else f"; there are {', '.join(known)}"), near


def _shown(value: object, raw: str | None) -> str:
    """A value as the manifest writes it: what YAML makes of ``yes`` means little to who wrote it."""
    return raw if raw and not isinstance(value, str) else quoted(value)


def _text(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    if value is None:
        return "is empty, and text is wanted", ""
    if isinstance(value, bool):
        written = raw or quoted(value)
        return f"{written} is read as {quoted(value)}, and text is wanted: quote it", f'"{written}"'
    if isinstance(value, int | float):
        return f"{raw or value} is a number, and text is wanted: quote it", f'"{raw or value}"'
    return f"text is wanted, not {quoted(value)}", ""


def _pattern(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    message = schema.get("patternErrorMessage", "This is not what is wanted").removeprefix("This ")
    lowered = "-".join(value.strip().lower().split())
    pattern = details.get("ctx", {}).get("pattern", "")
    return f"{quoted(value)} {message}", lowered if lowered != value and re.search(pattern, lowered) else ""


def _choice(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    choices = [str(choice) for choice in schema.get("enum", [schema.get("const", "")])]
    if choices == [API_VERSION]:
        return f"{quoted(value)} is not an apiVersion of mqops", API_VERSION
    written = _shown(value, raw)
    near = nearest(raw or value, choices) if isinstance(value, str) or raw else ""
    message = f"{written} is not one of {', '.join(choices)}" if len(choices) > 1 else f"{written} is not {choices[0]}"
    return message if len(choices) > 1 else f"{message}, the only choice so far", near


def _whole_number(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    is_numeral = isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal()
    return f"a whole number is wanted, not {_shown(value, raw)}", str(int(value)) if is_numeral else ""


def _number(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    return f"a number is wanted, not {_shown(details['input'], raw)}", ""


def _truth(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    meant = {"yes": "true", "true": "true", "on": "true", "no": "false", "false": "false", "off": "false"}
    return f"true or false is wanted, not {quoted(value)}", meant.get(str(value).strip().lower(), "")


def _range(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    low, high = schema.get("minimum"), schema.get("maximum")
    return f"{quoted(details['input'])} is outside of {low} to {high}", ""


def _list(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    return f"a list is wanted, not {quoted(value)}", f"[{raw or value}]" if isinstance(value, str) else ""


def _mapping(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    value = details["input"]
    return "is empty: fill it in, or leave it out" if value is None else f"a mapping is wanted, not {quoted(value)}", ""


def _too_short(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    return "is empty, and at least one is needed" if isinstance(details["input"], list) else "is empty", ""


def _too_long(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    limit = details.get("ctx", {}).get("max_length")
    return f"is longer than {limit} {'entries' if isinstance(details['input'], list) else 'characters'}", ""


def _time(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    return f"{quoted(details['input'])} is not a time with its zone, like 2027-01-31T12:00:00Z", ""


def _otherwise(details: ErrorDetails, schema: Schema, raw: str | None) -> Words:
    return f"{quoted(details['input'])}: {details['msg']}", ""


_WORDED: dict[str, Callable[[ErrorDetails, Schema, str | None], Words]] = {
    "string_type": _text,
    "string_pattern_mismatch": _pattern,
    "string_too_short": _too_short,
    "string_too_long": _too_long,
    "literal_error": _choice,
    "int_type": _whole_number,
    "int_from_float": _whole_number,
    "float_type": _number,
    "bool_type": _truth,
    "greater_than_equal": _range,
    "less_than_equal": _range,
    "tuple_type": _list,
    "list_type": _list,
    "dict_type": _mapping,
    "model_type": _mapping,
    "too_short": _too_short,
    "too_long": _too_long,
}
