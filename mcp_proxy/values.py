"""How frozen values are made that come into being for every request, or for every part of one."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass as far as the type checker is concerned, which is who enforces it.

    Freezing at run time makes construction three times as dear (0.67 against 0.20 us for four
    fields), and every turn of a client makes one of these for each block of its whole history.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
