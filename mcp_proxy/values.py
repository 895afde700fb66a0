"""How values and states are made that come into being for every request, or at the start."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass as far as the type checker is concerned, which is who enforces it.

    Freezing at run time makes construction three times as dear (0.67 against 0.20 us for four
    fields), and every turn of a client makes one of these for each block of its whole history.
    And a dataclass writes and compiles its methods for each class anew, which takes 0.4 to 1 ms,
    and there are dozens to be made before the server can listen; these share all but `__init__`.
    """
    made = _bare(cls)
    shared = {"__eq__": _equal, "__hash__": _hash, "__repr__": _shown, "_values": _getter(made)}
    for name, method in shared.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def stateful(cls: type[_T]) -> type[_T]:
    """A dataclass of what changes: equal to nothing but itself, and not made to be printed.

    Writing `__eq__` and `__repr__` takes as long as all else that makes such a class.
    """
    return _bare(cls)


def _bare(cls: type[_T]) -> type[_T]:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else its signature is looked up: 0.2 ms
    return dataclass(slots=True, eq=False, repr=False)(cls)


def _getter(made: type) -> Callable[[object], Any]:
    names = [each.name for each in fields(made)]
    return attrgetter(*names) if names else lambda _: ()


def _equal(self: Any, other: Any) -> Any:
    """A bool, or NotImplemented for another class."""
    kind: Any = type(self)
    if type(other) is not kind:
        return NotImplemented
    return kind._values(self) == kind._values(other)


def _hash(self: Any) -> int:
    kind: Any = type(self)
    return hash(kind._values(self))


def _shown(self: Any) -> str:
    shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"
