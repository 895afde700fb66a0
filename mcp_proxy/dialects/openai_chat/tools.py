"""Tools and `tool_choice` of a Chat Completions request (client-apis.md 2.1), both ways round.

Knows the three spellings of a tool: function, custom (free text in, wrapped as a function with the
one argument `input`), and the legacy `functions` list.
"""

from collections.abc import Callable
from typing import Any, Literal

import orjson

from mcp_proxy.conversation import JsonObject, Tool, ToolChoice, Verbatim
from mcp_proxy.dialects.openai_chat.content import NAME
from mcp_proxy.errors import BadRequest
from mcp_proxy.jsonschema import as_schema
from mcp_proxy.strict_json import Where, check, get, kind_of, one_of, spell

_FREE_TEXT: JsonObject = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}

Mode = Literal["auto", "any", "none"]
_MODES: dict[str, Mode] = {"none": "none", "auto": "auto", "required": "any"}
_ALLOWED_MODES = ("auto", "required")


def is_custom(tool: Tool) -> bool:
    """Whether calls of this tool are answered as custom calls.

    By identity: a client's own function may well have an equal schema.
    """
    return tool.schema is _FREE_TEXT


def free_text(arguments: str) -> str:
    """The text in a custom call's wrapped arguments; all of it when a model did not wrap it."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    given = value.get("input") if isinstance(value, dict) else None
    return given if isinstance(given, str) else arguments


def read_tools(body: JsonObject) -> tuple[tuple[Tool, ...], tuple[Verbatim, ...]]:
    """Tools the client runs, each name once (the first counts), and those a server would run."""
    tools: dict[str, Tool] = {}
    server_tools: list[Verbatim] = []
    for at, item in enumerate(get(body, "tools", list, default=())):
        where: Where = ("tools", at)
        entry = check(item, dict, where)
        kind = get(entry, "type", str, where, default="function")
        read = _READERS.get(kind)
        if read is None:
            server_tools.append(Verbatim(NAME, entry))
            continue
        tool = read(get(entry, kind, dict, where), (*where, kind))
        tools.setdefault(tool.name, tool)
    for at, item in enumerate(get(body, "functions", list, default=())):
        where = ("functions", at)
        tool = _function(check(item, dict, where), where)
        tools.setdefault(tool.name, tool)
    return tuple(tools.values()), tuple(server_tools)


def _function(function: JsonObject, where: Where) -> Tool:
    return Tool(
        name=_name(function, where),
        description=get(function, "description", str, where, default=""),
        schema=as_schema(function.get("parameters")),
        strict=get(function, "strict", bool, where, default=None),
    )


def _custom(custom: JsonObject, where: Where) -> Tool:
    description = get(custom, "description", str, where, default="")
    form = get(custom, "format", dict, where, default={})
    grammar = get(form, "grammar", dict, (*where, "format"), default=None)
    if grammar is not None:
        inside = (*where, "format", "grammar")
        syntax = get(grammar, "syntax", str, inside)
        definition = get(grammar, "definition", str, inside)
        description += f"\n\n`input` must match this {syntax} grammar:\n{definition}"
    return Tool(_name(custom, where), description.strip(), _FREE_TEXT)


_READERS: dict[str, Callable[[JsonObject, Where], Tool]] = {
    "function": _function,
    "custom": _custom,
}


def _name(named: JsonObject, where: Where) -> str:
    name: str = get(named, "name", str, where)
    if not name:
        raise BadRequest("expected a name, got empty text", param=spell((*where, "name")))
    return name


def read_choice(
    body: JsonObject, tools: tuple[Tool, ...], server_tools: tuple[Verbatim, ...]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """The choice, and the tools that remain to choose from."""
    key = "function_call" if body.get("tool_choice") is None else "tool_choice"
    mode, names = _asked(body.get(key), (key,))
    declared = {tool.name for tool in tools}
    for name, where in names or ():
        if name not in declared:
            raise BadRequest(f'no tool "{name[:64]}" is declared', param=spell(where))
    if mode == "any" and not (tools or server_tools):
        raise BadRequest("a call is required, but no tool is declared", param=key)
    chosen = tuple(name for name, _ in names or ())
    parallel = get(body, "parallel_tool_calls", bool, default=True) and not is_legacy(body)
    if mode == "auto" and names is not None:
        # `names` binds only a forced choice, so the others are not offered at all.
        tools = tuple(tool for tool in tools if tool.name in chosen)
        chosen = ()
    return ToolChoice(mode, chosen, parallel), tools


def is_legacy(body: JsonObject) -> bool:
    """Whether the client speaks `functions`, an answer to which has room for one call only."""
    return bool(body.get("functions")) and not body.get("tools")


Names = list[tuple[str, Where]]


def _asked(choice: Any, where: Where) -> tuple[Mode, Names | None]:
    """Mode, and the names with their places; None: every tool."""
    if choice is None:
        return "auto", None
    if isinstance(choice, str):
        return _MODES[one_of(choice, tuple(_MODES), where)], None
    if not isinstance(choice, dict):
        raise BadRequest(f"expected text or an object, got {kind_of(choice)}", param=spell(where))
    if "allowed_tools" in choice:
        return _allowed(get(choice, "allowed_tools", dict, where), (*where, "allowed_tools"))
    return "any", [_named(choice, where)]


def _allowed(allowed: JsonObject, where: Where) -> tuple[Mode, Names]:
    mode = _MODES[one_of(get(allowed, "mode", str, where), _ALLOWED_MODES, (*where, "mode"))]
    inside = (*where, "tools")
    names = [
        _named(check(item, dict, (*inside, at)), (*inside, at))
        for at, item in enumerate(get(allowed, "tools", list, where))
    ]
    if mode == "any" and not names:
        raise BadRequest("a call is required, but no tool is allowed", param=spell(inside))
    return mode, names


def _named(choice: JsonObject, where: Where) -> tuple[str, Where]:
    """The name inside `{type, function: {name}}`, or beside the type as some clients have it."""
    for kind in _READERS:
        if kind in choice:
            choice, where = get(choice, kind, dict, where), (*where, kind)
            break
    return get(choice, "name", str, where), (*where, "name")
