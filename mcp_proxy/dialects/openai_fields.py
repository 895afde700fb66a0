"""Fields that OpenAI's request formats share, Chat Completions and Responses (client-apis.md 2, 3).

Knows single values and their bounds; what a whole request looks like is each format's own matter.
"""

from typing import Any, cast

import orjson

from mcp_proxy.conversation import Effort, JsonObject, Message, OutputFormat, Reasoning, Role, Text
from mcp_proxy.dialects.effort import LEVELS
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import MISSING, Where, get, get_count, kind_of, one_of, spell

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
"""The roles of a message."""

_FORMATS = ("text", "json_object", "json_schema")


def read_model(body: JsonObject) -> str:
    model: str = get(body, "model", str)
    if not model:
        raise BadRequest("expected a model's name, got empty text", param="model")
    return model


def read_limit(body: JsonObject, key: str) -> int | None:
    """A number of tokens that an answer may have."""
    limit = get_count(body, key)
    if limit is not None and limit < 1:
        raise BadRequest(f"expected at least 1, got {limit}", param=key)
    return limit


def read_number(body: JsonObject, key: str, *, highest: int) -> float | None:
    number: float | None = get(body, key, float, default=None)
    if number is not None and not 0 <= number <= highest:
        raise BadRequest(f"expected a number from 0 to {highest}, got {number:g}", param=key)
    return number


def read_effort(effort: str, where: Where, *, visible: bool = True) -> Reasoning:
    """`none` switches thinking off; any other effort leaves the amount to the model."""
    one_of(effort, LEVELS, where)
    if effort == "none":
        return Reasoning(mode="off", visible=visible)
    return Reasoning(mode="adaptive", effort=cast(Effort, effort), visible=visible)


def read_format(wanted: JsonObject, where: Where, *, inside: str = "") -> OutputFormat | None:
    """The form of the answer; None: it is text. `inside`: where the schema is, if it is deeper."""
    kind = one_of(get(wanted, "type", str, where), _FORMATS, (*where, "type"))
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if inside:
        wanted, where = get(wanted, inside, dict, where), (*where, inside)
    return OutputFormat(
        # OpenAI lets it be left out where it is deeper, which means any JSON; elsewhere it must be.
        schema=get(wanted, "schema", dict, where, default=None if inside else MISSING),
        name=get(wanted, "name", str, where, default=None),
    )


def read_cache_key(body: JsonObject) -> str | None:
    """What the client wants its prompts cached under; no session, see `Conversation.cache_key`."""
    return get(body, "prompt_cache_key", str, default=None) or None


def read_name(named: JsonObject, where: Where) -> str:
    name: str = get(named, "name", str, where)
    if not name:
        raise BadRequest("expected a name, got empty text", param=spell((*where, "name")))
    return name


def object_text(text: str, where: Where) -> str:
    """JSON text of an object, as it is; models that call without arguments leave it empty."""
    if not text.strip():
        return "{}"
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError as cause:
        raise BadRequest(
            f"expected the JSON text of an object: {cause.msg} (column {cause.colno})",
            param=spell(where),
        ) from cause
    if not isinstance(value, dict):
        raise BadRequest(
            f"expected the JSON text of an object, got {kind_of(value)}", param=spell(where)
        )
    return text


def split_system(messages: list[Message]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """System messages of nothing but text at the front; the last message always stays a message,
    because there is no model that answers to instructions alone."""
    system: list[Text] = []
    for at, message in enumerate(messages[:-1]):
        texts = [part for part in message.parts if isinstance(part, Text)]
        if message.role != "system" or len(texts) != len(message.parts):
            return tuple(system), tuple(messages[at:])
        system += texts
    return tuple(system), tuple(messages[-1:])
