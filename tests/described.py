"""Holds answers to the API's description: each has to be one that it tells of, with such a body."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

from mqops.api.openapi.document import description

_OF_THE_FRAMEWORK = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
"""What is answered to paths and methods that there are not."""


def require_described(method: str, path: str, status: int, body: bytes) -> None:
    """Fails for an answer that is not in the description."""
    if method == "HEAD":
        return
    operation = _operation(method, urlsplit(path).path.rstrip("/"))
    if operation is None:
        assert json.loads(body)["code"] == _OF_THE_FRAMEWORK[status], (method, path, status)
        return
    answer = description()["paths"][operation][method.lower()]["responses"].get(str(status))
    assert answer is not None, f"{method} {operation} answers {status}, which is not described: {body[:300]!r}"
    validator = _validator(method, operation, status)
    if validator is None:
        assert body == b"", (method, path, status)
    else:
        said = json.loads(body) if "application/json" in _content(method, operation, status) else body.decode()
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(said)]
        assert errors == [], (method, path, status, body[:300])


def _operation(method: str, path: str) -> str | None:
    return next(
        (
            template
            for pattern, template in _patterns()
            if pattern.fullmatch(path) and method.lower() in description()["paths"][template]
        ),
        None,
    )


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(_each_pattern())


def _each_pattern() -> Iterator[tuple[re.Pattern[str], str]]:
    for template in description()["paths"]:
        yield re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))), template


def _content(method: str, template: str, status: int) -> dict[str, Any]:
    """Media type → what is said of such bodies."""
    answer = description()["paths"][template][method.lower()]["responses"][str(status)]
    if "$ref" in answer:
        answer = description()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = answer.get("content", {})
    return found


@cache
def _validator(method: str, template: str, status: int) -> Draft202012Validator | None:
    content = _content(method, template, status)
    if not content:
        return None
    [described] = content.values()
    return Draft202012Validator({**described["schema"], "components": description()["components"]})
