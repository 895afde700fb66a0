"""The embedded Cloud Code upstream: Google's sign-in, quota and generation on one loopback port.

HTTP only; what is answered is decided in the modules beside it. Every API path is also served
below a first path segment (`/daily/v1internal:...`), so that one upstream can play several hosts.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from aiohttp import web

from mcp_proxy.demo import control, refusals
from mcp_proxy.demo.answers import json_answer, refusing, whole_answer
from mcp_proxy.demo.backend import Backend, Performance
from mcp_proxy.demo.delivery import Delivery, deliver
from mcp_proxy.demo.faults import (
    FAULT_KINDS,
    Dropped,
    Fault,
    FaultKind,
    FaultQueue,
    altered_delivery,
    altered_turn,
    answer_of,
    silence,
)
from mcp_proxy.demo.generation import prompt_tokens
from mcp_proxy.demo.identity import DemoAccount
from mcp_proxy.demo.records import document, stream
from mcp_proxy.demo.refusals import JsonObject, Refusal
from mcp_proxy.demo.script import directives
from mcp_proxy.demo.validate import check_meaning, check_shape
from mcp_proxy.strict_json import decode

MAX_BODY = 128 * 1024 * 1024
"""Bytes; more than the proxy ever forwards."""

OLDEST_CLIENT = (2, 9, 0)
"""Versions of the app before this one are turned away (1.3)."""

_REMEMBERED = 1_000
_CLIENT = re.compile(r"\bantigravity/(?:hub/)?(\d+)\.(\d+)\.(\d+)")

TWO_ACCOUNTS = (DemoAccount("ada"), DemoAccount("grace", rotates=True))


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One API call as it came in."""

    path: str
    headers: Mapping[str, str]
    body: JsonObject
    account: str


@dataclass(frozen=True, slots=True)
class _Call:
    account: DemoAccount
    body: JsonObject
    fault: Fault | None


class DemoUpstream:
    """A Cloud Code upstream: `async with DemoUpstream() as upstream: upstream.url`."""

    def __init__(
        self,
        accounts: Iterable[DemoAccount] = TWO_ACCOUNTS,
        *,
        now: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
        records_calls: bool = True,
        validates: bool = True,
        calls_per_bucket: int = 50,
        quota_window: float = 5 * 3600.0,
    ) -> None:
        """`records_calls`: keep the latest calls in `requests`. `validates`: refuse what the real
        one refuses. A benchmark does without both."""
        self.backend = Backend(
            accounts, now=now, calls_per_bucket=calls_per_bucket, quota_window=quota_window
        )
        self.identity = self.backend.identity
        self.quota = self.backend.quota
        self.requests: deque[RecordedCall] = deque(maxlen=_REMEMBERED if records_calls else 0)
        self.faults = FaultQueue()
        self.url = ""
        self._validates = validates
        self._where = (host, port)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[refusing])
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._where)
        await site.start()
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

    def play(self, *faults: Fault) -> None:
        """Queues faults for the next calls that match them."""
        for fault in faults:
            self.faults.put(fault)

    def refresh_token(self, account: str) -> str:
        """The one that is good now."""
        return self.identity.refresh_token(account)

    def _routes(self) -> list[web.RouteDef]:
        handlers = {
            "loadCodeAssist": self._load_code_assist,
            "onboardUser": self._onboard_user,
            "fetchAvailableModels": self._fetch_available_models,
            "streamGenerateContent": self._stream_generate_content,
            "generateContent": self._generate_content,
            "countTokens": self._count_tokens,
        }
        return [
            web.post("/token", self._token),
            web.get("/auth", self._auth),
            web.get("/control", self._report),
            web.post("/control", self._control),
            web.get("/oauth2/{version:v[12]}/userinfo", self._userinfo),
            *(
                web.post(f"{prefix}/v1internal:{verb}", handler)
                for verb, handler in handlers.items()
                for prefix in ("", "/{host:[a-z-]+}")
            ),
        ]

    async def _control(self, request: web.Request) -> web.StreamResponse:
        try:
            control.apply(decode(await request.read()), self.backend, self.faults)
        except ValueError as wrong:
            return whole_answer(refusals.invalid(str(wrong)))
        return await self._report(request)

    async def _report(self, _request: web.Request) -> web.StreamResponse:
        return json_answer(control.report(self.backend, self.faults))

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        account = self.identity.holder(form.get("refresh_token", ""))
        await self._struck(request, account, None)
        return json_answer(self.identity.token(form, self.backend.now()))

    async def _auth(self, request: web.Request) -> web.StreamResponse:
        """The consent page, with a browser that clicks yes."""
        code = self.identity.consent(request.query, request.query.get("login_hint"))
        back = {"state": request.query.get("state", ""), "code": code, "scope": "openid"}
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{urlencode(back)}")

    async def _userinfo(self, request: web.Request) -> web.StreamResponse:
        account = self._signed_in(request)
        return json_answer({"id": account.id, "email": account.mail, "verified_email": True})

    async def _load_code_assist(self, request: web.Request) -> web.StreamResponse:
        call = await self._received(request)
        return json_answer(self.backend.load_code_assist(call.account, call.body))

    async def _onboard_user(self, request: web.Request) -> web.StreamResponse:
        call = await self._received(request)
        return json_answer(self.backend.onboard_user(call.account, call.body))

    async def _fetch_available_models(self, request: web.Request) -> web.StreamResponse:
        call = await self._received(request)
        return json_answer(self.backend.fetch_available_models(call.account, call.body))

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        call = await self._received(request)
        check_shape(call.body, "Count")
        return json_answer({"totalTokens": prompt_tokens(call.body["request"])})

    async def _stream_generate_content(self, request: web.Request) -> web.StreamResponse:
        call = await self._received(request)
        done = self._generated(request, call)
        turn, asked, fault = done.turn, done.asked, call.fault or await self._wished(done)
        if fault is not None:
            turn = altered_turn(fault, turn)
        records = stream(turn, asked.model, thinks=asked.thinks, usage=done.usage)
        delivery = Delivery(records, pace=turn.pace)
        if fault is not None:
            delivery = altered_delivery(fault, delivery)
        return await deliver(request, delivery)

    async def _generate_content(self, request: web.Request) -> web.StreamResponse:
        done = self._generated(request, await self._received(request))
        body = document(done.turn, done.asked.model, thinks=done.asked.thinks, usage=done.usage)
        return web.Response(body=body, content_type="application/json")

    def _generated(self, request: web.Request, call: _Call) -> Performance:
        _check_client(request)
        if self._validates:
            check_shape(call.body, "Generate")
        model = self.backend.model(call.body)
        self.backend.check_project(call.account, call.body)
        if self._validates:
            check_meaning(call.body, model)
        self.backend.spend(call.account, model)
        return self.backend.perform(call.account, model, call.body["request"])

    async def _wished(self, done: Performance) -> Fault | None:
        """The fault that the prompt asks for (script.py)."""
        kind = directives(done.asked.prompt).get("fault", "")
        if kind not in FAULT_KINDS:
            return None
        fault = Fault(FaultKind(kind))
        await self._strike(fault, done.asked.model.id)
        return fault

    async def _received(self, request: web.Request) -> _Call:
        """Who calls, and with what. Refusal when the token is not good or the body not JSON."""
        account = self._signed_in(request)
        try:
            body = decode(await request.read())
        except ValueError as cause:
            raise Refusal(refusals.invalid("Invalid JSON payload received.")) from cause
        if self.requests.maxlen:
            headers = dict(request.headers)
            self.requests.append(RecordedCall(request.path_qs, headers, body, account.id))
        fault = await self._struck(request, account.id, body.get("model"))
        return _Call(account, body, fault)

    async def _struck(
        self, request: web.Request, account: str | None, model: str | None
    ) -> Fault | None:
        """The fault that waits for this call, when it does not end it."""
        fault = self.faults.take(request.path, account, model) if self.faults else None
        if fault is not None:
            await self._strike(fault, model)
        return fault

    async def _strike(self, fault: Fault, model: str | None) -> None:
        """Does what a fault does before any answer; raises what ends the call."""
        answer = answer_of(fault, model, self.backend.now())
        if answer is not None:
            raise Refusal(answer)
        if fault.kind is FaultKind.RESET:
            raise Dropped
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(silence(fault))

    def _signed_in(self, request: web.Request) -> DemoAccount:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        account = self.identity.owner(token, self.backend.now())
        if account is None or scheme != "Bearer":
            raise Refusal(refusals.unauthenticated())
        return account


def _check_client(request: web.Request) -> None:
    """The headers that the real one minds (1.3)."""
    project = request.headers.get("x-goog-user-project")
    if project is not None:
        raise Refusal(refusals.foreign_quota_project(project))
    if "x-api-key" in request.headers or "x-goog-api-key" in request.headers:
        raise Refusal(refusals.api_key_refused())
    version = _CLIENT.search(request.headers.get("user-agent", ""))
    if version is None or tuple(map(int, version.groups())) < OLDEST_CLIENT:
        raise Refusal(refusals.outdated_client())
