"""Tools and `tool_choice` of a Chat Completions request (client-apis.md 2.1).

Knows the three spellings of a tool: function, custom (free text in, wrapped as a function with the
one argument `input`), and the legacy `functions` list.
"""

from collections.abc import Callable
from typing import Any, Final

from mcp_proxy.conversation import ChoiceMode, JsonObject, Tool, ToolChoice, Verbatim
from mcp_proxy.dialects.openai_chat.names import NAME
from mcp_proxy.dialects.openai_fields import read_name
from mcp_proxy.dialects.openai_tools import ALLOWED_MODES, MODES, freeform_tool, plain_mode
from mcp_proxy.dialects.recent_tools import ReadTools
from mcp_proxy.dialects.tool_choice import Names, settle_choice
from mcp_proxy.errors import BadRequest
from mcp_proxy.jsonschema import as_schema
from mcp_proxy.strict_json import Where, check, get, one_of, spell

_read: Final = ReadTools[tuple[tuple[Tool, ...], tuple[Verbatim, ...]]]()


def read_tools(body: JsonObject) -> tuple[tuple[Tool, ...], tuple[Verbatim, ...]]:
    """Tools the client runs, each name once (the first counts), and those a server would run."""
    if "tools" not in body and "functions" not in body:
        return (), ()
    return _read.of((body.get("tools"), body.get("functions")), lambda: _tools_in(body))


def _tools_in(body: JsonObject) -> tuple[tuple[Tool, ...], tuple[Verbatim, ...]]:
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
        name=read_name(function, where),
        description=get(function, "description", str, where, default=""),
        schema=as_schema(function.get("parameters")),
        strict=get(function, "strict", bool, where, default=None),
    )


def _custom(custom: JsonObject, where: Where) -> Tool:
    form = get(custom, "format", dict, where, default={})
    inside: Where = (*where, "format")
    grammar = get(form, "grammar", dict, inside, default=None)
    if grammar is not None:
        form, inside = {"type": "grammar", **grammar}, (*inside, "grammar")
    description = get(custom, "description", str, where, default="")
    return freeform_tool(read_name(custom, where), description, form, inside)


_READERS: dict[str, Callable[[JsonObject, Where], Tool]] = {
    "function": _function,
    "custom": _custom,
}


def read_choice(
    body: JsonObject, tools: tuple[Tool, ...], server_tools: tuple[Verbatim, ...]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """The choice, and the tools that remain to choose from."""
    key = "function_call" if body.get("tool_choice") is None else "tool_choice"
    mode, names = _asked(body.get(key), (key,))
    parallel = get(body, "parallel_tool_calls", bool, default=True) and not is_legacy(body)
    return settle_choice(mode, names, tools, server_tools, where=(key,), parallel=parallel)


def is_legacy(body: JsonObject) -> bool:
    """Whether the client speaks `functions`, an answer to which has room for one call only."""
    return bool(body.get("functions")) and not body.get("tools")


def _asked(choice: Any, where: Where) -> tuple[ChoiceMode, Names | None]:
    """Mode, and the names with their places; None: every tool."""
    mode = plain_mode(choice, where)
    if mode is not None:
        return mode, None
    if "allowed_tools" in choice:
        return _allowed(get(choice, "allowed_tools", dict, where), (*where, "allowed_tools"))
    return "any", [_named(choice, where)]


def _allowed(allowed: JsonObject, where: Where) -> tuple[ChoiceMode, Names]:
    mode = MODES[one_of(get(allowed, "mode", str, where), ALLOWED_MODES, (*where, "mode"))]
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
