"""`tools` and `toolConfig` of a Gemini request (client-apis.md 4.1).

Functions are the client's own. Of what Google itself would run only web search has counterparts
elsewhere; the others are left out and named.
"""

from typing import Any, Final, NamedTuple

from mcp_proxy.conversation import ChoiceMode, Tool, ToolChoice, Verbatim
from mcp_proxy.dialects.gemini.client_contents import read_name
from mcp_proxy.dialects.gemini.client_fields import camel, get, listed, spelling, value_of
from mcp_proxy.dialects.gemini.client_schemas import as_json_schema
from mcp_proxy.dialects.gemini.names import NAME
from mcp_proxy.dialects.recent_tools import ReadTools
from mcp_proxy.dialects.tool_choice import Names, settle_choice
from mcp_proxy.jsonschema import as_schema
from mcp_proxy.strict_json import JsonObject, Where, check, one_of, spell

_FUNCTIONS: Final = "functionDeclarations"
_SEARCHES: Final = ("googleSearch", "googleSearchRetrieval")


class Declared(NamedTuple):
    """What a request declares."""

    tools: tuple[Tool, ...] = ()
    server_tools: tuple[Verbatim, ...] = ()
    ignored: tuple[str, ...] = ()
    """JSON paths of the tools that were left out."""


_NONE: Final = Declared()
_read: Final = ReadTools[Declared]()


def read_tools(body: JsonObject, where: Where = ()) -> Declared:
    """The declared tools in order. Of several with one name the first counts."""
    entries, where = listed(body, "tools", where)
    if not entries:
        return _NONE
    return _read.of((where, entries), lambda: _tools_in(entries, where))


def _tools_in(entries: list[Any], where: Where) -> Declared:
    tools: dict[str, Tool] = {}
    searches: list[Verbatim] = []
    ignored: list[str] = []
    for at, item in enumerate(entries):
        here = (*where, at)
        entry = check(item, dict, here)
        for key, value in entry.items():
            name = camel(key)
            if value is None:
                continue
            if name == _FUNCTIONS:
                for tool in _functions(entry, here):
                    tools.setdefault(tool.name, tool)
            elif name in _SEARCHES and not searches:
                searches.append(Verbatim(NAME, {"googleSearch": as_schema(value)}))
            elif name not in _SEARCHES:
                ignored.append(spell((*here, key)))
    return Declared(tuple(tools.values()), tuple(searches), tuple(ignored))


def _functions(entry: JsonObject, where: Where) -> list[Tool]:
    declarations, where = listed(entry, _FUNCTIONS, where)
    return [
        _function(check(item, dict, (*where, at)), (*where, at))
        for at, item in enumerate(declarations)
    ]


def _function(declaration: JsonObject, where: Where) -> Tool:
    schema = value_of(declaration, "parametersJsonSchema")
    if schema is None:
        schema = declaration.get("parameters")
    return Tool(
        read_name(declaration, where),
        get(declaration, "description", str, where, ""),
        as_json_schema(as_schema(schema)),
    )


_MODES: Final[dict[str, ChoiceMode]] = {
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    # Arguments are to be checked against the schema: a matter of how, not of whether.
    "VALIDATED": "auto",
    "ANY": "any",
    "NONE": "none",
}


def read_choice(body: JsonObject, declared: Declared) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """The choice, and the tools that remain to choose from.

    BadRequest when it names a function that is not declared.
    """
    config: JsonObject = get(body, "toolConfig", dict, (), {})
    where: Where = (spelling(body, "toolConfig"),)
    calling = get(config, "functionCallingConfig", dict, where, {})
    where = (*where, spelling(config, "functionCallingConfig"))
    asked = get(calling, "mode", str, where, "AUTO").upper()
    mode = _MODES[one_of(asked, tuple(_MODES), (*where, "mode"))]
    names = _allowed(calling, where)
    return settle_choice(mode, names, declared.tools, declared.server_tools, where=where)


def _allowed(calling: JsonObject, where: Where) -> Names | None:
    """None: every function."""
    items, where = listed(calling, "allowedFunctionNames", where)
    named: Names = [(check(item, str, (*where, at)), (*where, at)) for at, item in enumerate(items)]
    return named or None
