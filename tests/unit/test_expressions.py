"""Filters: what is refused when they are compiled, and what they do with messages."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqops.errors import InvalidValue
from mqops.expressions import ExpressionFailed, compile_filter

PAYLOAD = {"total": 150.0, "count": 3, "name": "anvil", "none": None, "lines": [{"sku": "a", "price": 20}], "when": "x"}


def matches(source: str, payload: Any = PAYLOAD, **headers: str) -> bool:
    return compile_filter(source).matches(payload=payload, headers=headers, key="k", topic="orders")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('payload.total > 100.0 && headers.region in ["eu", "us"]', True),
        ("payload.total > 100", True),
        ("payload.count >= 3.0", True),
        ("key == 'k' && topic.startsWith('ord')", True),
        ("payload.lines.exists(line, line.price > 10)", True),
        ("payload.lines.all(a, payload.lines.exists(b, a.sku == b.sku))", True),
        ("payload.lines.map(line, line.price).size() == 1 // lines", True),
        ("payload.name.matches('^an.*l$') && size(payload.name) == 5", True),
        ('type(payload.count) == int && "foo(x)" != payload.name', True),
        ("has(payload.discount) && payload.discount > 0", False),
        ("timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')", True),
        ("{'a': 1}.a == 1 ? true : false", True),
        ("r'\\d' == '\\\\d'", True),
    ],
)
def test_filters_decide(source: str, expected: bool) -> None:
    assert matches(source, region="eu") is expected


@pytest.mark.parametrize(
    "source", ["payload.discount > 0", "payload.a.b.c == 1", "headers.region == 'eu'", "payload['x'] == 1"]
)
def test_a_missing_field_is_false(source: str) -> None:
    assert matches(source) is False


def test_a_payload_that_is_no_object_has_no_fields() -> None:
    for payload in ([1, 2], "text", 5, None, True):
        assert matches("payload.total > 1", payload) is False
        assert matches("payload['total'] > 1", payload) is False
    with pytest.raises(ExpressionFailed):
        matches("payload > 1", "text")


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("payload.name > 1", PAYLOAD),
        ("payload.name.sku == 1", PAYLOAD),
        ("payload.total + payload.count > 1", PAYLOAD),
        ("payload.count / 0 == 1", PAYLOAD),
        ("timestamp(payload.when) < timestamp('2027-01-01T00:00:00Z')", PAYLOAD),
        ("payload.total", PAYLOAD),
    ],
)
def test_any_other_failure_is_the_messages_own(source: str, payload: Any) -> None:
    with pytest.raises(ExpressionFailed):
        matches(source, payload)


@pytest.mark.parametrize(
    ("source", "message", "suggestion"),
    [
        ("payload.total >", "not a CEL expression: line 1, character 16: mismatched input", ""),
        ("payload.a.?b", "not a CEL expression: line 1, character 10: unsupported syntax '.?'", ""),
        ("foo(1)", "there is no function foo()", ""),
        ("siz(payload) > 1", "there is no function siz()", "size"),
        ("payload.name.startWith('a')", "nothing has a method startWith()", "startsWith"),
        ("matches(payload.name, 'a')", "there is no function matches()", "x.matches(…)"),
        ("payload.count.int() == 1", "nothing has a method int()", "int(x)"),
        ("paylod.total > 1", "paylod is not a variable: a filter knows payload, headers, key and topic", "payload"),
        ("total > 1", "total is not a variable", "payload.total"),
        ("has()", "has() has too few or too many arguments", ""),
        ("payload.lines.all(a, true, true, a)", "all() has too few or too many arguments", ""),
        (".total > 1", ".total is not a variable", "payload.total"),
        ("payload.lines.exists(line, line.price > 1) && line > 1", "line is not a variable", "payload.line"),
        ("payload.lines.exists(line, lin.price > 1)", "lin is not a variable", "line"),
        ("payload.name.matches('a(b')", "'a(b' is not a regular expression", ""),
        ("timestamp('yesterday') < timestamp('2027-01-01T00:00:00Z')", "'yesterday' is not a timestamp", ""),
        ("duration('7 days') < duration('1h')", "'7 days' is not a duration", ""),
        ("Foo{a: 1} == payload", "Foo is not a variable", "payload.Foo"),
    ],
)
def test_what_no_message_could_pass_is_refused(source: str, message: str, suggestion: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_filter(source)
    assert str(caught.value).startswith(message)
    assert caught.value.suggestion == suggestion
    assert "\n" not in str(caught.value)


CEL_LIKE = st.lists(
    st.sampled_from(
        ["payload", ".x", ".all(", ".exists(", "i", ",", "(", ")", "[", "]", "{", "}", "1", "'a'", 'r"\\"', '"""', "b'",
         "&&", "==", "?", ":", "!", "-", " ", "//", "\n", "has(", "size(", ".matches(", "1.5", ".", "in", "\\", "é"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(st.one_of(st.text(), CEL_LIKE))
def test_arbitrary_text_is_compiled_or_refused(source: str) -> None:
    try:
        compiled = compile_filter(source)
    except InvalidValue:
        return
    try:
        compiled.matches(payload=PAYLOAD, headers={}, key=None, topic="t")
        undefined = None
    except ExpressionFailed as error:
        undefined = re.search(r"Undefined variable or function: '(.*?)'", str(error))
    # The engine says this of known functions too, when they have the wrong number of arguments.
    assert undefined is None or undefined[1] in {"size", "matches"}, "unknown names are refused when it is compiled"
