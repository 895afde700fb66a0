"""OpenAI's platform API. Source: providers.md 2, client-apis.md 2 and 3."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places import chat_rules, responses_rules
from mcp_proxy.demo.places.chat import answer_chat
from mcp_proxy.demo.places.chat_writing import ChatStyle
from mcp_proxy.demo.places.desk import bearer, first
from mcp_proxy.demo.places.models import OPENAI
from mcp_proxy.demo.places.openai_errors import (
    invalid,
    missing,
    no_key,
    no_such_model,
    openai_refusal,
    wrong_key,
)
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.places.responses import answer_responses
from mcp_proxy.demo.places.responses_reading import responses_tokens
from mcp_proxy.demo.places.responses_writing import ResponsesStyle
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal, go_duration
from mcp_proxy.demo.script import PNG
from mcp_proxy.ids import new_id

LIMITS = {"requests": 10_000, "tokens": 2_000_000}
"""Per minute."""

_MINUTE = 60.0


class OpenAiPlace(Place):
    provider: ClassVar[str] = "openai"
    prefix: ClassVar[str] = "/openai/v1"
    key_prefix: ClassVar[str] = "sk-proj-"

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/chat/completions", self._chat),
            self.post("/responses", self._responses),
            self.post("/responses/input_tokens", self._input_tokens),
            self.post("/images/generations", self._images),
            self.get("/models", self._models),
            self.get("/models/{model}", self._model),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return openai_refusal(status, message)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        account, body, model = await self._generation(request)
        if "codex" in model.id:
            text = "This model is only supported in v1/responses and not in v1/chat/completions."
            raise Refusal(openai_refusal(404, text, param="model"))
        first(chat_rules.problems(body, model))
        return await answer_chat(
            request,
            self.desk,
            body,
            model,
            ChatStyle(),
            provider=self.provider,
            account=account,
            headers=self._figures(account),
        )

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        account, body, model = await self._generation(request)
        previous = body.get("previous_response_id")
        if previous is not None:
            text = f"Previous response with id '{previous}' not found."
            code = "previous_response_not_found"
            raise Refusal(invalid(text, "previous_response_id", code))
        first(responses_rules.problems(body, model))
        return await answer_responses(
            request,
            self.desk,
            body,
            model,
            ResponsesStyle(),
            provider=self.provider,
            account=account,
            headers=self._figures(account),
        )

    async def _input_tokens(self, request: web.Request) -> web.StreamResponse:
        body = await self.body(request, self._caller(request))
        tokens = responses_tokens(body)
        return json_answer({"object": "response.input_tokens", "input_tokens": tokens})

    async def _images(self, request: web.Request) -> web.StreamResponse:
        _account, body, model = await self._generation(request)
        if not model.image:
            raise Refusal(invalid(f"The model '{model.id}' does not generate images.", "model"))
        if not body.get("prompt"):
            raise Refusal(missing("prompt"))
        if "response_format" in body:
            text = "Unknown parameter: 'response_format'."
            raise Refusal(invalid(text, "response_format", "unknown_parameter"))
        images = [{"b64_json": PNG} for _ in range(body.get("n") or 1)]
        usage = {"input_tokens": 10, "output_tokens": 272, "total_tokens": 282}
        return json_answer({"created": int(self.desk.now()), "data": images, "usage": usage})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        return json_answer({"object": "list", "data": listing(OPENAI, model_row)})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        name = request.match_info["model"]
        return json_answer(model_row(self.known(OPENAI, name, no_such_model(name))))

    async def _generation(self, request: web.Request) -> tuple[str, JsonObject, DemoModel]:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        self._limit(account)
        name = body.get("model")
        if name is None:
            text = "you must provide a model parameter"
            raise Refusal(invalid(text))
        return account, body, self.known(OPENAI, name, no_such_model(name))

    def _caller(self, request: web.Request) -> str:
        token = bearer(request.headers)
        if token is None:
            raise Refusal(no_key())
        account = self.desk.holder(self.provider, token)
        if account is None:
            raise Refusal(wrong_key())
        return account

    def _limit(self, account: str) -> None:
        """Windows: "requests" and "tokens" (a minute), "credit" (nothing mends it)."""
        now = self.desk.now()
        allowance = self.desk.allowance(self.provider)
        if allowance.exhausted(account, ("credit",), now):
            text = (
                "You exceeded your current quota, please check your plan and billing details. For "
                "more information on this error, read the docs: "
                "https://platform.openai.com/docs/guides/error-codes/api-errors."
            )
            code = "insufficient_quota"
            raise Refusal(openai_refusal(429, text, code=code, kind="insufficient_quota"))
        spent = allowance.exhausted(account, tuple(LIMITS), now)
        if spent is not None:
            wait = max(spent.resets_at - now, 0.001)
            text = f"Rate limit reached. Please try again in {go_duration(round(wait, 3))}."
            headers = {**self._figures(account), "retry-after": str(max(round(wait), 1))}
            raise Refusal(
                openai_refusal(
                    429, text, code="rate_limit_exceeded", kind="tokens", headers=headers
                )
            )

    def _figures(self, account: str) -> dict[str, str]:
        now = self.desk.now()
        headers = {
            "x-request-id": "req_" + new_id(),
            "openai-organization": f"org-{account}",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
        }
        for name, limit in LIMITS.items():
            window = self.desk.allowance(self.provider).of(
                account, name, default_reset=now + _MINUTE
            )
            headers |= {
                f"x-ratelimit-limit-{name}": str(limit),
                f"x-ratelimit-remaining-{name}": str(round(limit * (1 - window.used))),
                f"x-ratelimit-reset-{name}": go_duration(max(round(window.resets_at - now, 3), 0)),
            }
        return headers


def model_row(model: DemoModel) -> JsonObject:
    return {"id": model.id, "object": "model", "created": 1_760_000_000, "owned_by": "system"}
