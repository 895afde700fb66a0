"""Fields of a Gemini request in both spellings: Google's JSON takes camelCase and snake_case alike.

SDKs mix the two within one object (client-apis.md, "Verified by mock"). Only fields of the API are
looked up here: arguments, results and JSON Schemas are the client's own and never pass through.
"""

import re
from functools import cache
from typing import Any, Final

from mcp_proxy import strict_json
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import MISSING, JsonObject, Where, kind_of, spell

_CAPITAL: Final = re.compile(r"[A-Z]")
_UNDERSCORE: Final = re.compile(r"(?<=[a-z0-9])_([a-z])")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_NUMBER: Final = re.compile(r"-?\d{1,19}(?:\.\d{1,19})?")


@cache
def snake(name: str) -> str:
    """`inlineData` -> `inline_data`. For names of this program's own, not for a client's."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def camel(name: str) -> str:
    """`inline_data` -> `inlineData`; a name in camelCase stays as it is."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


def spelling(obj: JsonObject, name: str) -> str:
    """The key under which the client wrote the field; `name` itself when it is absent."""
    if name in obj:
        return name
    other = snake(name)
    return other if other in obj else name


def value_of(obj: JsonObject, name: str) -> Any:
    """The field's value, of any type; None when it is absent."""
    return obj.get(spelling(obj, name))


def get(obj: JsonObject, name: str, kind: type, where: Where = (), default: Any = MISSING) -> Any:
    """`strict_json.get` for a field of the API; an error names the client's own spelling."""
    return strict_json.get(obj, spelling(obj, name), kind, where, default)


def number(obj: JsonObject, name: str, where: Where) -> float | None:
    key = spelling(obj, name)
    found: float | None = strict_json.get(_with_number(obj, key), key, float, where, None)
    return found


def whole(obj: JsonObject, name: str, where: Where) -> int | None:
    key = spelling(obj, name)
    found: int | None = strict_json.get(_with_number(obj, key), key, int, where, None)
    return found


def count(obj: JsonObject, name: str, where: Where) -> int | None:
    """A number of tokens, or None."""
    key = spelling(obj, name)
    return strict_json.get_count(_with_number(obj, key), key, where)


def _with_number(obj: JsonObject, key: str) -> JsonObject:
    """Proto3's JSON writes 64-bit integers as text, and takes that for any number."""
    value = obj.get(key)
    if type(value) is str and _NUMBER.fullmatch(value):
        return {key: float(value) if "." in value else int(value)}
    return obj


def listed(obj: JsonObject, name: str, where: Where = ()) -> tuple[list[Any], Where]:
    """A repeated field and its path; Google takes a single object for a list of one."""
    value = obj.get(name)
    if type(value) is list:
        return value, (*where, name)
    key = spelling(obj, name)
    value, where = obj.get(key), (*where, key)
    if type(value) is list:
        return value, where
    if value is None:
        return [], where
    if type(value) is dict:
        return [value], where
    raise BadRequest(f"expected a list, got {kind_of(value)}", param=spell(where))


def standard_base64(text: str) -> str:
    """A field of bytes, which may come in either alphabet and without padding, as upstreams take
    it; what is no base64 stays none."""
    if "-" in text or "_" in text:
        text = text.translate(_TO_STANDARD)
    return text + "=" * (-len(text) % 4)
