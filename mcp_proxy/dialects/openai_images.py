"""OpenAI's images endpoint, the upstream side: a conversation's last words in, pictures out.

For models that only paint. They know no history, no tools and no streams; what was said before the
last message is not sent (client-apis.md has the chat dialects' side, providers.md 2 the place).
"""

from typing import Any, Final

from mcp_proxy.conversation import Conversation, JsonObject, Media, Text
from mcp_proxy.dialects import UpstreamDialect
from mcp_proxy.dialects.broken import broken, cut_off
from mcp_proxy.dialects.token_counts import token_count
from mcp_proxy.errors import BadRequest, FailureKind
from mcp_proxy.events import (
    NO_USAGE,
    Event,
    Finished,
    PartClosed,
    PartKind,
    PartOpened,
    Started,
    Stop,
    Usage,
    UsageSeen,
)
from mcp_proxy.model import ModelInfo

NAME: Final = "openai_images"

_SETTINGS: Final = ("size", "quality", "background", "output_format", "style")
"""Fields of the endpoint that a client of it may set; kept in `Conversation.extras`."""


class ImagesUpstream(UpstreamDialect):
    """For OpenAI's models that only paint."""

    name = NAME

    def render_request(self, conversation: Conversation, model: ModelInfo) -> JsonObject:
        wanted = {
            name: value
            for name in _SETTINGS
            if isinstance(value := conversation.extras.get(name), str)
        }
        return {"model": model.id, "prompt": _prompt(conversation), "n": 1, **wanted}

    def stream_parser(self, conversation: Conversation, model: ModelInfo) -> "ImagesParser":
        return ImagesParser()


class ImagesParser:
    """Implements `StreamParser` for an answer that is always one document."""

    may_end = False

    def __init__(self) -> None:
        self._is_whole = False

    def feed(self, record: JsonObject, out: list[Event]) -> None:
        self.feed_whole(record, out)

    def feed_whole(self, document: JsonObject, out: list[Event]) -> None:
        pictures = [each for each in _list(document.get("data")) if isinstance(each, dict)]
        shown = [media for each in pictures if (media := _media(each, document)) is not None]
        if not shown:
            raise broken("the upstream's answer has no picture", FailureKind.EMPTY)
        out.append(Started())
        for at, media in enumerate(shown):
            out.append(PartOpened(at, PartKind.MEDIA, whole=media))
            out.append(PartClosed(at))
        out.append(UsageSeen(_usage(document.get("usage"))))
        out.append(Finished(Stop.END))
        self._is_whole = True

    def close(self, out: list[Event]) -> None:
        """Raises UpstreamBroke when there was no document."""
        if not self._is_whole:
            raise cut_off()


def _prompt(conversation: Conversation) -> str:
    for message in reversed(conversation.messages):
        if message.role == "user":
            text = "\n".join(part.text for part in message.parts if isinstance(part, Text))
            if text.strip():
                return text
    raise BadRequest("there is no text that says what to paint", param="messages")


def _media(picture: JsonObject, document: JsonObject) -> Media | None:
    data, url = picture.get("b64_json"), picture.get("url")
    kind = document.get("output_format")
    mime_type = f"image/{kind if isinstance(kind, str) else 'png'}"
    if isinstance(data, str) and data:
        return Media(mime_type, data)
    if isinstance(url, str) and url:
        return Media(mime_type, url=url)
    return None


def _usage(counts: Any) -> Usage:
    if not isinstance(counts, dict):
        return NO_USAGE
    return Usage(
        input=token_count(counts, "input_tokens"), output=token_count(counts, "output_tokens")
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


UPSTREAM = ImagesUpstream()
