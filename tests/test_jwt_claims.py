"""Reading a JSON web token: whatever it is, claims or none."""

from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.jwt_claims import claims_of, expiry_of


def token(claims: Any) -> str:
    middle = urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    return f"e30.{middle}.c2ln"


@given(st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text() | st.none()))
def test_claims_come_back_whatever_the_length_of_the_padding(claims):
    assert claims_of(token(claims)) == claims


@given(st.text() | st.text(alphabet="aA0-_.=").map("e30.{}.x".format))
def test_anything_else_has_no_claims_and_never_raises(text):
    assert isinstance(claims_of(text), dict)


@pytest.mark.parametrize("text", ["", "sk-key", "a.b", "e30.W10.x", "e30.!!!.x", "e30.é.x"])
def test_what_is_no_token_has_none(text):
    assert claims_of(text) == {}


@pytest.mark.parametrize(
    ("claims", "expiry"),
    [
        ({"exp": 1_760_000_000}, 1_760_000_000.0),
        ({"exp": 1.5}, 1.5),
        ({"exp": "soon"}, None),
        ({"exp": True}, None),
        ({}, None),
    ],
)
def test_expiry(claims, expiry):
    assert expiry_of(token(claims)) == expiry
