"""ChatGPT's Codex back end. Source: providers.md 7.5-7.7."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places import responses_rules
from mcp_proxy.demo.places.codex_tokens import CodexTokens, workspace_of
from mcp_proxy.demo.places.desk import Desk, bearer, first
from mcp_proxy.demo.places.models import CODEX
from mcp_proxy.demo.places.openai_errors import invalid
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.places.responses import answer_responses
from mcp_proxy.demo.places.responses_writing import ResponsesStyle
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.ids import new_uuid

SESSION, WEEK = "5h", "7d"

_MINUTES = {SESSION: 300, WEEK: 10_080}
_NAMES = {SESSION: "primary", WEEK: "secondary"}
_FIELDS = frozenset(
    {
        "model",
        "instructions",
        "input",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "store",
        "stream",
        "include",
        "prompt_cache_key",
        "text",
        "service_tier",
        "client_metadata",
    }
)
_USAGE = "/backend-api/wham/usage"


class CodexPlace(Place):
    provider: ClassVar[str] = "codex"
    prefix: ClassVar[str] = "/codex/backend-api/codex"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.tokens = CodexTokens(
            desk.now, lambda account, token: desk.accept(self.provider, account, token)
        )

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/responses", self._responses),
            self.get("/models", self._models),
            # A sibling of the API; a replaced address may keep its path or not.
            web.get("/codex" + _USAGE, self._usage),
            web.get(_USAGE, self._usage),
            *self.tokens.routes(),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return detail(status, message)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        self._limit(account)
        if "text/event-stream" not in request.headers.get("accept", ""):
            raise Refusal(detail(400, "Accept must be text/event-stream"))
        _check_constraints(body)
        model = self._asked_for(body)
        first(responses_rules.problems(body, model))
        return await answer_responses(
            request,
            self.desk,
            body,
            model,
            ResponsesStyle(empties=True),
            provider=self.provider,
            account=account,
            headers=self._figures(account),
        )

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        if "client_version" not in request.query:
            raise Refusal(detail(400, "Missing query parameter: client_version"))
        return json_answer({"models": listing(CODEX, _row)})

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request)
        await self.body(request, account)
        windows = {f"{_NAMES[window]}_window": self._window(account, window) for window in _MINUTES}
        spent = self._spent(account) is not None
        limit = {"allowed": not spent, "limit_reached": spent, **windows}
        credit = {"has_credits": False, "unlimited": False, "balance": "0"}
        return json_answer({"plan_type": "plus", "rate_limit": limit, "credits": credit})

    def _window(self, account: str, window: str) -> JsonObject:
        now = self.desk.now()
        seconds = _MINUTES[window] * 60
        found = self.desk.allowance(self.provider).of(account, window, default_reset=now + seconds)
        return {
            "used_percent": round(found.used * 100),
            "limit_window_seconds": seconds,
            "reset_after_seconds": max(round(found.resets_at - now), 0),
            "reset_at": int(found.resets_at),
        }

    def _figures(self, account: str) -> dict[str, str]:
        headers = {"x-request-id": new_uuid(), "x-codex-plan-type": "plus"}
        for window, minutes in _MINUTES.items():
            figure, name = self._window(account, window), f"x-codex-{_NAMES[window]}"
            headers |= {
                f"{name}-used-percent": f"{figure['used_percent']:.1f}",
                f"{name}-window-minutes": str(minutes),
                f"{name}-reset-at": str(figure["reset_at"]),
            }
        return headers

    def _limit(self, account: str) -> None:
        resets_at = self._spent(account)
        if resets_at is None:
            return
        error: JsonObject = {
            "type": "usage_limit_reached",
            "message": "The usage limit has been reached",
            "plan_type": "plus",
            "resets_at": int(resets_at),
            "resets_in_seconds": max(int(resets_at - self.desk.now()), 0),
        }
        raise Refusal(Answer(429, {"error": error}, self._figures(account)))

    def _spent(self, account: str) -> float | None:
        allowance = self.desk.allowance(self.provider)
        found = allowance.exhausted(account, tuple(_MINUTES), self.desk.now())
        return None if found is None else found.resets_at

    def _asked_for(self, body: JsonObject) -> DemoModel:
        text = (
            f"The '{body.get('model')}' model is not supported when using Codex with a ChatGPT "
            "account."
        )
        return self.known(CODEX, body.get("model"), detail(400, text))

    def _caller(self, request: web.Request) -> str:
        account = self.desk.holder(self.provider, bearer(request.headers))
        if account is None:
            error = {
                "message": "Provided authentication token is expired.",
                "code": "token_expired",
            }
            raise Refusal(Answer(401, {"error": error}))
        if request.headers.get("chatgpt-account-id") != workspace_of(account):
            raise Refusal(detail(403, "chatgpt-account-id does not belong to this token"))
        return account


def detail(status: int, message: str) -> Answer:
    """An error of the back end itself; the API behind it uses `error`."""
    return Answer(status, {"detail": message})


def _check_constraints(body: JsonObject) -> None:
    """What this back end wants beyond the platform API (7.5)."""
    for name in sorted(body.keys() - _FIELDS):
        raise Refusal(detail(400, f"Unsupported parameter: {name}"))
    if not isinstance(body.get("instructions"), str):
        raise Refusal(detail(400, "Instructions are required"))
    if body.get("store") is not False:
        raise Refusal(detail(400, "Store must be set to false"))
    if body.get("stream") is not True:
        raise Refusal(detail(400, "Stream must be set to true"))
    if not isinstance(body.get("input"), list):
        raise Refusal(detail(400, "Input must be a list"))
    if any(item.get("role") == "system" for item in body["input"]):
        raise Refusal(detail(400, "System messages are not allowed"))
    has_tools = body.get("tools") or any(
        item.get("type") == "additional_tools" for item in body["input"]
    )
    if "parallel_tool_calls" in body and not has_tools:
        text = "'parallel_tool_calls' is only allowed when 'tools' are specified."
        raise Refusal(invalid(text, "parallel_tool_calls"))


def _row(model: DemoModel) -> JsonObject:
    return {
        "slug": model.id,
        "display_name": model.name,
        "description": "A model of the embedded upstream.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [
            {"effort": level, "description": level} for level in model.levels if level != "none"
        ],
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "context_window": model.window,
        "max_context_window": model.window,
        "input_modalities": ["text"] if "spark" in model.id else ["text", "image"],
        "supports_parallel_tool_calls": True,
        "support_verbosity": True,
        "default_verbosity": "medium",
        "minimal_client_version": "0.1.0",
        "available_in_plans": ["plus", "pro"],
        "service_tiers": [],
        "upgrade": None,
        "base_instructions": "",
    }
