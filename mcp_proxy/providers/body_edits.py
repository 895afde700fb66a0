"""Small changes of JSON bodies. Each gives a new object and leaves the given one as it is."""

from collections.abc import Callable
from typing import Any

JsonObject = dict[str, Any]
Edit = Callable[[JsonObject], JsonObject]


def less(fields: JsonObject, *names: str) -> JsonObject:
    """The fields but for these; the same object when it has none of them."""
    if fields.keys().isdisjoint(names):
        return fields
    return {name: value for name, value in fields.items() if name not in names}


def dropping(*names: str) -> Edit:
    def drop(body: JsonObject) -> JsonObject:
        return less(body, *names)

    return drop


def dropping_inner(field: str, name: str) -> Edit:
    """Drops `name` from the object `field`, and that with it when nothing else is in it."""

    def drop(body: JsonObject) -> JsonObject:
        value = body.get(field)
        if not isinstance(value, dict) or name not in value:
            return body
        rest = less(value, name)
        return {**body, field: rest} if rest else less(body, field)

    return drop


def renaming(old: str, new: str) -> Edit:
    def rename(body: JsonObject) -> JsonObject:
        return {new if name == old else name: value for name, value in body.items()}

    return rename


def each(field: str, change: Edit) -> Edit:
    """Changes every object of the list `field`."""

    def rewrite(body: JsonObject) -> JsonObject:
        items = body.get(field)
        return {**body, field: [change(item) for item in items]} if items else body

    return rewrite
