"""JSON at the edge: strict in what is read, exact in what is written; errors name the path.

orjson refuses NaN, Infinity, numbers out of range, lone surrogates and nesting above 1,024 on its
own; a repeated key takes its last value, as in every JSON library that clients use.
"""

from typing import Any

import orjson

from mcp_proxy.errors import BadRequest

JsonObject = dict[str, Any]

Where = tuple[str | int, ...]
"""A JSON path in pieces, ("messages", 3, "role"); spelled out only when something is wrong."""

MISSING: Any = object()

_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}

LARGEST = (1 << 63) - 1
"""What is larger than 64 bits orjson reads as a float and does not write as a whole number."""

encode = orjson.dumps
"""Value -> compact UTF-8 JSON. `orjson.Fragment` embeds JSON text as it is."""

decode = orjson.loads
"""JSON -> value, for input whose faults the caller handles itself (orjson.JSONDecodeError)."""


def read_object(body: bytes) -> JsonObject:
    """The request body as an object. BadRequest says where it is wrong and echoes nothing."""
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as cause:
        if not body.strip():
            raise BadRequest("the body is empty; expected a JSON object") from cause
        raise BadRequest(
            f"the body is not valid JSON: {cause.msg} (line {cause.lineno}, column {cause.colno})"
        ) from cause
    if not isinstance(value, dict):
        raise BadRequest(f"the body must be a JSON object, got {kind_of(value)}")
    return value


def json_text(value: object, where: Where) -> str:
    """A value that a client sent, as JSON text again.

    BadRequest when it nests more deeply than orjson writes: 254 levels, while it reads 1,024.
    """
    try:
        return encode(value).decode()
    except orjson.JSONEncodeError as cause:
        param = spell(where)
        raise BadRequest("expected a value that nests less deeply", param=param) from cause


def nests_too_deeply(cause: Exception) -> bool:
    """Whether `encode` raised it for more than 254 levels.

    Only its words tell: orjson's exception is TypeError itself, which a slip of ours is, too.
    """
    return type(cause) is TypeError and str(cause) == "Recursion limit reached"


def spell(where: Where) -> str:
    """("messages", 3, "role") -> "messages[3].role"."""
    text = ""
    for step in where:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def kind_of(value: object) -> str:
    """A JSON value's kind in words, for messages."""
    if value is None:
        return "null"
    return _NAMES.get(type(value), type(value).__name__)


def get(obj: JsonObject, key: str, kind: type, where: Where = (), default: Any = MISSING) -> Any:
    """`obj[key]`, checked to be of `kind` (str, int, float, bool, list or dict).

    An absent key or null gives the default; without one it is a BadRequest, as a wrong type is.
    A whole number passes for float, and a float without a fraction for int.
    """
    value = obj.get(key)
    if type(value) is kind:
        return value
    if value is None:
        if default is not MISSING:
            return default
        raise BadRequest(f"field required, expected {_NAMES[kind]}", param=spell((*where, key)))
    if kind is float and type(value) is int:
        return float(value)
    if kind is int and type(value) is float and value.is_integer():
        if abs(value) > LARGEST:
            param = spell((*where, key))
            raise BadRequest("expected a whole number of at most 64 bits", param=param)
        return int(value)
    raise BadRequest(f"expected {_NAMES[kind]}, got {kind_of(value)}", param=spell((*where, key)))


def get_count(obj: JsonObject, key: str, where: Where = ()) -> int | None:
    """A number of tokens, or None. However large, it is no fault: whoever is asked lowers it."""
    value = obj.get(key)
    if type(value) is float and value > LARGEST:
        return LARGEST
    count: int | None = get(obj, key, int, where, None)
    return count


def check(value: Any, kind: type, where: Where) -> Any:
    """The value itself when it is of `kind`, else BadRequest."""
    if type(value) is kind:
        return value
    raise BadRequest(f"expected {_NAMES[kind]}, got {kind_of(value)}", param=spell(where))


def one_of(value: str, allowed: tuple[str, ...], where: Where) -> str:
    """The value itself when it is one of `allowed`, else BadRequest listing them."""
    if value in allowed:
        return value
    choices = ", ".join(f'"{choice}"' for choice in allowed)
    raise BadRequest(f'expected one of {choices}, got "{value[:64]}"', param=spell(where))
