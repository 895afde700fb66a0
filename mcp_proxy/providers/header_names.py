"""Headers by name, whose case means nothing."""

from collections.abc import Mapping


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
