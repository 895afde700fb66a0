"""The neutral model: what of a conversation outlives its being sent."""

from dataclasses import fields, replace

from mcp_proxy.conversation import (
    Conversation,
    Message,
    OutputFormat,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    Verbatim,
)

EVERYTHING = Conversation(
    dialect="anthropic",
    model="claude-sonnet-4-6",
    messages=(Message("user", (Text("hi"),)),),
    system=(Text("Be brief."),),
    tools=(Tool("run", "runs", {}),),
    server_tools=(Verbatim("anthropic", {"type": "web_search_20250305"}),),
    tool_choice=ToolChoice("any", ("run",), parallel=False),
    sampling=Sampling(max_tokens=9),
    reasoning=Reasoning("on", 1024),
    output=OutputFormat({}),
    wants_stream=True,
    wants_array=True,
    wants_usage=False,
    session="session",
    cache_key="key",
    extras={"metadata": {}},
    ignored=("metadata",),
)


def test_without_its_history_a_conversation_keeps_all_else():
    plain = Conversation("", "", ())
    same = [each.name for each in fields(plain) if _of(EVERYTHING, each) == _of(plain, each)]
    assert same == [], "a new field is to be set above"
    assert EVERYTHING.without_history() == replace(EVERYTHING, messages=(), system=())
    assert plain.without_history() == plain


def _of(conversation, field):
    return getattr(conversation, field.name)
