"""The Gemini API of Google AI Studio. Source: client-apis.md 4, providers.md 4."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.contents import (
    answer_contents,
    check_contents,
    count,
    google_refusal,
    over_quota,
)
from mcp_proxy.demo.places.models import GEMINI
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.strict_json import encode

PER_MINUTE = "per-minute"
PER_DAY = "per-day"

_KEY_INVALID: JsonObject = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}


class GeminiPlace(Place):
    provider: ClassVar[str] = "gemini"
    prefix: ClassVar[str] = "/gemini"
    key_prefix: ClassVar[str] = "AIza"

    def routes(self) -> list[web.RouteDef]:
        models = "/{version:v1(?:beta)?}/models"
        return [
            self.post(models + "/{model:[^/:]+}:generateContent", self._whole),
            self.post(models + "/{model:[^/:]+}:streamGenerateContent", self._streamed),
            self.post(models + "/{model:[^/:]+}:countTokens", self._count),
            self.get(models, self._models),
            self.get(models + "/{model:[^/:]+}", self._model),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return google_refusal(status, message)

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        return await self._generate(request, streamed=False)

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._generate(request, streamed=True)
        except Refusal as refusal:
            if request.query.get("alt") == "sse":
                raise
            # A stream that is a list is one in failure, too (providers.md 4).
            answer = refusal.answer
            return web.Response(
                status=answer.status,
                body=b"[" + encode(answer.body) + b"]",
                headers=answer.headers,
                content_type="application/json",
            )

    async def _generate(self, request: web.Request, *, streamed: bool) -> web.StreamResponse:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        model = self._asked_for(request)
        self._limit(account, model)
        check_contents(body, model)
        return await answer_contents(
            request,
            self.desk,
            body,
            model,
            provider=self.provider,
            account=account,
            streamed=streamed,
        )

    async def _count(self, request: web.Request) -> web.StreamResponse:
        body = await self.body(request, self._caller(request))
        self._asked_for(request)
        return count(body)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        rows = listing(GEMINI, _row)
        start = int(request.query.get("pageToken") or 0)
        end = start + int(request.query.get("pageSize") or 50)
        answer: JsonObject = {"models": rows[start:end]}
        if end < len(rows):
            answer["nextPageToken"] = str(end)
        return json_answer(answer)

    async def _model(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        return json_answer(_row(self._asked_for(request)))

    def _asked_for(self, request: web.Request) -> DemoModel:
        name = request.match_info["model"]
        version = request.match_info["version"]
        text = (
            f"models/{name} is not found for API version {version}, or is not supported for "
            "generateContent. Call ListModels to see the list of available models and their "
            "supported methods."
        )
        return self.known(GEMINI, name, google_refusal(404, text))

    def _caller(self, request: web.Request) -> str:
        key = request.headers.get("x-goog-api-key") or request.query.get("key")
        if key is None:
            text = (
                "Method doesn't allow unregistered callers (callers without established identity). "
                "Please use API Key or other form of API consumer identity to call this API."
            )
            raise Refusal(google_refusal(403, text))
        account = self.desk.holder(self.provider, key)
        if account is None:
            text = "API key not valid. Please pass a valid API key."
            raise Refusal(google_refusal(400, text, [_KEY_INVALID]))
        return account

    def _limit(self, account: str, model: DemoModel) -> None:
        now = self.desk.now()
        for window in (PER_DAY, PER_MINUTE):
            spent = self.desk.allowance(self.provider).exhausted(account, (window,), now)
            if spent is not None:
                seconds = spent.resets_at - now
                raise Refusal(over_quota(model, per_day=window == PER_DAY, seconds=seconds))


def _row(model: DemoModel) -> JsonObject:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name,
        "inputTokenLimit": model.window,
        "outputTokenLimit": model.max_output,
        "supportedGenerationMethods": [
            "generateContent",
            "streamGenerateContent",
            "countTokens",
        ],
        "thinking": model.budgets is not None,
    }
