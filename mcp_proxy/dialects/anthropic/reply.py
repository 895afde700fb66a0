"""The Messages API's shapes of an answer: content blocks, stop reasons, usage, the whole message.

`render_reply` and the stream build from the same pieces, so one cannot say what the other does not
(client-apis.md 1.4).
"""

from hashlib import sha256

from mcp_proxy.conversation import (
    Media,
    Part,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    Verbatim,
    WebSearch,
)
from mcp_proxy.dialects import ReplyFrame
from mcp_proxy.dialects.anthropic.names import NAME
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
    blocks = [block for part in reply.parts for block in _blocks(part, reasoning)]
    return {
        "id": message_id(frame),
        "type": "message",
        "role": "assistant",
        "model": frame.model,
        "content": blocks,
        "stop_details": None,
        **stop_fields(reply.stop, reply.stop_sequence),
        "container": None,
        "usage": _full_usage(reply.usage, frame),
    }


def message_id(frame: ReplyFrame) -> str:
    return f"msg_{frame.id}"


def _blocks(part: Part, reasoning: Reasoning) -> list[JsonObject]:
    """The content blocks of a part; none for one that this client is not to see."""
    match part:
        case Text(text):
            return [{"type": "text", "text": text}]
        case Thinking() if not part.redacted:
            if reasoning.mode == "off":
                return []
            shown = part.text if reasoning.visible else ""
            return [{"type": "thinking", "thinking": shown, "signature": signature(part.seal)}]
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return [{"type": "tool_use", "id": call_id, "name": name, "input": decode(arguments)}]
        case Thinking() | Media() | Verbatim() | WebSearch():
            return whole_blocks(part, reasoning)
        case _:
            return []


def whole_blocks(
    part: Media | Verbatim | Thinking | WebSearch, reasoning: Reasoning
) -> list[JsonObject]:
    """The blocks of a part that does not stream; none for one that this client is not to see."""
    match part:
        case Media(mime_type=mime_type, data=data, url=None):
            source = {"type": "base64", "media_type": mime_type, "data": data}
            return [{"type": "image", "source": source}]
        case Media(url=url):
            return [{"type": "image", "source": {"type": "url", "url": url}}]
        case Thinking():
            if reasoning.mode == "off":
                return []
            return [{"type": "redacted_thinking", "data": signature(part.seal)}]
        case WebSearch():
            return _search_blocks(part)
        case Verbatim(dialect=dialect, value=value):
            return [value] if dialect == NAME else []


def _search_blocks(search: WebSearch) -> list[JsonObject]:
    """What Anthropic's own search tool would have said (client-apis.md 1.2, 5.3)."""
    use_id = legal_search_id(search)
    hits = [
        {
            "type": "web_search_result",
            "url": hit.url,
            "title": hit.title or hit.url,
            "encrypted_content": "",
            "page_age": None,
        }
        for hit in search.hits
    ]
    use = {"type": "server_tool_use", "id": use_id, "name": "web_search"}
    return [
        {**use, "input": {"query": "; ".join(search.queries)}},
        {"type": "web_search_tool_result", "tool_use_id": use_id, "content": hits},
    ]


def legal_search_id(search: WebSearch) -> str:
    """The same for the same search, so that a stream and its reply agree."""
    if search.id.startswith("srvtoolu_"):
        return search.id
    named = "\0".join((search.id, *search.queries, *(hit.url for hit in search.hits)))
    return f"srvtoolu_{sha256(named.encode()).hexdigest()[:24]}"


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
    is_counted = usage.input or usage.cache_read or usage.cache_write
    counts: JsonObject = {
        "input_tokens": usage.input if is_counted else frame.prompt_estimate(),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
    }
    if usage.searches:
        counts["server_tool_use"] = search_usage(usage)
    return counts


def search_usage(usage: Usage) -> JsonObject | None:
    """How often the upstream searched; null when it did not."""
    if not usage.searches:
        return None
    return {"web_search_requests": usage.searches, "web_fetch_requests": 0}


def _full_usage(usage: Usage, frame: ReplyFrame) -> JsonObject:
    return {
        **usage_so_far(usage, frame),
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "server_tool_use": search_usage(usage) if usage.searches else None,
        "service_tier": "standard",
    }
