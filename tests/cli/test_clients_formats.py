"""Other people's settings files, changed in place: what is not ours stays as it is written."""

import json
import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.cli.clients.formats import FORMATS
from mcp_proxy.cli.clients.text_edit import CannotEdit

JSON, TOML, ENV = FORMATS["json"], FORMATS["toml"], FORMATS["dotenv"]
YAML, MODELS = FORMATS["yaml"], FORMATS["yaml-models"]

# ------------------------------------------------------------------------------------- JSON

CASES = [
    ("", '{\n  "env": {\n    "A": "1"\n  }\n}\n'),
    ("{}\n", '{\n  "env": {\n    "A": "1"\n  }\n}\n'),
    ('{"x": 1}', '{"x": 1, "env": {"A": "1"}}'),
    ('{"x": 1,}', '{"x": 1, "env": {"A": "1"}}'),
    ('{\n\t"x": 1\n}', '{\n\t"x": 1,\n\t"env": {\n\t\t"A": "1"\n\t}\n}'),
    (
        '{\n    "x": 1, // one\n}\n',
        '{\n    "x": 1, // one\n    "env": {\n        "A": "1"\n    }\n}\n',
    ),
    (
        '{\n  "x": 1 // one\n  // the end\n}\n',
        '{\n  "x": 1, // one\n  "env": {\n    "A": "1"\n  }\n  // the end\n}\n',
    ),
    ('{\n  "env": {"A": "0", "B": 2}\n}', '{\n  "env": {"A": "1", "B": 2}\n}'),
    ("{\n  // nothing yet\n}", '{\n  // nothing yet\n  "env": {\n    "A": "1"\n  }\n}'),
    ('{\r\n  "x": 1\r\n}\r\n', '{\r\n  "x": 1,\r\n  "env": {\r\n    "A": "1"\r\n  }\r\n}\r\n'),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_a_value_is_set_in_the_style_of_the_file(before: str, after: str) -> None:
    # What was a trailing comma before the new member is its comma now.
    assert JSON.put(before, ("env", "A"), '"1"') == after.replace(", }", "}")
    assert JSON.get(after, ("env", "A")) == '"1"'


@pytest.mark.parametrize(
    "text",
    ['{"a": 1', '{"a" 1}', "[1, 2]", '{"a": tru}', '{"a": 1} x', '{"a": 1, "a": 2}', "{'a': 1}"],
)
def test_what_is_no_object_of_json_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit):
        JSON.put(text, ("a",), "2")


def test_a_value_that_is_no_object_is_not_replaced_by_one() -> None:
    with pytest.raises(CannotEdit, match="env is not an object"):
        JSON.put('{"env": "x"}', ("env", "A"), "1")


def test_json_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(CannotEdit, match="nested too deeply"):
        JSON.get("[" * 100_000, ("a",))


def test_an_enclosing_object_with_a_comment_in_it_is_not_removed() -> None:
    text = '{\n  "env": {\n    // mine\n    "A": 1\n  }\n}\n'
    assert JSON.drop(text, ("env", "A"), 1) == '{\n  "env": {\n    // mine\n  }\n}\n'


keys = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(keys, inside, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(keys, values, max_size=5)
paths = st.lists(keys, min_size=1, max_size=3).map(tuple)


@st.composite
def written(draw: st.DrawFn) -> tuple[dict[str, Any], str, list[str]]:
    """A document, one way of writing it, and the comments in it."""
    document = draw(documents)
    text = json.dumps(
        document, indent=draw(st.sampled_from([None, 2, 4, "\t"])), ensure_ascii=draw(st.booleans())
    )
    comments = []
    if draw(st.booleans()) and "\n" in text:
        lines = text.split("\n")
        for number in draw(st.lists(st.integers(0, len(lines) - 2), max_size=3, unique=True)):
            comment = f"/* {number} {{,}} */" if draw(st.booleans()) else f"// {number} ]"
            lines[number] += f" {comment}"
            comments.append(comment)
        text = "\n".join(lines)
    if draw(st.booleans()):
        text = re.sub(r'(["\d\]\}el])\n(\s*)\}$', r"\1,\n\2}", text)
    return document, text, comments


def plain(text: str) -> Any:
    """JSON with comments as a value, by another reader: strings are kept, the rest is cleaned."""
    token = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
    bare = token.sub(lambda found: found[0] if found[0][0] == '"' else "", text)
    string_or_comma = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
    return json.loads(string_or_comma.sub(lambda f: f[0] if f[0] != "," else "", bare))


def with_value(
    document: dict[str, Any], path: tuple[str, ...], value: Any
) -> dict[str, Any] | None:
    """The document with the value; None where something that is no object is in the way."""
    copy = json.loads(json.dumps(document))
    table = copy
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return None
    table[path[-1]] = value
    return dict(copy)


@given(written(), paths, values)
def test_json_gets_the_value_and_keeps_everything_else(
    found: tuple[dict[str, Any], str, list[str]], path: tuple[str, ...], value: Any
) -> None:
    document, text, comments = found
    wanted = with_value(document, path, value)
    if wanted is None:
        with pytest.raises(CannotEdit):
            JSON.put(text, path, JSON.source(value))
        return
    is_new = JSON.get(text, path) is None
    changed = JSON.put(text, path, JSON.source(value))
    assert plain(changed) == wanted
    if is_new:
        assert all(comment in changed for comment in comments)


@given(written(), paths, values)
def test_json_without_the_value_again_is_what_it_was(
    found: tuple[dict[str, Any], str, list[str]], path: tuple[str, ...], value: Any
) -> None:
    document, text, comments = found
    if with_value(document, path, value) is None or JSON.get(text, path) is not None:
        return
    missing = sum(JSON.get(text, path[:n]) is None for n in range(1, len(path)))
    back = JSON.drop(JSON.put(text, path, JSON.source(value)), path, missing)
    assert plain(back) == document
    assert all(comment in back for comment in comments)


# ------------------------------------------------------------------------------------- TOML

CONFIG = """\
# mine
model = "gpt-5.5" # good
notes = '''
[not.a.header]
x = 1
'''
list = [
  "a", # ]
  "b",
]

[projects."/home/me"] # a header
trust_level = "trusted"

[[tools]]
name = "x"
"""


def test_a_toml_key_of_the_root_goes_before_the_first_table() -> None:
    changed = TOML.put(CONFIG, ("model_provider",), '"mcproxy"')
    assert tomllib.loads(changed)["model_provider"] == "mcproxy"
    assert changed.replace('model_provider = "mcproxy"\n', "") == CONFIG


def test_a_toml_table_is_added_and_taken_away_again() -> None:
    path = ("model_providers", "mcproxy", "base_url")
    changed = TOML.put(CONFIG, path, '"http://127.0.0.1:1"')
    assert tomllib.loads(changed)["model_providers"]["mcproxy"] == {
        "base_url": "http://127.0.0.1:1"
    }
    assert tomllib.loads(TOML.drop(changed, path, 2)) == tomllib.loads(CONFIG)
    assert changed.startswith(CONFIG)


def test_a_toml_value_is_replaced_and_its_comment_stays() -> None:
    changed = TOML.put(CONFIG, ("model",), '"other"')
    assert changed == CONFIG.replace('"gpt-5.5" # good', '"other" # good')


def test_a_toml_file_that_begins_with_a_table_gets_its_root_key_first() -> None:
    assert TOML.put("[a]\nb = 1\n", ("c",), "2") == "c = 2\n\n[a]\nb = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "model_providers = { mcproxy = { name = 'x' } }\n",
        "model_providers.mcproxy.name = 'x'\n",
        "[model_providers]\nmcproxy = { name = 'x' }\n",
        "model_providers = 3\n",
        "this is no TOML\n",
        'a = "open\n',
    ],
)
def test_toml_written_in_another_way_is_refused_and_not_guessed_at(text: str) -> None:
    with pytest.raises(CannotEdit):
        TOML.put(text, ("model_providers", "mcproxy", "base_url"), '"x"')


toml_keys = st.sampled_from(["a", "b-1", "c_2", 'd "x"', "é"])
toml_values = st.one_of(
    st.integers(-(2**31), 2**31),
    st.booleans(),
    st.text(
        st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="#"),
        max_size=8,
    ),
)


@given(
    st.dictionaries(toml_keys, toml_values, max_size=3),
    st.dictionaries(toml_keys, st.dictionaries(toml_keys, toml_values, max_size=3), max_size=3),
    st.lists(toml_keys, min_size=1, max_size=2).map(tuple),
    toml_values,
)
def test_toml_gets_the_value_and_gives_it_back(
    root: dict[str, Any], tables: dict[str, Any], path: tuple[str, ...], value: Any
) -> None:
    text = "# first\n" + "".join(f"{json.dumps(k)} = {TOML.source(v)}\n" for k, v in root.items())
    for name, table in tables.items():
        if name not in root:
            text += f"\n[{json.dumps(name)}] # t\n"
            text += "".join(f"{json.dumps(k)} = {TOML.source(v)} # v\n" for k, v in table.items())
    document = tomllib.loads(text)
    try:
        was, had = TOML.get(text, path), path[0] in document
        changed = TOML.put(text, path, TOML.source(value))
    except CannotEdit:
        # A table where the value would be, or a value where the table would be.
        clash = document.get(path[0])
        assert isinstance(clash, dict) != (len(path) == 2)
        return
    assert tomllib.loads(changed) == with_value(document, path, value)
    assert changed.count("#") >= text.count("#")
    back = (
        TOML.drop(changed, path, 0 if had else len(path) - 1)
        if was is None
        else TOML.put(changed, path, was)
    )
    assert tomllib.loads(back) == document


# ------------------------------------------------------------------------------ lines, and llm's


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        (ENV, "", "KEY=new\n"),
        (ENV, "A=1", "A=1\nKEY=new\n"),
        (ENV, "export KEY='old' # c\nB=2\n", "export KEY=new # c\nB=2\n"),
        (ENV, "KEY=1\r\nB=2\r\n", "KEY=new\r\nB=2\r\n"),
        (ENV, "KEY=\n", "KEY=new\n"),
        (YAML, "# c\nread:\n  - KEY: x\n", "# c\nread:\n  - KEY: x\nKEY: new\n"),
        (YAML, 'KEY: "old" # c\n', "KEY: new # c\n"),
        (YAML, "KEY:\nother: 1\n", "KEY: new\nother: 1\n"),
    ],
)
def test_a_line_is_replaced_or_added(form: Any, before: str, after: str) -> None:
    assert form.put(before, ("KEY",), form.source("new")) == after
    assert form.get(after, ("KEY",)) == "new"
    added = form.put(after, ("OTHER_KEY",), "1")
    assert form.drop(added, ("OTHER_KEY",), 0) == after


@pytest.mark.parametrize(
    "text", ["KEY: |\n  a\n", "KEY:\n  - a\n", 'KEY: "a\n  b"\n', "KEY: [a,\n b]\n"]
)
def test_a_yaml_value_of_several_lines_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit, match="several lines"):
        YAML.put(text, ("KEY",), "x")


OWN_MODELS = """\
# mine
- model_id: local   # fast
  model_name: orca
  api_base: "http://127.0.0.1:1"
- model_id: other
"""


def test_an_entry_of_llm_is_added_replaced_and_removed() -> None:
    source = MODELS.source({"model_id": "mcproxy/x", "model_name": "x"})
    added = MODELS.put(OWN_MODELS, ("mcproxy/x",), source)
    assert added == OWN_MODELS + '- model_id: "mcproxy/x"\n  model_name: "x"\n'
    assert MODELS.put(added, ("mcproxy/x",), source) == added
    assert MODELS.get(added, ("mcproxy/x",)) == source
    assert MODELS.drop(added, ("mcproxy/x",), 0) == OWN_MODELS
    assert MODELS.drop(OWN_MODELS, ("local",), 0) == "# mine\n- model_id: other\n"


@pytest.mark.parametrize("text", ["[{model_id: x}]\n", "models:\n- model_id: x\n"])
def test_a_list_that_is_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit, match="left margin"):
        MODELS.put(text, ("x",), "- model_id: x")
