"""Requests that real clients sent, rendered for every family: the embedded upstream takes them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from mcp_proxy.account import Account, Secret
from mcp_proxy.demo.catalogue import MODELS, WEB_SEARCH_MODELS
from mcp_proxy.demo.validate import check_meaning, check_shape
from mcp_proxy.dialects import client_dialect
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.errors import BadRequest
from mcp_proxy.policy.models import info
from mcp_proxy.policy.repair import repair
from mcp_proxy.policy.seals import StoredSeals, settle
from mcp_proxy.providers import Ask, ProviderSettings
from mcp_proxy.providers.antigravity import PROVIDER

RECORDINGS = Path(__file__).parent.parent / "recordings"
DIALECTS = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai_chat"}
TARGETS = (
    "claude-opus-4-6-thinking",
    "claude-sonnet-4-5",
    "gemini-3-flash",
    "gemini-3-pro-high",
    "gpt-oss-120b-medium",
)


def conversations() -> list[Any]:
    """One case for each recorded request that its client's dialect accepts."""
    found = []
    for file in sorted(RECORDINGS.glob("*.json")):
        for at, request in enumerate(json.loads(file.read_text())):
            dialect = DIALECTS.get(request["path"])
            if dialect is None or "messages" not in (request["body"] or {}):
                continue
            headers = CIMultiDict(request["headers"])
            try:
                parsed = client_dialect(dialect).parse_request(request["body"], headers)
            except BadRequest:
                continue
            found.append(pytest.param(parsed, id=f"{file.stem}-{at}"))
    return found


@pytest.mark.parametrize("conversation", conversations())
def test_recorded_request_is_taken_by_the_upstream(conversation):
    for target in TARGETS:
        model = replace(info(target), searches=target in WEB_SEARCH_MODELS)
        settled, _ = settle(
            conversation, model, StoredSeals(lambda _key: None), identity=conversation.identity()
        )
        mended, _ = repair(settled, model.family, "gemini")
        ask = Ask(
            account=Account("a", "antigravity"),
            token=Secret("t"),
            model=model,
            dialect="gemini",
            conversation=mended,
            identity=conversation.identity(),
            host="https://upstream",
            settings=ProviderSettings(),
            project="p",
        )
        call = PROVIDER.build_call(UPSTREAM.render_request(mended, model), ask)
        envelope = orjson.loads(call.body)
        check_shape(envelope, "Generate")
        check_meaning(envelope, MODELS[target])


def test_there_are_recordings():
    assert len(conversations()) > 60
