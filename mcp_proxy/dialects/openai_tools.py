"""Tools as both of OpenAI's request formats have them: tools of free text, and `tool_choice`.

Knows what a tool and a choice mean; how each format spells them is that format's own matter.
"""

import orjson

from mcp_proxy.conversation import (
    FREEFORM_SCHEMA,
    ChoiceMode,
    JsonObject,
    Tool,
    ToolChoice,
    Verbatim,
)
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, get, spell

MODES: dict[str, ChoiceMode] = {"none": "none", "auto": "auto", "required": "any"}
ALLOWED_MODES = ("auto", "required")
"""What `allowed_tools` may say about the tools that it allows."""

Names = list[tuple[str, Where]]
"""Names that a choice mentions, each with its place in the request."""


def freeform_tool(
    name: str,
    description: str,
    form: JsonObject,
    where: Where,
    namespace: str | None = None,
) -> Tool:
    """A custom tool; `form` is its `format` in the flat spelling of Responses.

    A grammar goes into the description too: models that take the tool as a function see no other.
    """
    description += grammar_note(form, where)
    return Tool(name, description.strip(), FREEFORM_SCHEMA, freeform=form, namespace=namespace)


def grammar_note(form: JsonObject, where: Where = ()) -> str:
    """What a description says of the format's grammar; "" when it has none."""
    if form.get("type") != "grammar":
        return ""
    syntax = get(form, "syntax", str, where)
    definition = get(form, "definition", str, where)
    return f"\n\n`input` must match this {syntax} grammar:\n{definition}"


def free_text(arguments: str) -> str:
    """The text in a custom call's wrapped arguments; all of it when a model did not wrap it."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    if value == {}:
        return ""
    given = value.get("input") if isinstance(value, dict) else None
    return given if isinstance(given, str) else arguments


def settle_choice(
    mode: ChoiceMode,
    names: Names | None,
    tools: tuple[Tool, ...],
    server_tools: tuple[Verbatim, ...],
    *,
    parallel: bool,
    key: str,
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """The choice, and the tools that remain to choose from. `names` None: every tool."""
    declared = {tool.name for tool in tools}
    for name, where in names or ():
        if name not in declared:
            raise BadRequest(f'no tool "{name[:64]}" is declared', param=spell(where))
    if mode == "any" and not (tools or server_tools):
        raise BadRequest("a call is required, but no tool is declared", param=key)
    chosen = tuple(name for name, _ in names or ())
    if mode == "auto" and names is not None:
        # `names` binds only a forced choice, so the others are not offered at all.
        tools = tuple(tool for tool in tools if tool.name in chosen)
        chosen = ()
    return ToolChoice(mode, chosen, parallel), tools
