"""The model list, in the shape that the asking client reads (client-apis.md section 0)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from mcp_proxy.account import Account
from mcp_proxy.engine.report import quota_of, served_models
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import UnknownModel
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.server.answers import Call, json_answer

JsonObject = dict[str, Any]

CREATED_AT = "2026-01-01T00:00:00Z"
CREATED = 1_767_225_600
"""Upstreams do not say when a model was made; clients want a date to parse."""

LONGEST_PAGE = 1000
FRESH_WITHIN = 3.0
"""Seconds that a client's question may take; model pickers give up soon after."""


async def every(runtime: Runtime, call: Call) -> web.Response:
    """Every model that some account serves, and the aliases of the configuration."""
    await runtime.learn_models(FRESH_WITHIN)
    if not speaks_anthropic(call.request.headers):
        data = [_openai_row(runtime, *row) for row in _listed(runtime)]
        return json_answer(call, {"object": "list", "data": data})
    rows = [_anthropic_row(runtime, *row) for row in _listed(runtime)]
    page, more = _page(rows, call.request.query)
    body = {
        "data": page,
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
    return json_answer(call, body)


async def one(runtime: Runtime, call: Call) -> web.Response:
    """One model by its id. UnknownModel when it cannot be asked for."""
    await runtime.learn_models(FRESH_WITHIN)
    name = unquote(call.path.removeprefix("/v1/models/"))
    row = next((row for row in _listed(runtime) if row[0] == name), None)
    if row is None:
        raise UnknownModel(name, nearest=runtime.nearest(name))
    shape = _anthropic_row if speaks_anthropic(call.request.headers) else _openai_row
    return json_answer(call, shape(runtime, *row))


def speaks_anthropic(headers: Mapping[str, str]) -> bool:
    agent = headers.get("User-Agent", "")
    return "anthropic-version" in headers or agent.startswith(("claude-cli", "claude-code"))


def _listed(runtime: Runtime) -> list[tuple[str, ModelInfo, list[Account]]]:
    served = served_models(runtime)
    rows = [(model.id, model, accounts) for model, accounts in served.items()]
    for alias, targets in runtime.settings.aliases.items():
        target = next((info(name) for name in targets if info(name) in served), None)
        if target is not None and "*" not in alias:
            rows.append((alias, target, served[target]))
    return rows


def _anthropic_row(
    runtime: Runtime, name: str, model: ModelInfo, accounts: list[Account]
) -> JsonObject:
    return {
        "type": "model",
        "id": name,
        "display_name": model.display_name,
        "created_at": CREATED_AT,
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output,
        "lifecycle": "active",
        "capabilities": None,
        "quota": quota_of(runtime, model, accounts),
    }


def _openai_row(
    runtime: Runtime, name: str, model: ModelInfo, accounts: list[Account]
) -> JsonObject:
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": accounts[0].provider,
        "display_name": model.display_name,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output,
        "quota": quota_of(runtime, model, accounts),
    }


def _page(rows: list[JsonObject], query: Mapping[str, str]) -> tuple[list[JsonObject], bool]:
    """Anthropic's cursor paging: `limit`, `after_id`, `before_id`."""
    ids = [row["id"] for row in rows]
    limit = query.get("limit", "")
    size = min(int(limit), LONGEST_PAGE) if limit.isdigit() and int(limit) else len(rows)
    if (after := query.get("after_id")) in ids:
        rest = rows[ids.index(after) + 1 :]
        return rest[:size], len(rest) > size
    if (before := query.get("before_id")) in ids:
        rest = rows[: ids.index(before)]
        return rest[-size:], len(rest) > size
    return rows[:size], len(rows) > size
