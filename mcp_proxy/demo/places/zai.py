"""Z.AI's Anthropic-compatible endpoint and its quota page. Source: providers.md 1."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.desk import bearer
from mcp_proxy.demo.places.messages import answer_messages, check_messages
from mcp_proxy.demo.places.models import ZAI
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal

SESSION, WEEK, MONTH = "5h", "7d", "month"

_QUOTA_PATH = "/api/monitor/usage/quota/limit"
_HOUR = 3600.0
_WINDOWS = {
    SESSION: ({"type": "TOKENS_LIMIT", "unit": 3, "number": 5}, 5 * _HOUR),
    WEEK: ({"type": "TOKENS_LIMIT", "unit": 6, "number": 1}, 7 * 24 * _HOUR),
    MONTH: ({"type": "TIME_LIMIT", "unit": 5, "number": 1}, 30 * 24 * _HOUR),
}
_SPENT = {
    SESSION: ("1308", "Usage limit reached for 5 hour."),
    WEEK: ("1310", "Weekly/Monthly Limit Exhausted."),
}
_BEIJING = timedelta(hours=8)
"""Times in its texts are of this offset and do not say so."""


class ZaiPlace(Place):
    provider: ClassVar[str] = "zai"
    prefix: ClassVar[str] = "/zai/api/anthropic"
    key_prefix: ClassVar[str] = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/v1/messages", self._messages),
            self.get("/v1/models", self._models),
            # Beside the API on the real host; a replaced address may keep its path or not.
            web.get("/zai" + _QUOTA_PATH, self._quota),
            web.get(_QUOTA_PATH, self._quota),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return business(status, "1210", message)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        self._limit(account)
        if request.headers.get("anthropic-version") != "2023-06-01":
            raise Refusal(business(400, "1210", "anthropic-version is not supported"))
        if "anthropic-beta" in request.headers:
            raise Refusal(business(400, "1210", "anthropic-beta is not supported"))
        for tool in body.get("tools") or ():
            if "input_schema" not in tool:
                raise Refusal(business(400, "1210", f"tool {tool.get('type')} is not supported"))
        model = self._asked_for(body)
        check_messages(body, model, signer=None)
        return await answer_messages(
            request,
            self.desk,
            body,
            model,
            provider=self.provider,
            account=account,
            signer=None,
        )

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        return json_answer({"object": "list", "data": listing(ZAI, _row)})

    async def _quota(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        account = self.desk.holder(self.provider, key)
        if account is None:
            # A failure with HTTP 200 (providers.md 1).
            return json_answer({"code": 401, "success": False, "msg": "token expired or incorrect"})
        await self.body(request, account)
        limits = [self._figure(account, window) for window in _WINDOWS]
        data = {"level": "pro", "limits": limits}
        answer = {"code": 200, "success": True, "msg": "Operation successful", "data": data}
        return json_answer(answer)

    def _figure(self, account: str, window: str) -> JsonObject:
        labels, span = _WINDOWS[window]
        default = self.desk.now() + span
        found = self.desk.allowance(self.provider).of(account, window, default_reset=default)
        figure: JsonObject = {**labels, "percentage": round(found.used * 100)}
        if found.used:  # the time is left out until something was used
            figure["nextResetTime"] = int(found.resets_at * 1000)
        return figure

    def _limit(self, account: str) -> None:
        now = self.desk.now()
        for window, (code, text) in _SPENT.items():
            spent = self.desk.allowance(self.provider).exhausted(account, (window,), now)
            if spent is not None:
                moment = datetime.fromtimestamp(spent.resets_at, UTC) + _BEIJING
                reset = moment.strftime("%Y-%m-%d %H:%M:%S")
                raise Refusal(business(429, code, f"{text} Your limit will reset at {reset}"))

    def _asked_for(self, body: JsonObject) -> DemoModel:
        refusal = business(400, "1211", "Unknown Model, please check the model code.")
        return self.known(ZAI, body.get("model"), refusal)

    def _caller(self, request: web.Request) -> str:
        key = request.headers.get("x-api-key") or bearer(request.headers)
        account = self.desk.holder(self.provider, key)
        if account is None:
            raise Refusal(business(401, "1000", "Authentication Failed"))
        return account


def business(status: int, code: str, message: str) -> Answer:
    """An error with its business code."""
    return Answer(status, {"error": {"code": code, "message": message}})


def _row(model: DemoModel) -> JsonObject:
    return {
        "id": model.id,
        "display_name": model.name,
        "created_at": None,
        "type": "model",
        "object": "model",
        "created": 0,
        "owned_by": "z-ai",
    }
