"""The Anthropic API. Source: client-apis.md 1, providers.md 6."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places import messages_rules
from mcp_proxy.demo.places.desk import bearer
from mcp_proxy.demo.places.messages import (
    answer_messages,
    betas_of,
    check_messages,
    counted,
    messages_refusal,
    refuse_first,
)
from mcp_proxy.demo.places.models import ANTHROPIC
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal, iso

LIMITS = {
    "requests": 4_000,
    "tokens": 2_400_000,
    "input-tokens": 2_000_000,
    "output-tokens": 400_000,
}
"""Per minute."""

_MINUTE = 60.0
_NOT_COUNTED = frozenset({"max_tokens", "stream", "stop_sequences", "metadata"})


class AnthropicPlace(Place):
    provider: ClassVar[str] = "anthropic"
    prefix: ClassVar[str] = "/anthropic"
    key_prefix: ClassVar[str] = "sk-ant-api03-"

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/v1/messages", self._messages),
            self.post("/v1/messages/count_tokens", self._count),
            self.get("/v1/models", self._models),
            self.get("/v1/models/{model}", self._model),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return messages_refusal(status, message)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        self._limit(account)
        model = self._asked_for(body)
        check_messages(body, model, version=_version(request), betas=betas_of(request))
        return await answer_messages(
            request,
            self.desk,
            body,
            model,
            provider=self.provider,
            account=account,
            headers=self._figures(account),
        )

    async def _count(self, request: web.Request) -> web.StreamResponse:
        body = await self.body(request, self._caller(request))
        model = self._asked_for(body)
        for name in _NOT_COUNTED & body.keys():
            raise Refusal(messages_refusal(400, f"{name}: Extra inputs are not permitted"))
        refuse_first(
            body, model, version=_version(request), betas=betas_of(request), signer="claude"
        )
        return counted(body)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        limit = int(request.query.get("limit", "20"))
        rows = listing(ANTHROPIC, _row)
        after = request.query.get("after_id")
        start = [row["id"] for row in rows].index(after) + 1 if after else 0
        page = rows[start : start + limit]
        return json_answer(
            {
                "data": page,
                "has_more": start + limit < len(rows),
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            }
        )

    async def _model(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        return json_answer(_row(self._asked_for(dict(request.match_info))))

    def _asked_for(self, body: JsonObject) -> DemoModel:
        name = body.get("model")
        if name is None:
            raise Refusal(messages_refusal(400, "model: Field required"))
        return self.known(ANTHROPIC, name, messages_refusal(404, f"model: {name}"))

    def _caller(self, request: web.Request) -> str:
        """The account; Refusal without a good key and a known version."""
        key = request.headers.get("x-api-key") or bearer(request.headers)
        if key is None:
            raise Refusal(messages_refusal(401, "x-api-key header is required"))
        account = self.desk.holder(self.provider, key)
        if account is None:
            raise Refusal(messages_refusal(401, "invalid x-api-key"))
        version = request.headers.get("anthropic-version")
        if version is None:
            raise Refusal(messages_refusal(400, "anthropic-version: header is required"))
        if version not in messages_rules.VERSIONS:
            raise Refusal(
                messages_refusal(400, f'anthropic-version: "{version}" is not a valid version')
            )
        return account

    def _limit(self, account: str) -> None:
        now = self.desk.now()
        spent = self.desk.allowance(self.provider).exhausted(account, tuple(LIMITS), now)
        if spent is not None:
            headers = {"retry-after": str(max(round(spent.resets_at - now), 1))}
            text = "This request would exceed your organization's rate limit."
            figures = self._figures(account)
            raise Refusal(messages_refusal(429, text, headers={**figures, **headers}))

    def _figures(self, account: str) -> dict[str, str]:
        allowance = self.desk.allowance(self.provider)
        headers = {"anthropic-organization-id": f"org-{account}"}
        for name, limit in LIMITS.items():
            window = allowance.of(account, name, default_reset=self.desk.now() + _MINUTE)
            headers |= {
                f"anthropic-ratelimit-{name}-limit": str(limit),
                f"anthropic-ratelimit-{name}-remaining": str(round(limit * (1 - window.used))),
                f"anthropic-ratelimit-{name}-reset": iso(window.resets_at),
            }
        return headers


def _version(request: web.Request) -> str:
    return request.headers["anthropic-version"]


def _row(model: DemoModel) -> JsonObject:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": model.window,
        "max_tokens": model.max_output,
        "lifecycle": "active",
        "capabilities": None,
    }
