"""The line of each key, told by the parser itself."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.store.toml_lines import key_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("a = 1", {"a": 1}),
        ("# [x]\n\na = 1\n", {"a": 3}),
        ("[server]\nport = 1\nhost = 'x'", {"server": 1, "server.port": 2, "server.host": 3}),
        ("[a]\nkeys = [\n  'x',\n  # [b]\n]\nb = 1", {"a": 1, "a.keys": 2, "a.b": 6}),
        ('text = """\n[no]\nno = 1\n"""\nyes = 2', {"text": 1, "yes": 5}),
        ("a.b = 1\na.c = 2", {"a.b": 1, "a.c": 2}),
        ("[a]\nb = { c = 1, d = 2 }", {"a": 1, "a.b.c": 2, "a.b.d": 2}),
        ('[aliases]\n"gpt-4.1" = "x"', {"aliases": 1, "aliases.gpt-4.1": 2}),
        ("[[r.f]]\nm = 1\n[[r.f]]\nm = 2", {"r.f": 1, "r.f.m": 2}),
        ("\ufeffa = 1\r\nb = 2\r\n", {"a": 1, "b": 2}),
    ],
)
def test_keys_are_found_where_they_are_set(text: str, lines: dict[str, int]) -> None:
    assert key_lines(text.encode()) == lines


_KEYS = st.sampled_from(["a", "b", '"c d"', "e.f"])
_VALUES = st.sampled_from(["1", "'x'", "[\n1,\n2\n]", '"""\n[z]\nq = 1\n"""', "{ k = 1 }"])


@given(st.lists(st.tuples(st.integers(0, 3), _KEYS, _VALUES), unique_by=lambda row: row[1]))
def test_the_line_of_a_key_begins_with_its_name(rows: list[tuple[int, str, str]]) -> None:
    text = "".join("\n" * blank + f"{key} = {value}\n" for blank, key, value in rows)
    at = text.split("\n")
    found = key_lines(text.encode())
    for key, _ in _leaves(tomllib.loads(text)):
        first = key.removesuffix(".k")
        assert at[found[key] - 1].replace('"c d"', "c d").startswith(f"{first} = ")


def _leaves(table: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    return [
        leaf
        for key, value in table.items()
        for leaf in (
            _leaves(value, f"{above}{key}.") if isinstance(value, dict) else [(above + key, value)]
        )
    ]
