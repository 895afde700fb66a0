"""GitHub Copilot's inference host. Source: providers.md 8.3-8.6, 8.8."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.places import chat_rules, responses_rules
from mcp_proxy.demo.places.chat import answer_chat
from mcp_proxy.demo.places.chat_writing import ChatStyle
from mcp_proxy.demo.places.desk import Desk, bearer, first
from mcp_proxy.demo.places.github import PREMIUM, GitHub
from mcp_proxy.demo.places.messages import answer_messages, betas_of, check_messages
from mcp_proxy.demo.places.models import COPILOT_CHAT, COPILOT_MESSAGES, COPILOT_RESPONSES
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.places.responses import answer_responses
from mcp_proxy.demo.places.responses_writing import ResponsesStyle
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.ids import new_uuid
from mcp_proxy.strict_json import encode

CHAT, RESPONSES, MESSAGES = "/chat/completions", "/responses", "/v1/messages"

_MODELS = {**COPILOT_MESSAGES, **COPILOT_RESPONSES, **COPILOT_CHAT}
_ENDPOINTS = {
    **dict.fromkeys(COPILOT_MESSAGES, (CHAT, MESSAGES)),
    **dict.fromkeys(COPILOT_RESPONSES, (RESPONSES,)),
    **dict.fromkeys(COPILOT_CHAT, (CHAT,)),
}
_FREE = frozenset({"gpt-4.1", "gpt-4o", "gpt-5-mini"})
"""Models that draw on no premium requests."""

_BETAS = frozenset(
    {
        "interleaved-thinking-2025-05-14",
        "context-management-2025-06-27",
        "advanced-tool-use-2025-11-20",
    }
)
_REFUSED = {
    CHAT: frozenset(),
    RESPONSES: frozenset({"previous_response_id", "service_tier", "background"}),
    MESSAGES: frozenset({"container", "mcp_servers", "speed", "inference_geo", "service_tier"}),
}
_IMAGES = (b'"image_url"', b'"input_image"', b'"type":"image"')


class CopilotPlace(Place):
    provider: ClassVar[str] = "copilot"
    prefix: ClassVar[str] = "/copilot"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.github = GitHub(
            desk.now,
            lambda account, token: desk.accept(self.provider, account, token),
            lambda: desk.allowance(self.provider),
        )

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post(CHAT, self._chat),
            self.post(RESPONSES, self._responses),
            self.post(MESSAGES, self._messages),
            self.get("/models", self._models),
            *self.github.routes(),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return copilot_refusal(status, message, "invalid_request_body")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        account, body, model = await self._generation(request, CHAT)
        is_claude = model.kind is Kind.CLAUDE
        first(
            chat_rules.problems(body, model)
            if model.id.startswith("gpt")
            else chat_rules.common_problems(body)
        )
        style = ChatStyle(reasoning="reasoning_text" if is_claude else None, splits=is_claude)
        return await answer_chat(
            request, self.desk, body, model, style, provider=self.provider, account=account
        )

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        account, body, model = await self._generation(request, RESPONSES)
        if body.get("store") is not False:
            raise Refusal(copilot_refusal(400, "store is not supported", "invalid_request_body"))
        first(responses_rules.problems(body, model, signer="copilot"))
        style = ResponsesStyle(signer="copilot", rotates=True)
        return await answer_responses(
            request, self.desk, body, model, style, provider=self.provider, account=account
        )

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        account, body, model = await self._generation(request, MESSAGES)
        _check_messages(request, body)
        check_messages(body, model, betas=betas_of(request), signer="copilot")
        return await answer_messages(
            request,
            self.desk,
            body,
            model,
            provider=self.provider,
            account=account,
            signer="copilot",
        )

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        return json_answer({"object": "list", "data": listing(_MODELS, _row)})

    async def _generation(
        self, request: web.Request, path: str
    ) -> tuple[str, JsonObject, DemoModel]:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        name = body.get("model")
        unknown = copilot_refusal(
            400, "The requested model is not supported.", "model_not_supported"
        )
        model = self.known(_MODELS, name, unknown)
        self._limit(account, model)
        if path not in _ENDPOINTS[model.id]:
            text = f'model "{name}" is not accessible via the {path} endpoint'
            raise Refusal(copilot_refusal(400, text, "unsupported_api_for_model"))
        for field in sorted(_REFUSED[path] & body.keys()):
            text = f"{field} is not supported"
            raise Refusal(copilot_refusal(400, text, "invalid_request_body"))
        has_image = any(mark in encode(body) for mark in _IMAGES)
        if has_image and request.headers.get("copilot-vision-request") != "true":
            text = "missing required Copilot-Vision-Request header for vision requests"
            raise Refusal(Answer(400, text))
        return account, body, model

    def _caller(self, request: web.Request) -> str:
        account = self.desk.holder(self.provider, bearer(request.headers))
        if account is None:
            raise Refusal(Answer(401, "unauthorized: token expired"))
        if "editor-version" not in request.headers:
            raise Refusal(Answer(400, "bad request: missing Editor-Version header for IDE auth"))
        if "copilot-integration-id" not in request.headers:
            raise Refusal(Answer(400, "Bad Request"))
        return account

    def _limit(self, account: str, model: DemoModel) -> None:
        if model.id in _FREE:
            return
        now = self.desk.now()
        if self.desk.allowance(self.provider).exhausted(account, (PREMIUM,), now):
            raise Refusal(copilot_refusal(402, "You have no quota", "quota_exceeded"))


def copilot_refusal(status: int, message: str, code: str) -> Answer:
    headers = {"x-request-id": new_uuid()}
    return Answer(status, {"error": {"message": message, "code": code}}, headers)


def _check_messages(request: web.Request, body: JsonObject) -> None:
    for beta in sorted(betas_of(request) - _BETAS):
        text = f"unsupported beta header(s): {beta}"
        raise Refusal(copilot_refusal(400, text, "invalid_request_body"))
    for tool in body.get("tools") or ():
        if "input_schema" not in tool:
            text = f"The use of the {tool.get('type')} tool is not supported."
            raise Refusal(copilot_refusal(400, text, "invalid_request_body"))
    messages = body.get("messages") or [{}]
    if messages[-1].get("role") == "assistant":
        text = (
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message."
        )
        raise Refusal(copilot_refusal(400, text, "invalid_request_body"))


def _row(model: DemoModel) -> JsonObject:
    supports: JsonObject = {
        "tool_calls": True,
        "parallel_tool_calls": True,
        "streaming": True,
        "structured_outputs": True,
        "vision": True,
    }
    if model.budgets is not None:
        lowest, highest = model.budgets
        supports |= {"min_thinking_budget": lowest, "max_thinking_budget": highest}
    if model.levels:
        supports["reasoning_effort"] = list(model.levels)
    return {
        "id": model.id,
        "name": model.name,
        "object": "model",
        "vendor": "Anthropic" if model.kind is Kind.CLAUDE else "OpenAI",
        "version": model.id,
        "preview": False,
        "model_picker_enabled": True,
        "policy": {"state": "enabled", "terms": ""},
        "billing": {
            "is_premium": model.id not in _FREE,
            "multiplier": 0 if model.id in _FREE else 1,
        },
        "supported_endpoints": list(_ENDPOINTS[model.id]),
        "capabilities": {
            "type": "chat",
            "family": model.id,
            "object": "model_capabilities",
            "tokenizer": "o200k_base",
            "limits": {
                "max_context_window_tokens": model.window,
                "max_prompt_tokens": model.window - 20_000,
                "max_output_tokens": model.max_output,
            },
            "supports": supports,
        },
    }
