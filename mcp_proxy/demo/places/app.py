"""Every other provider's API on one loopback port: `async with DemoPlaces() as places`."""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.answers import refusing
from mcp_proxy.demo.cloudcode import MAX_BODY
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.places import codex_tokens, github, google_tokens
from mcp_proxy.demo.places.allowance import Allowance
from mcp_proxy.demo.places.anthropic import AnthropicPlace
from mcp_proxy.demo.places.codex import CodexPlace
from mcp_proxy.demo.places.compatible import CompatiblePlace
from mcp_proxy.demo.places.copilot import CopilotPlace
from mcp_proxy.demo.places.desk import Desk, RecordedCall
from mcp_proxy.demo.places.gemini import GeminiPlace
from mcp_proxy.demo.places.openai import OpenAiPlace
from mcp_proxy.demo.places.place import Place
from mcp_proxy.demo.places.vertex import VertexPlace
from mcp_proxy.demo.places.zai import ZaiPlace
from mcp_proxy.demo.refusals import Answer
from mcp_proxy.providers import ProviderSettings


class DemoPlaces:
    """The places of all providers but Antigravity."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.desk = Desk(now)
        self.url = ""
        self.compatible = CompatiblePlace(self.desk)
        self.codex = CodexPlace(self.desk)
        self.copilot = CopilotPlace(self.desk)
        self.vertex = VertexPlace(self.desk)
        places: tuple[Place, ...] = (
            AnthropicPlace(self.desk),
            ZaiPlace(self.desk),
            OpenAiPlace(self.desk),
            self.compatible,
            GeminiPlace(self.desk),
            self.vertex,
            self.codex,
            self.copilot,
        )
        self._places = {place.provider: place for place in places}
        self._credentials = {
            "codex": self._codex_credential,
            "copilot": self._copilot_credential,
            "vertex": self._vertex_credential,
        }
        self._runner: web.AppRunner | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="mcproxy-places-")

    @property
    def requests(self) -> deque[RecordedCall]:
        """The latest calls, oldest first."""
        return self.desk.requests

    @property
    def hung_up(self) -> deque[str]:
        """Providers whose clients went away in the middle of an answer."""
        return self.desk.hung_up

    @property
    def directory(self) -> Path:
        """Files that sign-ins need; gone with the places."""
        return Path(self._directory.name)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[refusing])
        for place in self._places.values():
            app.add_routes(place.routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._directory.cleanup()

    def settings(self) -> dict[str, ProviderSettings]:
        """`[providers.NAME]` of every place."""
        found = {
            name: ProviderSettings(base_urls=(self.url + place.prefix,))
            for name, place in self._places.items()
        }
        sign_ins = {
            "codex": (
                codex_tokens.PREFIX + "/oauth/authorize",
                codex_tokens.PREFIX + "/oauth/token",
            ),
            "copilot": (github.DEVICE, github.EXCHANGE),
            "vertex": (None, google_tokens.PATH),
        }
        for name, (page, token) in sign_ins.items():
            found[name] = replace(
                found[name],
                auth_url=None if page is None else self.url + page,
                token_url=self.url + token,
            )
        return found

    def account(self, provider: str, id: str | None = None, **fields: Any) -> Account:  # noqa: A002
        """An account that is signed in there. `fields`: further ones of `Account`."""
        identifier = id or f"demo-{provider}"
        make = self._credentials.get(provider)
        if make is not None:
            return Account(identifier, provider, **{**make(identifier), **fields})
        key = self._places[provider].new_key(identifier)
        credential = Credential(api_key=Secret(key))
        if provider == self.compatible.provider:
            fields = {"base_url": self.url + self.compatible.prefix, **fields}
        return Account(identifier, provider, **{"credential": credential, **fields})

    def play(self, provider: str, answer: Answer, times: int = 1) -> None:
        """Queues an answer for the next generations of a provider."""
        self.desk.play(provider, answer, times)

    def play_stream(
        self, provider: str, records: Sequence[bytes], times: int = 1, *, silence: float = 0.0
    ) -> None:
        """Queues the raw bytes of a streamed answer, each handed to the socket on its own.

        `silence`: seconds before the last of them.
        """
        last = len(records) - 1
        delivery = Delivery(list(records), flushes=True, stall_at=last, stall=silence)
        self.desk.play(provider, delivery, times)

    def reject(self, *fields: str) -> None:
        """Top-level fields that the compatible server answers with a 400 from now on."""
        self.compatible.rejected |= set(fields)

    def quota(self, provider: str) -> Allowance:
        """What is used of the provider's windows, to be set."""
        return self.desk.allowance(provider)

    def _codex_credential(self, account: str) -> dict[str, Any]:
        token = Secret(self.codex.tokens.refresh_token(account))
        workspace = codex_tokens.workspace_of(account)
        return {"credential": Credential(refresh_token=token), "workspace": workspace}

    def _copilot_credential(self, account: str) -> dict[str, Any]:
        token = Secret(self.copilot.github.new_token(account))
        return {"credential": Credential(refresh_token=token)}

    def _vertex_credential(self, account: str) -> dict[str, Any]:
        project = f"demo-project-{account}"
        self.vertex.projects[account] = project
        file = self.vertex.tokens.service_account_file(
            account, project, url=self.url, directory=self.directory
        )
        credential = Credential(file=str(file))
        return {"credential": credential, "project": project, "location": "us-central1"}
