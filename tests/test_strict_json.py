"""What is strict about JSON here beyond the library itself."""

import pytest

from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import decode, encode, get, get_count, nests_too_deeply


def test_only_what_nests_too_deeply_is_said_to() -> None:
    """A slip of this program is a TypeError, too, and has to be told from it."""
    with pytest.raises(TypeError) as too_deep:
        encode(decode("[" * 300 + "]" * 300))
    assert nests_too_deeply(too_deep.value)
    with pytest.raises(TypeError) as slip:
        encode({"a": object()})
    assert not nests_too_deeply(slip.value)
    assert not nests_too_deeply(TypeError("unsupported operand"))


@pytest.mark.parametrize("number", [2**63 - 1, 2**64 - 1, -(2**63), 1e18])
def test_whole_numbers_that_are_read_can_be_written(number: float) -> None:
    document = decode(encode({"k": number}))
    assert encode(get(document, "k", int)) == str(int(number)).encode()


@pytest.mark.parametrize("number", [2**64, 2**70, -(2**70), 10**300])
def test_whole_numbers_of_more_than_64_bits_are_refused(number: int) -> None:
    with pytest.raises(BadRequest, match=r"a\.k: .* 64 bits") as refused:
        get(decode(b'{"k":%d}' % number), "k", int, ("a",))
    assert refused.value.param == "a.k"


def test_a_number_of_tokens_may_be_as_large_as_anybody_likes() -> None:
    assert get_count(decode(b'{"k":%d}' % 2**70), "k") == 2**63 - 1
    assert get_count({}, "k") is None
    for wrong in (-(2.0**70), 1.5, "5"):
        with pytest.raises(BadRequest):
            get_count({"k": wrong}, "k")
