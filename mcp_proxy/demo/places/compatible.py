"""A plain server of the chat API, as Ollama is one. Source: providers.md 3.

It wants no key, forgives unknown fields, writes reasoning into `reasoning`. `rejected` holds
top-level fields that it is told to refuse, as older and smaller servers do.
"""

from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.places import chat_rules
from mcp_proxy.demo.places.chat import answer_chat
from mcp_proxy.demo.places.chat_writing import ChatStyle
from mcp_proxy.demo.places.desk import Desk, bearer, first
from mcp_proxy.demo.places.models import COMPATIBLE
from mcp_proxy.demo.places.openai import model_row
from mcp_proxy.demo.places.openai_errors import invalid, openai_refusal
from mcp_proxy.demo.places.place import Place, listing
from mcp_proxy.demo.refusals import Answer, Refusal

NOBODY = "anonymous"


class CompatiblePlace(Place):
    provider: ClassVar[str] = "openai-compatible"
    prefix: ClassVar[str] = "/compatible/v1"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.rejected: set[str] = set()
        self.lists_models = True

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/chat/completions", self._chat),
            self.get("/models", self._models),
        ]

    def refusal(self, status: int, message: str) -> Answer:
        return openai_refusal(status, message)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request)
        body = await self.body(request, account)
        self.desk.answer_played(self.provider)
        for rejected in sorted(self.rejected & body.keys()):
            raise Refusal(invalid(f"Unsupported parameter: '{rejected}'", rejected))
        name = body.get("model")
        text = f'model "{name}" not found, try pulling it first'
        model = self.known(COMPATIBLE, name, openai_refusal(404, text, kind="not_found_error"))
        first(chat_rules.common_problems(body))
        style = ChatStyle(reasoning="reasoning")
        return await answer_chat(
            request, self.desk, body, model, style, provider=self.provider, account=account
        )

    async def _models(self, request: web.Request) -> web.StreamResponse:
        await self.body(request, self._caller(request))
        if not self.lists_models:
            raise Refusal(Answer(404, "404 page not found"))
        return json_answer({"object": "list", "data": listing(COMPATIBLE, model_row)})

    def _caller(self, request: web.Request) -> str:
        """Whose key it is; anybody's and nobody's will do."""
        return self.desk.holder(self.provider, bearer(request.headers)) or NOBODY
