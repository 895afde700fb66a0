"""Seals on their way through `thoughtSignature` and through SDKs that take it for bytes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.conversation import Seal
from mcp_proxy.dialects.gemini.client_signatures import read_signature, write_signature


def as_sdk_returns(signature: str) -> str:
    """google-genai decodes the field to bytes and writes it in the URL-safe alphabet."""
    return base64.urlsafe_b64encode(base64.b64decode(signature, validate=True)).decode()


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()), st.booleans())
def test_seal_survives_an_sdk_that_decodes_and_encodes_it(value, redacted):
    if not value and not redacted:
        return
    written = write_signature(Seal("claude", value), redacted=redacted)
    for returned in (written, as_sdk_returns(written), as_sdk_returns(written).rstrip("=")):
        assert read_signature(returned) == (Seal("", value), redacted)


def test_base64_is_sent_as_it_is_for_other_proxies_and_google_itself():
    value = base64.b64encode(bytes(range(256))).decode()
    assert write_signature(Seal("gemini", value)) == value


@pytest.mark.parametrize("value", ["gAAAAAB-_x==", "rs_1|enc", "AAB=", "not base64", "c2l"])
def test_what_an_sdk_would_change_or_refuse_is_wrapped(value):
    written = write_signature(Seal("gpt", value))
    assert written != value
    assert base64.b64encode(base64.b64decode(written, validate=True)).decode() == written


def test_value_that_looks_wrapped_is_wrapped_again():
    once = write_signature(Seal("gpt", "not base64"))
    assert read_signature(write_signature(Seal("gpt", once))).seal == Seal("", once)


@pytest.mark.parametrize(
    "text", ["", "skip_thought_signature_validator", "bWNwcm94eS5z/w==", "bWNwcm94eS5z!"]
)
def test_what_is_no_signature_is_no_seal(text):
    assert read_signature(text).seal is None
