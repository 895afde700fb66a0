"""Vertex AI: Google's and Anthropic's models of one project. Source: providers.md 5."""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.contents import (
    answer_contents,
    check_contents,
    count,
    google_refusal,
)
from mcp_proxy.demo.places.desk import Desk, bearer
from mcp_proxy.demo.places.google_tokens import GoogleTokens
from mcp_proxy.demo.places.messages import (
    answer_messages,
    betas_of,
    check_messages,
    counted,
    messages_refusal,
)
from mcp_proxy.demo.places.models import GEMINI, VERTEX_CLAUDE, Models
from mcp_proxy.demo.places.place import Place
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal, unauthenticated

MINUTE = "per-minute"

_VERSIONS = ("vertex-2023-10-16", "2026-10-21")
_BETAS = frozenset(
    {
        "interleaved-thinking-2025-05-14",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "advanced-tool-use-2025-11-20",
    }
)
_PARENT = "/{version:v1(?:beta1)?}/projects/{project}/locations/{location}/publishers"


class VertexPlace(Place):
    provider: ClassVar[str] = "vertex"
    prefix: ClassVar[str] = "/vertex"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.tokens = GoogleTokens(
            desk.now, lambda account, token: desk.accept(self.provider, account, token)
        )
        self.projects: dict[str, str] = {}
        """Account -> the project that it may use."""

    def routes(self) -> list[web.RouteDef]:
        google = _PARENT + "/google/models/{model:[^/:]+}"
        claude = _PARENT + "/anthropic/models/{model:[^/:]+}"
        return [
            self.post(google + ":generateContent", self._whole),
            self.post(google + ":streamGenerateContent", self._streamed),
            self.post(google + ":countTokens", self._count),
            self.post(_PARENT + "/anthropic/models/count-tokens:rawPredict", self._count_messages),
            self.post(claude + ":rawPredict", self._raw),
            self.post(claude + ":streamRawPredict", self._raw),
            *self.tokens.routes(),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return google_refusal(status, message)

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        return await self._contents(request, streamed=False)

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        return await self._contents(request, streamed=True)

    async def _contents(self, request: web.Request, *, streamed: bool) -> web.StreamResponse:
        account, body = await self._generation(request)
        model = self._asked_for(request, GEMINI)
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
        self._asked_for(request, GEMINI)
        return count(body)

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        account, body = await self._generation(request)
        model = self._asked_for(request, VERTEX_CLAUDE)
        _check_raw(request, body)
        message = {name: value for name, value in body.items() if name != "anthropic_version"}
        check_messages(message, model, betas=betas_of(request))
        return await answer_messages(
            request, self.desk, message, model, provider=self.provider, account=account
        )

    async def _count_messages(self, request: web.Request) -> web.StreamResponse:
        body = await self.body(request, self._caller(request))
        name = body.get("model")
        self.known(VERTEX_CLAUDE, name, messages_refusal(404, f"model: {name}"))
        return counted(body)

    async def _generation(self, request: web.Request) -> tuple[str, JsonObject]:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        if self.desk.allowance(self.provider).exhausted(account, (MINUTE,), self.desk.now()):
            # Shared quota: nothing says for how long.
            text = "Resource exhausted. Please try again later."
            raise Refusal(google_refusal(429, text))
        return account, body

    def _asked_for(self, request: web.Request, models: Models) -> DemoModel:
        text = (
            f"Publisher Model `{request.path.rpartition(':')[0].partition('projects')[2]}` was not "
            "found or your project does not have access to it. Please ensure you are using a "
            "valid model version."
        )
        return self.known(models, request.match_info["model"], google_refusal(404, text))

    def _caller(self, request: web.Request) -> str:
        account = self.desk.holder(self.provider, bearer(request.headers))
        if account is None:
            raise Refusal(unauthenticated())
        project = request.match_info["project"]
        if project != self.projects.get(account):
            text = (
                "Permission 'aiplatform.endpoints.predict' denied on resource "
                f"'//aiplatform.googleapis.com/projects/{project}' (or it may not exist)."
            )
            raise Refusal(google_refusal(403, text))
        return account


def _check_raw(request: web.Request, body: JsonObject) -> None:
    """What differs from Anthropic's own API (providers.md 5)."""
    if "model" in body:
        raise Refusal(messages_refusal(400, "model: Extra inputs are not permitted"))
    if body.get("anthropic_version") not in _VERSIONS:
        raise Refusal(messages_refusal(400, "anthropic_version: Field required"))
    is_streamed = request.path.endswith(":streamRawPredict")
    if bool(body.get("stream")) != is_streamed:
        text = "stream: does not agree with the method that was called"
        raise Refusal(messages_refusal(400, text))
    for beta in sorted(betas_of(request) - _BETAS):
        text = f"Unexpected value(s) `{beta}` for the `anthropic-beta` header."
        raise Refusal(messages_refusal(400, text))
