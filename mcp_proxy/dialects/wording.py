"""Sentences that stand for what an upstream has no field for."""

from typing import Final

import orjson

from mcp_proxy.conversation import Media, OutputFormat, Tool
from mcp_proxy.errors import BadRequest

REMINDER: Final = "[Note from the application, not written by the user]\n"
"""Before an instruction in the middle of a conversation, where only users and models may speak."""

ERROR: Final = "Error: "
"""Before the result of a tool call that failed, where a result has no flag for it."""

_JSON_ONLY: Final = "Answer with one JSON value and nothing else: no prose, no code fence."
_JSON_BY_SCHEMA: Final = _JSON_ONLY + " It must be valid against this JSON Schema:\n"


def json_instruction(output: OutputFormat) -> str:
    """Asks for JSON where there is no mode for it. BadRequest when the schema cannot be written."""
    if output.schema is None:
        return _JSON_ONLY
    try:
        return _JSON_BY_SCHEMA + orjson.dumps(output.schema).decode()
    except orjson.JSONEncodeError as cause:
        raise bad_answer_schema(cause) from cause


def bad_tool_schema(tool: Tool, cause: Exception) -> BadRequest:
    text = f'the schema of tool "{tool.name}" cannot be sent: {cause}'
    return BadRequest(text, param="tools")


def bad_answer_schema(cause: Exception) -> BadRequest:
    return BadRequest(f"the schema of the answer cannot be sent: {cause}")


def described(media: Media) -> str:
    """What a model that takes text only is told of a picture or document."""
    return f"[{media.name or media.mime_type}: this model takes text only]"
