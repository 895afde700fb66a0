"""`tools` and `tool_choice` of a Messages request.

Tools that Anthropic defines itself come without a schema, under a type with a date (client-apis.md
1.3). They are kept apart as Verbatim: no other upstream can offer them as functions.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from mcp_proxy.conversation import ChoiceMode, Tool, ToolChoice, Verbatim
from mcp_proxy.dialects.anthropic.names import NAME
from mcp_proxy.dialects.recent_tools import ReadTools
from mcp_proxy.errors import BadRequest
from mcp_proxy.jsonschema import as_schema
from mcp_proxy.strict_json import JsonObject, Where, check, get, one_of, spell

_DATED_TYPE = re.compile(r".+_\d{8}|mcp_toolset")

_MODES: dict[str, ChoiceMode] = {
    "auto": "auto",
    "any": "any",
    "tool": "any",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class ToolBox:
    """What a request declares: functions to call, and tools only Anthropic knows."""

    tools: tuple[Tool, ...] = ()
    server_tools: tuple[Verbatim, ...] = ()

    def has_function(self, name: str) -> bool:
        return any(tool.name == name for tool in self.tools)

    def has_server_tool(self, name: str) -> bool:
        return any(tool.value.get("name") == name for tool in self.server_tools)


_NO_TOOLS: Final = ToolBox()
_read: Final = ReadTools[ToolBox]()
FREE_CHOICE: Final = ToolChoice()


def read_tools(body: JsonObject) -> ToolBox:
    """The declared tools in order. Of several with one name the first counts."""
    if "tools" not in body:
        return _NO_TOOLS
    return _read.of(body["tools"], lambda: _tools_in(body))


def _tools_in(body: JsonObject) -> ToolBox:
    tools: dict[str, Tool] = {}
    server_tools = []
    for index, declared in enumerate(get(body, "tools", list, (), ())):
        where = ("tools", index)
        declaration = check(declared, dict, where)
        if _is_predefined(declaration, where):
            server_tools.append(Verbatim(NAME, declaration))
        else:
            tool = _function(declaration, where)
            tools.setdefault(tool.name, tool)
    return ToolBox(tuple(tools.values()), tuple(server_tools))


def _is_predefined(declaration: JsonObject, where: Where) -> bool:
    kind = get(declaration, "type", str, where, "custom")
    return _DATED_TYPE.fullmatch(kind) is not None and "input_schema" not in declaration


def _function(declaration: JsonObject, where: Where) -> Tool:
    if "input_schema" not in declaration:
        declaration = _unwrapped(declaration)
    name = get(declaration, "name", str, where)
    if not name:
        raise BadRequest("must not be empty", param=spell((*where, "name")))
    return Tool(
        name,
        get(declaration, "description", str, where, ""),
        as_schema(declaration.get("input_schema")),
        get(declaration, "strict", bool, where, None),
    )


def _unwrapped(declaration: JsonObject) -> JsonObject:
    """A tool that is declared as other APIs have it: inside of `function` or `custom`, the schema
    under `parameters` (cloudcode.md 3.4). What is said outside counts first."""
    inside: JsonObject = {}
    for wrapper in ("custom", "function"):
        inner = declaration.get(wrapper)
        if isinstance(inner, dict):
            inside |= inner
    found = inside | declaration
    found.setdefault("input_schema", found.get("parameters"))
    return found


def read_choice(body: JsonObject, box: ToolBox) -> ToolChoice:
    """BadRequest when it names a tool that is not declared, or forces a call of nothing."""
    where = ("tool_choice",)
    choice: Any = get(body, "tool_choice", dict, (), None)
    if choice is None:
        return FREE_CHOICE
    kind = one_of(get(choice, "type", str, where), tuple(_MODES), (*where, "type"))
    parallel = not get(choice, "disable_parallel_tool_use", bool, where, False)
    if kind == "any" and not (box.tools or box.server_tools):
        raise BadRequest("a call is required, but no tool is declared", param=spell(where))
    if kind != "tool":
        return ToolChoice(_MODES[kind], parallel=parallel)
    name = get(choice, "name", str, where)
    if box.has_function(name):
        return ToolChoice("any", (name,), parallel)
    if box.has_server_tool(name):
        # Nothing that could be forced: the model runs such a tool itself, or not at all.
        return ToolChoice(parallel=parallel)
    raise BadRequest(f'names no declared tool: "{name[:128]}"', param="tool_choice.name")
