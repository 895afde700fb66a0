"""Settings of one line each, changed in place: `.env` files, and the plain top of a YAML file."""

import json
import re
from dataclasses import dataclass

from mcp_proxy.cli.clients.text_edit import (
    CannotEdit,
    Json,
    KeyPath,
    ending_in_newline,
    newline_of,
    without_lines,
)


@dataclass(frozen=True, slots=True)
class _Lines:
    """`key SEPARATOR value`. Of several lines with the same key the last one counts."""

    pattern: str
    """Of such a line, with the groups `key` and `value`."""
    separator: str
    plain: re.Pattern[str]
    """Values that need no quotes."""

    def get(self, text: str, path: KeyPath) -> str | None:
        found = self._line(text, path)
        return None if found is None else found["value"]

    def put(self, text: str, path: KeyPath, source: str) -> str:
        found = self._line(text, path)
        if found is not None:
            # Where nothing is set yet there may be no room behind the colon, which YAML wants.
            head = found.start("value") if found["value"] else found.end("key")
            gap = "" if found["value"] else self.separator
            return text[:head] + gap + source + text[found.end("value") :]
        text = ending_in_newline(text)
        return f"{text}{path[0]}{self.separator}{source}{newline_of(text)}"

    def drop(self, text: str, path: KeyPath, parents: int) -> str:
        found = self._line(text, path)
        return text if found is None else without_lines(text, *found.span())

    def source(self, value: Json) -> str:
        written = value if isinstance(value, str) else json.dumps(value)
        return written if self.plain.fullmatch(written) else json.dumps(written)

    def value(self, source: str) -> Json:
        bare = source.strip()
        quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'"
        return bare[1:-1] if quoted else bare

    def is_blank(self, text: str) -> bool:
        return not text.strip()

    def _line(self, text: str, path: KeyPath) -> re.Match[str] | None:
        found = None
        for each in re.finditer(self.pattern, text, re.MULTILINE):
            found = each if each["key"] == path[0] else found
        if found is not None and not _is_whole(found["value"], text[found.end() :]):
            raise CannotEdit(f"{path[0]} has a value of several lines")
        return found


def _is_whole(value: str, rest: str) -> bool:
    """Whether the value ends with its line."""
    opened = value[:1] in {'"', "'"} and (len(value) < 2 or value[-1] != value[0])
    block = value[:1] in {"|", ">", "&", "*", "[", "{"} and not value.endswith(("]", "}"))
    follows = not value and re.match(r"\r?\n(?:[ \t]+\S|- )", rest) is not None
    return not (opened or block or follows)


DOTENV = _Lines(
    r"^[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"
    r"(?P<value>(?:\"[^\"\n]*\"|'[^'\n]*'|[^\n#]*?))[ \t]*(?:#[^\n]*)?\r?$",
    "=",
    re.compile(r"[\w./:@%+,-]*"),
)
"""As dotenv reads it; `export` in front is somebody's habit and stays."""

YAML_SCALARS = _Lines(
    r"^(?P<key>[A-Za-z_][\w-]*):(?:[ \t]+|(?=\r?$))"
    r"(?P<value>(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\n#]*?))[ \t]*(?:#[^\n]*)?\r?$",
    ": ",
    re.compile(r"[A-Za-z_/][\w./-]*|https?://[\w.:\[\]/-]+"),
)
"""Keys at the left margin; what is indented below another key is not looked at."""


class YamlModels:
    """A YAML list of mappings told apart by `model_id`, as llm's extra-openai-models.yaml."""

    _ITEM = re.compile(
        r"^- .*(?:\r?\n(?:[ \t]+\S.*|[ \t]*(?:#.*)?(?=\r?\n[ \t]+\S)))*", re.MULTILINE
    )
    _ID = re.compile(r"^(?:- |[ \t]+)model_id:[ \t]*(.+?)[ \t]*(?:#.*)?\r?$", re.MULTILINE)

    def get(self, text: str, path: KeyPath) -> str | None:
        found = self._item(text, path)
        return None if found is None else found[0]

    def put(self, text: str, path: KeyPath, source: str) -> str:
        found = self._item(text, path)
        if found is not None:
            return text[: found.start()] + source + text[found.end() :]
        text = ending_in_newline(text)
        newline = newline_of(text)
        return text + source.replace("\n", newline) + newline

    def drop(self, text: str, path: KeyPath, parents: int) -> str:
        found = self._item(text, path)
        return text if found is None else without_lines(text, *found.span())

    def source(self, value: Json) -> str:
        """One item; JSON is YAML, so every value is written as JSON."""
        if not isinstance(value, dict):
            raise CannotEdit("an item of the list is a mapping")
        lines = (f"{key}: {json.dumps(each, ensure_ascii=False)}" for key, each in value.items())
        return "- " + "\n  ".join(lines)

    def value(self, source: str) -> Json:
        return [line.strip() for line in source.splitlines() if line.strip()]

    def is_blank(self, text: str) -> bool:
        return not text.strip()

    def _item(self, text: str, path: KeyPath) -> re.Match[str] | None:
        odd = re.search(
            r"^(?!- |-\r?$|#|---\r?$|[ \t]|\r?$).+", text.lstrip("\ufeff"), re.MULTILINE
        )
        if odd is not None:
            raise CannotEdit(f"it is not a list with its items at the left margin: {odd[0][:40]}")
        for item in self._ITEM.finditer(text):
            name = self._ID.search(item[0])
            if name is not None and name[1].strip("\"'") == path[0]:
                return item
        return None
