"""What is told of a failure."""

import pytest

from mcp_proxy.account import Secret
from mcp_proxy.errors import Failure, FailureKind

TOO_LONG = "prompt is too long: 9000 tokens > 8192 maximum"


@pytest.mark.parametrize("key", ["", "k", "test", "long"])
@pytest.mark.parametrize("detail", [TOO_LONG.replace("long", "longer"), "the latest model"])
def test_a_key_that_is_none_or_short_spoils_no_word(key: str, detail: str) -> None:
    failure = Failure(FailureKind.TOO_LONG, detail)
    assert failure.concealing((Secret(key),)) is failure


@pytest.mark.parametrize(
    ("key", "told"),
    [("k", "bad key …"), ("test", 'bad key "…", …'), ("0123456789", "bad key=…&x, x…y")],
)
def test_what_is_quoted_is_left_out(key: str, told: str) -> None:
    failure = Failure(FailureKind.BAD_REQUEST, told.replace("…", key))
    assert failure.concealing((Secret(key),)).detail == told
