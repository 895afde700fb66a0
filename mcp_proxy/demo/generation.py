"""What a generation request asks for, in the few facts that the script decides by.

Reads the request inside the envelope; both spellings of a field (`maxOutputTokens`,
`max_output_tokens`) mean the same, as in every Google API. Checks nothing: validate.py does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.refusals import JsonObject

CHARACTERS_PER_TOKEN = 4

_IMAGE_TOKENS = 258
_MEDIA = frozenset({"inlineData", "inline_data", "source", "image_url", "file_data"})
"""Fields that hold base64, in one API or another."""
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_NOTE = "[Note from the application"
"""How the proxy marks a system message in the middle of a conversation."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One tool on offer."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class Generation:
    model: DemoModel
    prompt: str
    """The last text a person wrote, without what clients wrap around it."""
    results: tuple[str, ...]
    """Texts of the tool results in the last content; empty: it is the person's turn."""
    tools: tuple[Declaration, ...]
    calling: str
    """Function calling mode: AUTO, ANY, NONE or VALIDATED."""
    searches: bool
    thinks: bool
    shows_thoughts: bool
    leaks_thoughts: bool
    """Claude told to show thoughts without a budget writes them into its text (pitfall 2)."""
    max_tokens: int
    stops: tuple[str, ...]
    wants_json: bool
    schema: JsonObject | None
    session: str | None


def read_generation(request: JsonObject, model: DemoModel) -> Generation:
    """The facts of a request that has passed validation."""
    contents = request.get("contents") or []
    config = get(request, "generationConfig") or {}
    thinking = get(config, "thinkingConfig") or {}
    budget = get(thinking, "thinkingBudget")
    shows = bool(get(thinking, "includeThoughts"))
    has_depth = bool(budget) or get(thinking, "thinkingLevel") is not None
    calling = get(get(request, "toolConfig") or {}, "functionCallingConfig") or {}
    return Generation(
        model=model,
        prompt=_last_prompt(contents),
        results=_last_results(contents),
        tools=_allowed(_declarations(request), get(calling, "allowedFunctionNames")),
        calling=calling.get("mode", "AUTO"),
        searches=any(get(tool, "googleSearch") is not None for tool in request.get("tools") or []),
        thinks=_thinks(model, has_depth=has_depth, budget=budget),
        shows_thoughts=shows and _thinks(model, has_depth=has_depth, budget=budget),
        leaks_thoughts=shows and model.kind is Kind.CLAUDE and not has_depth,
        max_tokens=get(config, "maxOutputTokens") or model.max_output,
        stops=tuple(get(config, "stopSequences") or ()),
        wants_json=get(config, "responseMimeType") == "application/json",
        schema=get(config, "responseSchema") or get(config, "responseJsonSchema"),
        session=get(request, "sessionId"),
    )


def get(obj: JsonObject, camel: str) -> Any:
    """`obj[camel]`, or the same field under its snake_case name; None when it is absent."""
    value = obj.get(camel)
    return obj.get(snake(camel)) if value is None else value


def snake(camel: str) -> str:
    """ "maxOutputTokens" -> "max_output_tokens"."""
    return _SNAKE.get(camel) or _SNAKE.setdefault(camel, re.sub("[A-Z]", _lowered, camel))


_SNAKE: dict[str, str] = {}


def _lowered(letter: re.Match[str]) -> str:
    return "_" + letter[0].lower()


def prompt_tokens(request: JsonObject) -> int:
    """What the request costs to read, by the rule of thumb of four characters a token."""
    characters = characters_of(get(request, "systemInstruction")) + characters_of(
        request.get("contents")
    )
    for tool in request.get("tools") or ():
        characters += characters_of(get(tool, "functionDeclarations"))
    return max(characters // CHARACTERS_PER_TOKEN, 1)


def characters_of(value: Any) -> int:
    """All text anywhere in a JSON value; an image counts as a fixed amount."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        if not _MEDIA.isdisjoint(value):
            return _IMAGE_TOKENS * CHARACTERS_PER_TOKEN
        return sum(characters_of(item) for item in value.values())
    if isinstance(value, list):
        return sum(map(characters_of, value))
    return 1


def _thinks(model: DemoModel, *, has_depth: bool, budget: int | None) -> bool:
    if model.budgets is None or budget == 0:
        return False
    return has_depth or model.kind is Kind.GEMINI_3


def _last_prompt(contents: Sequence[JsonObject]) -> str:
    """What the person wrote last; applications put their own notes and reminders around it."""
    for content in reversed(contents):
        if content.get("role") == "model":
            continue
        for part in reversed(content.get("parts") or ()):
            if text := spoken(part.get("text") or ""):
                return text
    return ""


def spoken(text: str) -> str:
    """What a person said in this text; "" when an application wrote all of it."""
    said = _REMINDER.sub("", text).strip()
    return "" if said.startswith(_NOTE) else said


def _last_results(contents: Sequence[JsonObject]) -> tuple[str, ...]:
    if not contents:
        return ()
    found = []
    for part in contents[-1].get("parts") or ():
        response = get(part, "functionResponse")
        if response is not None:
            found.append(_result_text(response.get("response") or {}))
    return tuple(found)


def _result_text(response: JsonObject) -> str:
    for key in ("result", "output", "error"):
        if key in response:
            return str(response[key])
    return str(response)


def _declarations(request: JsonObject) -> list[Declaration]:
    return [
        Declaration(
            entry["name"],
            entry.get("description") or "",
            entry.get("parameters") or get(entry, "parametersJsonSchema") or {},
        )
        for tool in request.get("tools") or ()
        for entry in get(tool, "functionDeclarations") or ()
    ]


def _allowed(declared: list[Declaration], names: Sequence[str] | None) -> tuple[Declaration, ...]:
    return tuple(tool for tool in declared if not names or tool.name in names)
