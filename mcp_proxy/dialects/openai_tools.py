"""Tools as both of OpenAI's request formats have them: tools of free text, words of a choice.

Knows what a tool and a choice mean; how each format spells them is that format's own matter.
"""

from typing import Any

import orjson

from mcp_proxy.conversation import FREEFORM_SCHEMA, ChoiceMode, JsonObject, Tool
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, encode, get, kind_of, one_of, spell

MODES: dict[str, ChoiceMode] = {"none": "none", "auto": "auto", "required": "any"}
ALLOWED_MODES = ("auto", "required")
"""What `allowed_tools` may say about the tools that it allows."""


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


def wrapped_text(text: str) -> str:
    """Free text as the arguments of a call: elsewhere its tool is a function with one argument."""
    return encode({"input": text}).decode()


def plain_mode(choice: Any, where: Where) -> ChoiceMode | None:
    """The mode of a choice that is absent or one word; None: it is an object, which says more."""
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        return MODES[one_of(choice, tuple(MODES), where)]
    if not isinstance(choice, dict):
        raise BadRequest(f"expected text or an object, got {kind_of(choice)}", param=spell(where))
    return None
