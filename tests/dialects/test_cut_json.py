"""Completing JSON text that was cut off."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.dialects.cut_json import ending_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4), st.data(), st.booleans())
def test_any_beginning_of_an_object_can_be_completed_to_one(value, data, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    beginning = text[: data.draw(st.integers(0, len(text)))]
    ending = ending_of(beginning)
    assert ending is not None
    assert isinstance(json.loads(beginning + ending), dict)


@pytest.mark.parametrize("text", ['{"a": 1}', "{}", ' {"a": [1, {}]} '])
def test_whole_object_needs_nothing(text):
    assert ending_of(text) == ""


@pytest.mark.parametrize("text", ["[1", "hello", '{"a":1}}', "{a", "7"])
def test_what_is_not_the_beginning_of_an_object_cannot_be_completed(text):
    assert ending_of(text) is None
