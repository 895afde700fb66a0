"""Values: what a frozen dataclass has, with methods that are shared instead of made for each."""

from copy import deepcopy
from dataclasses import field, fields, replace
from typing import Any

import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.values import value


@value
class Point:
    x: int
    y: Any = 0
    secret: str = field(default="hidden", repr=False)


@value
class Other:
    x: int
    y: Any = 0
    secret: str = "hidden"


@value
class Nothing:
    pass


@value
class Own:
    x: int

    def __repr__(self) -> str:
        return "own"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7


def test_equal_values_are_equal_and_hash_alike():
    assert Point(1, (2,)) == Point(1, (2,))
    assert Point(1) != Point(2)
    assert Point(1, "a", "b") != Point(1, "a", "c")
    assert hash(Point(1, (2,))) == hash(Point(1, (2,)))
    assert len({Point(1), Point(1), Point(2), Nothing(), Nothing()}) == 3


def test_a_value_equals_none_of_another_class():
    assert Point(1) != Other(1)
    assert Point(1) != (1, 0, "hidden")
    assert Point(1).__eq__(None) is NotImplemented


def test_what_cannot_be_hashed_says_so():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1, []))


def test_it_shows_its_fields_but_for_those_that_are_not_to_be_shown():
    assert repr(Point(1, "a")) == "Point(x=1, y='a')"
    assert repr(Nothing()) == "Nothing()"
    account = Account("ada", "antigravity", Credential(refresh_token=Secret("1//s3cr3t")))
    assert "Secret(…)" in repr(account)
    assert "s3cr3t" not in repr(account) + str(account) + f"{account.credential.refresh_token}"


def test_a_class_keeps_its_own_methods():
    assert repr(Own(1)) == "own"
    assert Own(1) == 5
    assert hash(Own(1)) == 7


def test_it_is_a_dataclass_with_slots():
    point = Point(1, [2])
    assert replace(point, x=3) == Point(3, [2])
    assert deepcopy(point) == point
    assert [each.name for each in fields(Point)] == ["x", "y", "secret"]
    match point:
        case Point(x, y):
            assert (x, y) == (1, [2])
    assert not hasattr(point, "__dict__")
