"""Gemini's endpoints, which say in the path which model is to do what (client-apis.md 0, 4)."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from mcp_proxy.account import Account
from mcp_proxy.dialects import PathTarget
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError
from mcp_proxy.model import ModelInfo
from mcp_proxy.server import generate
from mcp_proxy.server.answers import Call

JsonObject = dict[str, Any]

GENERATE: Final = "generateContent"
STREAM: Final = "streamGenerateContent"
COUNT: Final = "countTokens"

_LONGEST_COUNT: Final = 9
"""Digits."""


async def act(runtime: Runtime, call: Call) -> web.StreamResponse:
    """Generates or counts, as the path says. ProxyError for anything else."""
    target, action = target_of(call.path, call.request.query)
    if action == COUNT:
        return await generate.count_tokens(runtime, call, target)
    if action in (GENERATE, STREAM):
        return await generate.generate(runtime, call, target)
    raise ProxyError(ErrorKind.NOT_FOUND, f"there is no action {action[:64]!r} here")


def target_of(path: str, query: Mapping[str, str]) -> tuple[PathTarget, str]:
    """The model and the action; ids may contain "/", ":" and "@", so the last colon parts them.

    ProxyError for a path without one of them.
    """
    name = unquote(path.partition("/models/")[2])
    model, _, action = name.rpartition(":")
    # Clients that put the model's resource name into the path say "models/" twice.
    model = model.removeprefix("models/")
    if not model:
        raise ProxyError(ErrorKind.NOT_FOUND, f"there is nothing at {path[:128]}")
    streams = action == STREAM
    wants_sse = "sse" in (query.get("alt"), query.get("$alt"))
    return PathTarget(model, streams, streams and not wants_sse), action


def page_of(rows: list[JsonObject], query: Mapping[str, str]) -> JsonObject:
    """One page of the list; all of it when no size is asked for, which fits in any page.

    BadRequest for a `pageToken` that is not one of ours.
    """
    token, size = query.get("pageToken", ""), query.get("pageSize", "")
    if token and not _is_count(token):
        raise BadRequest("is not a token that this server gave", param="pageToken")
    start = int(token or 0)
    end = start + (int(size) if _is_count(size) and int(size) else len(rows))
    page: JsonObject = {"models": rows[start:end]}
    if end < len(rows):
        page["nextPageToken"] = str(end)
    return page


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_COUNT


def model_row(name: str, model: ModelInfo, _accounts: list[Account]) -> JsonObject:
    """One model in the list that Gemini's clients read (client-apis.md 4.6)."""
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": model.display_name,
        "description": f"{model.display_name}, through mcproxy",
        "inputTokenLimit": model.context_window,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": [GENERATE, STREAM, COUNT],
        "thinking": model.thinking is not None,
    }
