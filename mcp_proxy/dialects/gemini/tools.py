"""Tools for Gemini upstreams: function declarations, names they take, and the way back.

Declaring a tool means narrowing its schema, and clients repeat the same tools with every turn, so
finished declarations are kept, as JSON text.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Final, NamedTuple, cast

import orjson

from mcp_proxy.conversation import Conversation, Tool, ToolChoice
from mcp_proxy.dialects import JsonObject
from mcp_proxy.dialects.call_names import SentNames
from mcp_proxy.dialects.offered_tools import by_name
from mcp_proxy.dialects.recent_tools import LONGEST, Recent
from mcp_proxy.dialects.search_tools import search_tool
from mcp_proxy.dialects.sent_schemas import MAX_KEPT
from mcp_proxy.dialects.wording import bad_tool_schema
from mcp_proxy.jsonschema import Path, narrow
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.schema_levels import SchemaTooLarge

MAX_NAME: Final = 64

# What all families take; Gemini alone would also take "." and ":" (cloudcode.md 3.4).
_LEGAL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")

# Models whose arguments the upstream checks against the schema (3.6, step 14).
_VALIDATED_GEMINI: Final = ("gemini-3-pro", "gemini-3.1-pro", "gemini-pro-agent")


class Declaration(NamedTuple):
    """One function declaration as it is sent."""

    json: orjson.Fragment
    placeholders: tuple[Path, ...]
    """Properties added to the schema, which must not come back to the client."""


class Toolbox:
    """The tools of one request, and their names: the client's <-> the upstream's, one to one.

    Made from the conversation alone, so that the request and its answer agree on the names.
    """

    def __init__(self, tools: tuple[Tool, ...], model: ModelInfo) -> None:
        self._model = model
        self.declared = tools
        """What the names are made from."""
        self._tools = by_name(tools) if tools else {}

    @cached_property
    def _names(self) -> SentNames:
        return SentNames(self._tools, _LEGAL_NAME, MAX_NAME)

    @cached_property
    def sent_name(self) -> Callable[[str], str]:
        return self._names.sent

    @cached_property
    def sent_names(self) -> Mapping[str, str]:
        """Those that have been sent."""
        return self._names.known

    @cached_property
    def original_name(self) -> Callable[[str], str]:
        return self._names.original

    def declarations(self) -> orjson.Fragment:
        """A list. Raises BadRequest for a schema that cannot be narrowed within bounds."""
        # The tools of the turn before are the same objects, where their reader saw to that.
        key = self._is_validated, *map(id, self._tools.values())
        kept = _recent.get(key)
        if kept is not None:
            return kept[0]
        text = orjson.dumps([self._declaration(tool).json for tool in self._tools.values()])
        made = orjson.Fragment(text)
        if len(text) <= LONGEST:
            _recent.keep(key, (made, self._tools))
        return made

    @property
    def _is_validated(self) -> bool:
        """Whether the upstream checks arguments against the schema (3.6, step 14)."""
        return self._model.family is Family.CLAUDE or self._model.id.startswith(_VALIDATED_GEMINI)

    def names(self) -> list[str]:
        """The client's names of the tools, in the order of their declarations."""
        return list(self._tools)

    def parameters(self, name: str) -> JsonObject:
        """The schema that is sent for the client's tool of this name."""
        declared = orjson.loads(orjson.dumps(self._declaration(self._tools[name]).json))
        return cast(JsonObject, declared.get("parameters", {}))

    def placeholders(self, name: str) -> tuple[Path, ...]:
        """What was added to the schema of the client's tool of this name."""
        tool = self._tools.get(name)
        return self._declaration(tool).placeholders if tool is not None else ()

    def _declaration(self, tool: Tool) -> Declaration:
        try:
            schema = orjson.dumps(tool.schema)
            is_small = len(schema) + len(tool.description) <= MAX_KEPT
            declare = _declare if is_small else _declare.__wrapped__
            return declare(self.sent_name(tool.name), tool.description, schema, self._is_validated)
        except (SchemaTooLarge, orjson.JSONEncodeError) as cause:
            raise bad_tool_schema(tool, cause) from cause


_recent: Final = Recent[tuple[int, ...], tuple[orjson.Fragment, dict[str, Tool]]]()
"""Declarations, with the tools that they are of: while these are kept, no other has their id."""


@lru_cache(maxsize=512)
def _declare(name: str, description: str, schema: bytes, validated: bool) -> Declaration:
    narrowed = narrow(orjson.loads(schema), validated=validated)
    declaration = {"name": name, "description": description, "parameters": narrowed.schema}
    if not description:
        del declaration["description"]
    if not narrowed.schema.get("properties"):
        del declaration["parameters"]  # an object of nothing is refused (providers.md 4)
    return Declaration(orjson.Fragment(orjson.dumps(declaration)), narrowed.placeholders)


def tool_config(choice: ToolChoice, toolbox: Toolbox, model: ModelInfo) -> JsonObject:
    """`toolConfig` (3.5): Claude's arguments are checked unless the choice says otherwise."""
    auto = "VALIDATED" if model.family is Family.CLAUDE else "AUTO"
    config: JsonObject = {"mode": {"auto": auto, "any": "ANY", "none": "NONE"}[choice.mode]}
    if choice.mode == "any" and choice.names:
        config["allowedFunctionNames"] = [toolbox.sent_name(name) for name in choice.names]
    return {"functionCallingConfig": config}


def searches_the_web(conversation: Conversation) -> bool:
    """Whether web search is the only tool: upstreams refuse it beside functions (3.4)."""
    alone = bool(conversation.server_tools) and not conversation.tools
    return alone and search_tool(conversation) is not None


_TOOL_PATH: Final = re.compile(
    r"\btools\[\d+\]\.function_?[dD]eclarations\[(\d+)\]\.?([\w.\[\]$-]*)"
)


def explain_bad_request(detail: str, conversation: Conversation, model: ModelInfo) -> str:
    """An upstream's refusal with the name of the tool whose number it gives."""
    found = _TOOL_PATH.search(detail)
    if found is None:
        return detail
    toolbox = Toolbox(conversation.tools, model)
    names, number = toolbox.names(), int(found[1])
    if number >= len(names):
        return detail
    name = names[number]
    where = _spelled(found[2].rstrip("."), toolbox.parameters(name)) or "its declaration"
    return f'tool "{name}", at {where}: {detail}'


_STEP: Final = re.compile(r"\bproperties\[(\d+)\]\.value|\bitems\b")


def _spelled(path: str, schema: JsonObject) -> str:
    """The path with properties by name: the upstream counts them, for it sees a map as a list.

    `schema` is the one that was sent, which may have other properties than the client's, elsewhere.
    """
    spelled, at = "", 0
    for step in _STEP.finditer(path):
        if step[1] is None:
            schema = schema.get("items", {})
            continue
        properties = schema.get("properties", {})
        names = list(properties)
        if int(step[1]) >= len(names):
            break
        name = names[int(step[1])]
        spelled += f"{path[at : step.start()]}properties.{name}"
        schema, at = properties[name], step.end()
    return spelled + path[at:]
