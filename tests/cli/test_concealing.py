"""What a diff of somebody's settings shows, and what of it never."""

import difflib

import pytest

from mcp_proxy.cli.concealing import concealed, concealed_diff

LINES = [
    '"Authorization": "Basic SECRET",',
    '"MY_TOKEN": "Token SECRET"',
    '"ANTHROPIC_CUSTOM_HEADERS": "Authorization: Basic SECRET\\nX-Mine: SECRET"',
    '"x": "Authorization: Digest name=\\"me\\", response=\\"SECRET\\""',
    '"apiKeys": ["one SECRET", "SECRET"]',
    '"password": "it\'s \\"SECRET\\""',
    "export MY_TOKEN=Token SECRET",
    "Authorization: Basic SECRET",
    "api_key = 'Basic SECRET'",
    'api_key = """Basic SECRET"""',
]
"""As files of other programs have them: with a scheme, in another text, in a list."""


@pytest.mark.parametrize("line", LINES)
def test_of_a_secret_nothing_is_shown_whatever_stands_before_it(line: str) -> None:
    shown = concealed(f"+{line}\n+last: line\n")
    assert "SECRET" not in shown
    assert "…" in shown
    assert shown.endswith("\n+last: line\n")


def test_what_stands_beside_a_secret_is_shown() -> None:
    line = '{"API_KEY": "", "MY_TOKEN": "mcproxy", "key": null, "credentials": {"theme": "x"}}'
    assert concealed(line) == line
    assert concealed('{"key": "a b", "theme": "x"}') == '{"key": "…", "theme": "x"}'


FILES = {
    "a string over lines": """model = "gpt-5"
private_key = '''
-----BEGIN PRIVATE SECRET-----
SECRETSECRETSECRETSECRET==
name = SECRET
-----END PRIVATE SECRET-----
'''
""",
    "a list over lines": """{
  "apiKeys": [
    "SECRET",
    "SECRET: SECRET"
  ],
  "theme": "dark",
""",
    "an object": """{
  "credentials": {
    "mine": "SECRET",
    "yours": ["SECRET"]
  },
""",
    "a block": """api-key:
  - mine=SECRET
  - SECRET
token: |
  SECRET
  SECRET=
model: x
""",
    "a line of a file": """FOO=SECRET
export BAR='SECRET'
SECRETSECRET=
""",
    "all in one line": """{"env": {"A": "SECRET"}, "b": ["SECRET"]}
""",
}


def diff_of(before: str, added: str) -> str:
    """That line is added in the middle, and everything else stays."""
    lines = before.splitlines(keepends=True)
    middle = len(lines) // 2
    after = [*lines[:middle], added, *lines[middle:]]
    return concealed_diff(difflib.unified_diff(lines, after, "old", "new", n=20))


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_of_lines_that_stay_only_names_are_shown(text: str) -> None:
    shown = diff_of(text, 'base_url = "http://127.0.0.1:8080"\n')
    assert "SECRET" not in shown
    assert '\n+base_url = "http://127.0.0.1:8080"\n' in shown
    assert shown.count("\n") == text.count("\n") + 4


def test_a_line_that_only_gets_a_comma_stays() -> None:
    """In JSON that is what comes of something behind it."""
    before = '{\n  "mine": "SECRET"\n}\n'
    after = '{\n  "mine": "SECRET",\n  "base_url": "http://x"\n}\n'
    lines = (each.splitlines(keepends=True) for each in (before, after))
    shown = concealed_diff(difflib.unified_diff(*lines, "old", "new"))
    assert "SECRET" not in shown
    assert '-  "mine": …\n+  "mine": …,\n+  "base_url": "http://x"\n' in shown


JSON = """{
  "theme": "dark",
  "env": {
    "FOO": "1"
  }
}
"""
TOML = """[projects."/x"]
trust_level = "trusted"
[[mcp]]
"""


def test_where_a_line_is_can_still_be_seen() -> None:
    shown = concealed_diff(f" {line}" for line in (JSON + TOML).splitlines(keepends=True))
    told = JSON.replace('"dark"', "…").replace('"1"', "…") + TOML.replace('"trusted"', "…")
    assert shown == "".join(f" {line}" for line in told.splitlines(keepends=True))
