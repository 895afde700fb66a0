"""OpenAI's images endpoint as an upstream."""

import pytest

from mcp_proxy.conversation import Conversation, Media, Message, Text
from mcp_proxy.dialects import upstream_dialect
from mcp_proxy.errors import BadRequest, FailureKind
from mcp_proxy.events import Event, UpstreamBroke, fold
from mcp_proxy.policy.models import info

UPSTREAM = upstream_dialect("openai_images")
PAINTER = info("gpt-image-1", "openai")


def talk(*messages: Message, **extras: object) -> Conversation:
    return Conversation("openai_chat", "m", messages, extras=extras)


def test_the_last_words_of_the_user_are_the_prompt():
    conversation = talk(
        Message("user", (Text("a dog"),)),
        Message("assistant", (Text("here"),)),
        Message("user", (Text("a cat"), Text("in Oslo"))),
        size="1024x1536",
        quality="high",
        user="u",
    )
    assert UPSTREAM.render_request(conversation, PAINTER) == {
        "model": "gpt-image-1",
        "prompt": "a cat\nin Oslo",
        "n": 1,
        "size": "1024x1536",
        "quality": "high",
    }


def test_without_words_there_is_nothing_to_paint():
    with pytest.raises(BadRequest, match="what to paint"):
        UPSTREAM.render_request(talk(Message("user", (Media("image/png", "AA=="),))), PAINTER)


def test_pictures_and_usage_are_read():
    events: list[Event] = []
    parser = UPSTREAM.stream_parser(talk(), PAINTER)
    document = {
        "data": [{"b64_json": "AAAA"}, {"url": "https://example.com/x.png"}, {}],
        "output_format": "webp",
        "usage": {"input_tokens": 7, "output_tokens": 4000},
    }
    parser.feed_whole(document, events)
    parser.close(events)
    reply = fold(events)
    assert reply.parts == (
        Media("image/webp", "AAAA"),
        Media("image/webp", url="https://example.com/x.png"),
    )
    assert (reply.usage.input, reply.usage.output) == (7, 4000)


@pytest.mark.parametrize("document", [{}, {"data": []}, {"data": [{"b64_json": ""}]}])
def test_an_answer_without_pictures_is_asked_for_again(document):
    with pytest.raises(UpstreamBroke) as broke:
        UPSTREAM.stream_parser(talk(), PAINTER).feed_whole(document, [])
    assert broke.value.failure.kind is FailureKind.EMPTY


def test_an_answer_that_never_came_is_broken():
    with pytest.raises(UpstreamBroke):
        UPSTREAM.stream_parser(talk(), PAINTER).close([])
