"""The loss tables as Markdown: a table a client API, a row a feature, a column an upstream API."""

from collections.abc import Iterator
from pathlib import Path

from .outcome import DIALECTS, FEATURES, fate

COMMITTED = Path(__file__).parent / "losses.md"

TITLES = {
    "anthropic": "Anthropic Messages",
    "openai_chat": "OpenAI Chat Completions",
    "openai_responses": "OpenAI Responses",
    "gemini": "Gemini",
}

INTRODUCTION = """\
# What is lost on the way

What becomes of each feature of a request that is translated, by the API of the client (a table
each) and that of the upstream (a column each). Where both are the same the request is normally
forwarded as it came; that column says what is left when it has to be rewritten.

- **kept**: said in the upstream's own words
- **changed**: said in another way, for want of a field
- **done here**: the proxy does it itself
- **dropped**: left out; *named*: `--debug` says so
- **400**: refused, since an answer without it would be another one; with the field that is named
"""


def rendered() -> str:
    """The whole document as the program's behaviour has it."""
    sections = (f"## {title}\n\n{_table(source)}" for source, title in TITLES.items())
    return "\n".join([INTRODUCTION, *sections])


def rows(document: str) -> dict[tuple[str, str, str], str]:
    """(client API, feature, upstream API) -> what a document says becomes of it."""
    found: dict[tuple[str, str, str], str] = {}
    source = ""
    names = {title: name for name, title in TITLES.items()}
    for line in document.splitlines():
        if line.startswith("## "):
            source = names[line.removeprefix("## ")]
        elif line.startswith("| ") and source and not line.startswith("| feature "):
            feature, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found.update(
                {(source, feature, target): c for target, c in zip(DIALECTS, cells, strict=True)}
            )
    return found


def _table(source: str) -> str:
    columns = " | ".join(TITLES[target] for target in DIALECTS)
    return "\n".join([f"| feature | {columns} |", "|---" * 5 + "|", *_lines(source), ""])


def _lines(source: str) -> Iterator[str]:
    for feature in FEATURES.values():
        if source in feature.spelled and not feature.only_beside:
            cells = (fate(feature, source, target) or "" for target in DIALECTS)
            yield f"| {feature.name} | {' | '.join(cells)} |"
