"""What OpenAI's APIs demand of tools, schemas and reasoning, whichever of the two is asked.

Source: providers.md 2, client-apis.md 2.1, 3.1.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.generation import Declaration
from mcp_proxy.demo.places.openai_errors import (
    invalid,
    unsupported_parameter,
    unsupported_value,
)
from mcp_proxy.demo.refusals import Answer, JsonObject

MOST_TOOLS = 128
LONGEST_ID = 64
FREEFORM: JsonObject = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
"""A custom tool as the script sees it: one text."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ALWAYS_DEFAULT = ("top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs")


def tool_problems(tools: Sequence[tuple[str, JsonObject, bool]], path: str) -> Iterator[Answer]:
    """`tools`: (name, schema, strict) of each, in order. `path`: of a tool's function."""
    if len(tools) > MOST_TOOLS:
        text = (
            f"Invalid 'tools': array too long. Expected an array with maximum length {MOST_TOOLS}, "
            f"but got an array with length {len(tools)} instead."
        )
        yield invalid(text, "tools", "array_above_max_length")
    for at, (name, schema, strict) in enumerate(tools):
        where = f"tools[{at}].{path}"
        if not _NAME.fullmatch(name):
            text = (
                f"Invalid '{where}name': string does not match pattern. Expected a string that "
                "matches the pattern '^[a-zA-Z0-9_-]+$'."
            )
            yield invalid(text, f"{where}name", "invalid_value")
        problem = _schema_problem(schema, strict=strict)
        if problem:
            text = f"Invalid schema for function '{name}': {problem}"
            yield invalid(text, f"{where}parameters", "invalid_function_parameters")


def schema_problems(name: str, schema: JsonObject, *, strict: bool, param: str) -> Iterator[Answer]:
    """The schema of an answer."""
    problem = _schema_problem(schema, strict=strict)
    if problem:
        text = f"Invalid schema for response_format '{name}': {problem}"
        yield invalid(text, param, "invalid_json_schema")


def reasoning_problems(
    body: JsonObject, model: DemoModel, *, effort: Any, field: str
) -> Iterator[Answer]:
    """What models that reason refuse. `field`: where this API has the effort."""
    if not model.levels:
        return
    if effort is not None and effort not in model.levels:
        listed = ", ".join(f"'{level}'" for level in model.levels)
        yield unsupported_value(field, effort, f"Supported values are: {listed}.")
    if effort == "none":
        return
    temperature = body.get("temperature")
    if temperature not in (None, 1):
        only = "Only the default (1) value is supported."
        yield unsupported_value("temperature", temperature, only)
    for name in _ALWAYS_DEFAULT:
        if body.get(name) not in (None, 1 if name == "top_p" else 0, False):
            yield unsupported_parameter(name)


def declared(name: str, description: str | None, schema: JsonObject | None) -> Declaration:
    return Declaration(name, description or "", schema or {})


def identifier_problem(identifier: Any, path: str) -> Iterator[Answer]:
    if not isinstance(identifier, str) or not identifier:
        yield invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
    elif len(identifier) > LONGEST_ID:
        text = (
            f"Invalid '{path}': string too long. Expected a string with maximum length "
            f"{LONGEST_ID}, but got a string with length {len(identifier)} instead."
        )
        yield invalid(text, path, "string_above_max_length")


def _schema_problem(schema: JsonObject, *, strict: bool, context: str = "()") -> str | None:
    """Why a schema is refused; a strict one has all properties required and no others."""
    if context == "()" and schema.get("type") != "object":
        found = schema.get("type")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'."
    if schema.get("type") == "array" and "items" not in schema:
        return f"In context={context}, array schema missing items."
    if strict and schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return (
                f"In context={context}, 'additionalProperties' is required to be supplied and to "
                "be false."
            )
        properties = schema.get("properties") or {}
        absent = [name for name in properties if name not in schema.get("required", ())]
        if absent:
            return (
                f"In context={context}, 'required' is required to be supplied and to be an array "
                f"including every key in properties. Missing '{absent[0]}'."
            )
    for name, entry in (schema.get("properties") or {}).items():
        found = _schema_problem(entry, strict=strict, context=f"('properties', '{name}')")
        if found:
            return found
    items = schema.get("items")
    return (
        _schema_problem(items, strict=strict, context="('items',)")
        if isinstance(items, dict)
        else None
    )
