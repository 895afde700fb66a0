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
from mcp_proxy.policy.routes import without_window
from mcp_proxy.server import gemini
from mcp_proxy.server.answers import Call, json_answer

JsonObject = dict[str, Any]

CREATED_AT = "2026-01-01T00:00:00Z"
CREATED = 1_767_225_600
"""Upstreams do not say when a model was made; clients want a date to parse."""

LONGEST_PAGE = 1000
SHOWN_TO_CLAUDE_CODE = "claude/"
"""Put before other models' ids, since its picker keeps only those that begin like Anthropic's
(client-apis.md 1.9); taken off again when such a model is asked for."""

FRESH_WITHIN = 3.0
"""Seconds that a client's question may take; model pickers give up soon after."""


async def every(runtime: Runtime, call: Call) -> web.Response:
    """Every model that some account serves, and the aliases and routes of the configuration."""
    await runtime.learn_models(FRESH_WITHIN)
    request = call.request
    if "client_version" in request.query:
        rows = [codex_row(*row, place) for place, row in enumerate(_listed(runtime))]
        return json_answer(call, {"models": rows})
    if call.dialect == "gemini":
        rows = [gemini.model_row(*row) for row in _listed(runtime)]
        return json_answer(call, gemini.page_of(rows, request.query))
    if not speaks_anthropic(request.headers):
        data = [_openai_row(runtime, *row) for row in _listed(runtime)]
        return json_answer(call, {"object": "list", "data": data})
    listed = _listed(runtime)
    if _is_claude_code(request.headers):
        listed += [
            (SHOWN_TO_CLAUDE_CODE + name, model, accounts)
            for name, model, accounts in listed
            if not name.startswith(("claude", "anthropic"))
        ]
    page, more = _page([_anthropic_row(runtime, *row) for row in listed], request.query)
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
    name = unquote(call.path.partition("/models/")[2])
    wanted = without_window(name)
    row = next((row for row in _listed(runtime) if row[0] == wanted), None)
    if row is None:
        # Patterns, classes and PROVIDER/MODEL are in no list, and can be asked for nevertheless.
        reached = _reached(runtime, name)
        if reached is None:
            raise UnknownModel(name, nearest=runtime.names.nearest(name))
        row = wanted, *reached
    if call.dialect == "gemini":
        return json_answer(call, gemini.model_row(*row))
    shape = _anthropic_row if speaks_anthropic(call.request.headers) else _openai_row
    return json_answer(call, shape(runtime, *row))


def speaks_anthropic(headers: Mapping[str, str]) -> bool:
    return "anthropic-version" in headers or _is_claude_code(headers)


def _is_claude_code(headers: Mapping[str, str]) -> bool:
    return headers.get("User-Agent", "").startswith(("claude-cli", "claude-code"))


def speaks_gemini(headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
    """Whether a request for the shared list comes from a client of Gemini's API."""
    return "x-goog-api-key" in headers or "x-goog-api-client" in headers or "key" in query


def _listed(runtime: Runtime) -> list[tuple[str, ModelInfo, list[Account]]]:
    served = served_models(runtime)
    rows = [(model.id, model, accounts) for model, accounts in served.items()]
    for name in (*runtime.settings.aliases, *runtime.settings.routes):
        reached = _reached(runtime, name) if "*" not in name else None
        if reached is not None:
            rows.append((name, *reached))
    return rows


def _reached(runtime: Runtime, name: str) -> tuple[ModelInfo, list[Account]] | None:
    """The first model with accounts that a name leads to, and those; None when nobody serves it."""
    for stage in runtime.names.stages_left(name):
        if stage.candidates:
            accounts = [candidate.account for candidate in stage.candidates]
            return runtime.models.of(stage.candidates[0]), accounts
    return None


def codex_row(name: str, model: ModelInfo, _accounts: list[Account], place: int) -> JsonObject:
    """As Codex asks for them with `client_version` (providers.md 7.5)."""
    levels = model.thinking.levels if model.thinking is not None else ()
    efforts = [level for level in levels if level != "none"] or ["low", "medium", "high"]
    return {
        "slug": name,
        "display_name": model.display_name,
        "description": f"{model.display_name}, through mcproxy",
        "default_reasoning_level": "medium" if "medium" in efforts else efforts[-1],
        "supported_reasoning_levels": [
            {"effort": effort, "description": effort.capitalize()} for effort in efforts
        ],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": "",
        "supports_reasoning_summaries": model.thinking is not None,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "context_window": model.context_window,
        "max_context_window": model.context_window,
        "input_modalities": ["text", "image"] if model.takes_images else ["text"],
        "experimental_supported_tools": [],
    }


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
