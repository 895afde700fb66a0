"""What is strict about JSON here beyond the library itself."""

import pytest

from mcp_proxy.strict_json import decode, encode, nests_too_deeply


def test_only_what_nests_too_deeply_is_said_to() -> None:
    """A slip of this program is a TypeError, too, and has to be told from it."""
    with pytest.raises(TypeError) as too_deep:
        encode(decode("[" * 300 + "]" * 300))
    assert nests_too_deeply(too_deep.value)
    with pytest.raises(TypeError) as slip:
        encode({"a": object()})
    assert not nests_too_deeply(slip.value)
    assert not nests_too_deeply(TypeError("unsupported operand"))
