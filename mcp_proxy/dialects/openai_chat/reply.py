"""Reply -> a whole Chat Completions answer (client-apis.md 2.2), and what chunks share with it.

Seals are not shown: OpenAI clients cannot carry them, so the proxy keeps them by tool call id.
"""

from dataclasses import dataclass
from typing import Any

from mcp_proxy.conversation import (
    Conversation,
    JsonObject,
    Media,
    Text,
    Thinking,
    ToolCall,
    WebSearch,
)
from mcp_proxy.dialects import ReplyFrame
from mcp_proxy.dialects.openai_tools import free_text
from mcp_proxy.events import Reply, Stop, Usage

_FINISH = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL_CALL: "tool_calls",
    Stop.STOP_SEQUENCE: "stop",
    Stop.REFUSAL: "content_filter",
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How this client wants to be answered, as far as its request decides it."""

    shows_thinking: bool
    custom: frozenset[str]
    """Names of the tools whose calls are free text."""
    legacy: bool
    """One `function_call` in place of `tool_calls`."""

    @classmethod
    def of(cls, conversation: Conversation) -> "Manner":
        wanted = conversation.reasoning
        return cls(
            shows_thinking=wanted.visible and wanted.mode != "off",
            custom=frozenset(tool.name for tool in conversation.tools if tool.freeform is not None),
            legacy="functions" in conversation.extras,
        )

    def finish_reason(self, stop: Stop) -> str:
        if self.legacy and stop is Stop.TOOL_CALL:
            return "function_call"
        return _FINISH[stop]


def render_reply(reply: Reply, frame: ReplyFrame) -> JsonObject:
    manner = Manner.of(frame.conversation)
    return {
        "id": answer_id(frame),
        "object": "chat.completion",
        "created": frame.created,
        "model": frame.model,
        "choices": [
            {
                "index": 0,
                "message": _message(reply, manner),
                "logprobs": None,
                "finish_reason": manner.finish_reason(reply.stop),
            }
        ],
        "usage": usage_object(reply.usage),
        "system_fingerprint": None,
    }


def answer_id(frame: ReplyFrame) -> str:
    return f"chatcmpl-{frame.id}"


def _message(reply: Reply, manner: Manner) -> JsonObject:
    parts = reply.parts
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thought = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    images = [part for part in parts if isinstance(part, Media)]
    # Null content is what clients expect beside calls, and only there.
    message: JsonObject = {
        "role": "assistant",
        "content": text if text or not calls else None,
        "refusal": None,
        "annotations": [
            note for part in parts if isinstance(part, WebSearch) for note in annotations(part)
        ],
    }
    if thought and manner.shows_thinking:
        message["reasoning_content"] = thought
    if calls and manner.legacy:
        message["function_call"] = _function(calls[0])
    elif calls:
        message["tool_calls"] = [_call(call, manner) for call in calls]
    if images:
        message["images"] = [image_object(image, at) for at, image in enumerate(images)]
    return message


def _call(call: ToolCall, manner: Manner) -> JsonObject:
    if call.name in manner.custom:
        custom = {"name": call.name, "input": free_text(call.arguments)}
        return {"id": call.id, "type": "custom", "custom": custom}
    return {"id": call.id, "type": "function", "function": _function(call)}


def _function(call: ToolCall) -> JsonObject:
    return {"name": call.name, "arguments": call.arguments}


def annotations(search: WebSearch) -> list[JsonObject]:
    """The pages an answer rests on, as the API's own search models name them."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": hit.url,
                "title": hit.title or hit.url,
                "start_index": 0,
                "end_index": 0,
            },
        }
        for hit in search.hits
    ]


def image_object(image: Media, at: int) -> JsonObject:
    """A generated image, in the form that OpenRouter's clients read; the API itself has none."""
    url = image.url or f"data:{image.mime_type};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url}, "index": at}


def usage_object(usage: Usage) -> dict[str, Any]:
    """The prompt includes what caches gave or took, the completion includes thinking (5.2)."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
