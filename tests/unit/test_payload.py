"""Payloads: bytes in, values and JSON texts out."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqops.codec.payload import payload_as_json, payload_value

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_a_json_payload_is_the_value_it_says(value: object) -> None:
    data = json.dumps(value, ensure_ascii=False).encode()
    assert payload_value("application/json", data) == value
    assert payload_as_json("application/json", data) == data


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nul", b'"\xff"', b"[" * 100_000, b"\x00"], ids=["empty", "cut", "word", "utf8", "bomb", "nul"]
)
def test_what_is_not_json_is_none_to_an_expression(data: bytes) -> None:
    assert payload_value("application/json", data) is None


def test_the_parameters_of_the_content_type_do_not_matter() -> None:
    assert payload_value("Application/JSON; charset=utf-8", b"[1]") == [1]


@given(st.binary())
def test_other_content_is_shown_as_base64_and_is_none_to_an_expression(data: bytes) -> None:
    assert base64.b64decode(json.loads(payload_as_json("application/octet-stream", data))) == data
    assert payload_value("application/octet-stream", data) is None
