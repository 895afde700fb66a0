"""What a request loses on the way, by pair of dialects: all of it is listed, and nothing else.

That any cut of a stream gives the same events is tested beside each dialect's parser.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from loss_tables.outcome import (
    CHANGED,
    CHANGES,
    DIALECTS,
    FEATURES,
    HERE,
    KEPT,
    MODELS,
    Json,
    asked_for,
    fate,
    sent,
)
from loss_tables.tables import COMMITTED, rendered, rows

from mcp_proxy.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolResult,
)
from mcp_proxy.dialects import PathTarget, client_dialect
from mcp_proxy.dialects.wording import REMINDER, json_instruction
from mcp_proxy.model import ModelInfo

RECORDINGS = Path(__file__).parent / "recordings"

# --------------------------------------------------------------------------------- what is lost


def test_what_becomes_of_each_feature_is_what_the_tables_say():
    listed, found = rows(COMMITTED.read_text(encoding="utf-8")), rows(rendered())
    wrong = {
        " / ".join(place): f"listed: {listed.get(place)}; found: {found.get(place)}"
        for place in {**listed, **found}
        if listed.get(place) != found.get(place)
    }
    assert wrong == {}, "mend tests/loss_tables/losses.md, or the dialect"


def test_the_tables_are_written_as_they_are_printed():
    assert COMMITTED.read_text(encoding="utf-8") == rendered()


def test_every_change_is_told_with_its_proof():
    found = set(rows(rendered()).values())
    assert CHANGED not in found
    told = {f"{CHANGED}: {how}" for ways in CHANGES.values() for how in ways}
    assert told <= found, "a way that no feature takes any more"


def test_every_name_in_the_lists_is_that_of_a_feature():
    named = {name for name, _ in CHANGES} | {*HERE}
    assert named <= {*FEATURES}
    assert {f.beside for f in FEATURES.values() if f.beside} <= {*FEATURES}
    needs = {need for models in MODELS.values() for need in models}
    assert {feature.model for feature in FEATURES.values()} <= needs


# ----------------------------------------------------------------- there and back in one dialect

PATHS = {
    "/v1/messages": "anthropic",
    "/v1/chat/completions": "openai_chat",
    "/v1/responses": "openai_responses",
}
HOME = PathTarget("m", stream=True)
IN_JSON = json_instruction(OutputFormat())

KNOWN: dict[str, set[str]] = {
    "anthropic": set(),
    "openai_chat": set(),
    "openai_responses": set(),
    "gemini": {
        # The signature goes over to the call, where Gemini itself puts it.
        "thoughts of the same kind of model",
        # So short an answer gets as little thinking as there is.
        "py-genai-generate-0",
    },
}
"""Requests that come back otherwise, by dialect; other differences are remarks in `meaning`."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_kept_at_home_comes_back_as_it_was(dialect):
    kept = [f for f in FEATURES.values() if fate(f, dialect, dialect) == KEPT]
    assert len(kept) > 20
    wrong = {
        feature.name: differing
        for feature in kept
        if (differing := changed_at_home(dialect, asked_for(feature, dialect)))
    }
    assert {*wrong} == KNOWN[dialect] & {*FEATURES}, wrong


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_real_clients_sent_comes_back_as_it_was(dialect):
    requests = list(recorded(dialect))
    assert len(requests) > 20
    wrong = {
        name: differing
        for name, body, target in requests
        if (differing := changed_at_home(dialect, body, target))
    }
    assert {*wrong} == KNOWN[dialect] - {*FEATURES}, wrong


def recorded(dialect: str) -> Iterator[tuple[str, Json, PathTarget]]:
    """(name, body, path) of every request for an answer that stands alone."""
    for file in sorted(RECORDINGS.glob("*.json")):
        for at, request in enumerate(json.loads(file.read_text())):
            body, path = request["body"] or {}, request["path"]
            _, _, named = path.partition("/models/")
            model, _, action = named.rpartition(":")
            target = PathTarget(model, action.startswith("stream"))
            spoken = "gemini" if action.endswith("enerateContent") else PATHS.get(path)
            if spoken == dialect and "__same_body_as_request__" not in body:
                yield f"{file.stem}-{at}", body, target


def changed_at_home(dialect: str, body: Json, target: PathTarget = HOME) -> Json:
    """The fields of the conversation that differ when the request is read, written and read."""
    client = client_dialect(dialect)
    first = client.parse_request(body, {}, target)
    second = client.parse_request(sent(first, able(dialect, first), dialect), {}, target)
    was, came = meaning(first), meaning(second)
    return {name: (was[name], came[name]) for name in was if was[name] != came[name]}


def able(dialect: str, conversation: Conversation) -> ModelInfo:
    """A model that can do what is asked: those that reason take no temperature, and some no
    budgets."""
    sampling, reasoning, models = conversation.sampling, conversation.reasoning, MODELS[dialect]
    need = "thinking" if sampling.temperature is sampling.top_p is None else "plain"
    need = "budget" if reasoning.budget or reasoning.mode == "off" else need
    return models.get(need, models["plain"])


def meaning(conversation: Conversation) -> Json:
    """What two requests have in common that ask for the same; each remark is a known difference."""
    choice, output, dialect = conversation.tool_choice, conversation.output, conversation.dialect
    return {
        # JSON mode is also asked for in words.
        "system": "\n\n".join(text.text for text in conversation.system if text.text != IN_JSON),
        "messages": turns(conversation),
        # When some are forced, the others need not be offered.
        "tools": [
            tool_meaning(tool, dialect)
            for tool in conversation.tools
            if not choice.names or tool.name in choice.names
        ],
        # The marks for the cache are set anew.
        "server_tools": [unmarked(tool.value) for tool in conversation.server_tools],
        "tool_choice": choice,
        "sampling": without_the_models_limit(conversation.sampling),
        "reasoning": effort_said(conversation),
        # Gemini takes a part of JSON Schema; what becomes of the rest is tested with `jsonschema`.
        "output": output is not None if dialect == "gemini" else output,
    }


def tool_meaning(tool: Tool, dialect: str) -> Tool:
    """Namespaces are in the names; Gemini takes a part of JSON Schema; a schema of nothing is one
    of no arguments; and what is not said to be strict is not."""
    schema = {} if dialect == "gemini" else {"type": "object", "properties": {}, **tool.schema}
    return replace(tool, namespace=None, schema=schema, strict=bool(tool.strict))


def without_the_models_limit(sampling: Sampling) -> Sampling:
    """Said where a thinking budget has to stay below it."""
    limits = {model.max_output for model in MODELS["gemini"].values()}
    return replace(sampling, max_tokens=None) if sampling.max_tokens in limits else sampling


def effort_said(conversation: Conversation) -> Reasoning:
    """Who does not think makes no effort; Gemini's thinkers make the greatest by themselves."""
    reasoning = conversation.reasoning
    if reasoning.mode == "off":
        return replace(reasoning, effort=None)
    if conversation.dialect == "gemini" and reasoning == Reasoning("adaptive"):
        return replace(reasoning, effort="high")
    return reasoning


def unmarked(block: Json) -> Json:
    return {key: value for key, value in block.items() if key != "cache_control"}


def turns(conversation: Conversation) -> list[tuple[str, list[Part]]]:
    """What each side says in a row. Instructions in between may become notes of the user."""
    found: list[tuple[str, list[Part]]] = []
    for message in conversation.messages:
        role = "user" if message.role == "system" else message.role
        note = REMINDER if message.role == "system" else ""
        for part in message.parts:
            if part == Text(IN_JSON):
                continue
            if not found or found[-1][0] != role:
                found.append((role, []))
            add(found[-1][1], Text(note + part.text, part.seal) if type(part) is Text else part)
    return found


def add(parts: list[Part], part: Part) -> None:
    """Neighbouring texts are one, and so are those of a result; a PDF always has a name."""
    last = parts[-1] if parts else None
    if type(part) is Text and type(last) is Text and last.seal is None:
        parts[-1] = Text(f"{last.text}\n\n{part.text}", part.seal)
    elif type(part) is ToolResult:
        parts.append(replace(part, parts=joined(part.parts)))
    elif type(part) is Media and part.mime_type == "application/pdf":
        parts.append(replace(part, name=part.name or "document.pdf"))
    else:
        parts.append(part)


def joined(parts: tuple[Text | Media, ...]) -> tuple[Text | Media, ...]:
    text = "\n".join([part.text for part in parts if type(part) is Text])
    return (Text(text), *(part for part in parts if type(part) is Media))
