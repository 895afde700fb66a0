"""The Messages API's shapes of an answer: content blocks, stop reasons, usage, the whole message.

`render_reply` and the stream build from the same pieces, so one cannot say what the other does not
(client-apis.md 1.4).
"""

from mcp_proxy.conversation import Media, Part, Reasoning, Seal, Text, Thinking, ToolCall, Verbatim
from mcp_proxy.dialects import ReplyFrame
from mcp_proxy.dialects.anthropic.blocks import DIALECT
from mcp_proxy.events import Reply, Stop, Usage
from mcp_proxy.strict_json import JsonObject, decode

_STOP_REASON = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL_CALL: "tool_use",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.REFUSAL: "refusal",
}

_REFUSAL_DETAILS: JsonObject = {"type": "refusal", "category": None, "explanation": None}


def render_reply(reply: Reply, frame: ReplyFrame) -> JsonObject:
    """The whole answer as one message."""
    reasoning = frame.conversation.reasoning
    blocks = (_block(part, reasoning) for part in reply.parts)
    return {
        "id": message_id(frame),
        "type": "message",
        "role": "assistant",
        "model": frame.model,
        "content": [block for block in blocks if block is not None],
        "stop_details": None,
        **stop_fields(reply.stop, reply.stop_sequence),
        "container": None,
        "usage": _full_usage(reply.usage, frame),
    }


def message_id(frame: ReplyFrame) -> str:
    return f"msg_{frame.id}"


def _block(part: Part, reasoning: Reasoning) -> JsonObject | None:
    """The content block of a part; None for one that this client is not to see."""
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking() if not part.redacted:
            if reasoning.mode == "off":
                return None
            shown = part.text if reasoning.visible else ""
            return {"type": "thinking", "thinking": shown, "signature": signature(part.seal)}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": decode(arguments)}
        case Thinking() | Media() | Verbatim():
            return whole_block(part, reasoning)
        case _:
            return None


def whole_block(part: Media | Verbatim | Thinking, reasoning: Reasoning) -> JsonObject | None:
    """The block of a part that does not stream; None for one that this client is not to see."""
    match part:
        case Media(mime_type=mime_type, data=data, url=None):
            source = {"type": "base64", "media_type": mime_type, "data": data}
            return {"type": "image", "source": source}
        case Media(url=url):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Thinking():
            if reasoning.mode == "off":
                return None
            return {"type": "redacted_thinking", "data": signature(part.seal)}
        case Verbatim(dialect=dialect, value=value):
            return value if dialect == DIALECT else None


def signature(seal: Seal | None) -> str:
    """A thinking block has a signature always; without a seal it is empty."""
    return seal.value if seal else ""


def stop_fields(stop: Stop, stop_sequence: str | None) -> JsonObject:
    """Why a message ended, as `message_delta` says it; details come with a refusal only."""
    fields: JsonObject = {"stop_reason": _STOP_REASON[stop], "stop_sequence": stop_sequence}
    if stop is Stop.REFUSAL:
        fields["stop_details"] = _REFUSAL_DETAILS
    return fields


def usage_so_far(usage: Usage, frame: ReplyFrame) -> JsonObject:
    """Usage as `message_delta` carries it.

    An upstream that counted no prompt at all has not counted; our own estimate stands then.
    """
    return {
        "input_tokens": usage.input if usage.prompt else frame.prompt_estimate,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
    }


def _full_usage(usage: Usage, frame: ReplyFrame) -> JsonObject:
    return {
        **usage_so_far(usage, frame),
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "server_tool_use": None,
        "service_tier": "standard",
    }
