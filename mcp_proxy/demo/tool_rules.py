"""What tools and their schemas must be, beyond having only known fields.

Source: cloudcode.md 3.4-3.6 and pitfalls 8, 11, 12, 14, 62, 65. The texts begin with the path that
the service names, so that a proxy can tell which tool is meant.
"""

import re
from collections import Counter
from collections.abc import Iterator

from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.generation import get
from mcp_proxy.demo.refusals import JsonObject

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_CLAUDE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_RULE = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric "
    "(a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length "
    "of 64."
)


def problems(request: JsonObject, model: DemoModel) -> Iterator[str]:
    """Texts of everything wrong with the request's tools, in reading order."""
    tools = request.get("tools")
    if tools is not None and not tools:
        yield "request.tools: must not be empty when it is set"
    yield from _declared_twice(request)
    for at, tool in enumerate(tools or ()):
        declarations = get(tool, "functionDeclarations")
        path = f"GenerateContentRequest.tools[{at}]"
        for nth, declaration in enumerate(declarations or ()):
            yield from _declaration(declaration, f"{path}.function_declarations[{nth}]", model)
    if _searches(request) and _names(request):
        yield (
            "Built-in tools ({google_search}) and Function Calling cannot be combined in the same "
            "request."
        )
    yield from _calling(request)


def _declaration(declaration: JsonObject, path: str, model: DemoModel) -> Iterator[str]:
    name = declaration.get("name", "")
    if not _NAME.fullmatch(name):
        yield f"{path}.name: {_NAME_RULE}"
    elif model.kind is Kind.CLAUDE and not _CLAUDE_NAME.fullmatch(name):
        yield "tools.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
    parameters = declaration.get("parameters")
    if parameters is None:
        if model.kind is Kind.CLAUDE:
            yield f"{path}.parameters: Field required"
        return
    where = f"{path}.parameters"
    if _type(parameters) != "OBJECT":
        yield f"{where}: schema should be of type OBJECT."
    yield from _schema(parameters, where, strict=model.kind is Kind.CLAUDE, is_root=True)


def _schema(schema: JsonObject, path: str, *, strict: bool, is_root: bool) -> Iterator[str]:
    kind = _type(schema)
    properties: JsonObject = schema.get("properties") or {}
    required = schema.get("required") or []
    if not kind and not schema.get("anyOf"):
        yield f"{path}.type: must be specified"
    if kind == "ARRAY" and "items" not in schema:
        yield f"{path}.items: missing field."
    for at, name in enumerate(required):
        if name not in properties:
            yield f"{path}.required[{at}]: property is not defined"
    if schema.get("enum") is not None and kind != "STRING":
        yield f"{path}.enum: only allowed for STRING type"
    for at, choice in enumerate(schema.get("enum") or ()):
        if not choice:
            yield f"{path}.enum[{at}]: cannot be empty"
    if strict and kind == "OBJECT":
        # Checked arguments (VALIDATED) need something to check in every object (pitfall 12).
        if not properties:
            yield f"{path}.properties: should be non-empty for OBJECT type"
        elif not required and not is_root:
            yield f"{path}.required: should be non-empty for nested OBJECT type"
    for name, entry in properties.items():
        yield from _schema(entry, f"{path}.properties[{name}]", strict=strict, is_root=False)
    if schema.get("items"):
        yield from _schema(schema["items"], f"{path}.items", strict=strict, is_root=False)


def _calling(request: JsonObject) -> Iterator[str]:
    config = get(get(request, "toolConfig") or {}, "functionCallingConfig") or {}
    allowed = get(config, "allowedFunctionNames")
    if config and not _names(request):
        yield "Function calling config is set without function_declarations."
    if allowed and config.get("mode") != "ANY":
        yield "allowed_function_names should only be set when the function calling mode is ANY."
    declared = _names(request)
    for name in allowed or ():
        if name not in declared:
            yield f"allowed_function_names: `{name}` is not a declared function."


def _declared_twice(request: JsonObject) -> Iterator[str]:
    for name, times in Counter(_names(request)).items():
        if times > 1:
            yield f"Duplicate function declaration found: {name}"


def _names(request: JsonObject) -> list[str]:
    return [
        declaration.get("name", "")
        for tool in request.get("tools") or ()
        for declaration in get(tool, "functionDeclarations") or ()
    ]


def _searches(request: JsonObject) -> bool:
    return any(get(tool, "googleSearch") is not None for tool in request.get("tools") or ())


def _type(schema: JsonObject) -> str:
    return str(schema.get("type") or "").upper()
