"""OpenAI's sign-in for ChatGPT accounts: page, codes, tokens, the device flow.

Refresh tokens are good once; access tokens are JSON web tokens with the claims that clients read.
Source: providers.md 7.1-7.3.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.identity import s256
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.strict_json import decode, encode

CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
PREFIX = "/auth"
DEVICE_REDIRECT = "https://auth.openai.com/deviceauth/callback"
LIFETIME = 10 * 24 * 3600
POLLS = 1
"""Looks of the device flow that find nobody has typed the code."""

_DEVICE = "/api/accounts/deviceauth"


class _Code(NamedTuple):
    account: str
    redirect_uri: str
    challenge: str


class CodexTokens:
    """`accept(account, token)` is told of every access token that is good."""

    def __init__(self, now: Callable[[], float], accept: Callable[[str, str], None]) -> None:
        self._now = now
        self._accept = accept
        self.logs_in = "demo-codex"
        """Whose login the page and the device flow give."""
        self.refreshes: dict[str, int] = {}
        """Refresh tokens traded in, per account."""
        self.outage: Answer | None = None
        """While set, all that the token endpoint answers."""
        self._current: dict[str, str] = {}
        self._used: set[str] = set()
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, int] = {}

    def routes(self) -> list[web.RouteDef]:
        device = [
            route
            for prefix in (PREFIX, "")
            for route in (
                web.post(prefix + _DEVICE + "/usercode", self._user_code),
                web.post(prefix + _DEVICE + "/token", self._device_token),
            )
        ]
        return [
            web.get(PREFIX + "/oauth/authorize", self._authorize),
            web.post(PREFIX + "/oauth/token", self._token),
            *device,
        ]

    def refresh_token(self, account: str) -> str:
        """A fresh one."""
        token = f"rt_demo-{account}-{secrets.token_urlsafe(16)}"
        self._current[token] = account
        return token

    def access_token(self, account: str) -> str:
        """A fresh one, accepted by the place."""
        now = int(self._now())
        profile = {"email": f"{account}@example.com", "email_verified": True}
        token = _jwt(
            {
                "iss": "https://auth.openai.com",
                "iat": now,
                "exp": now + LIFETIME,
                "jti": secrets.token_hex(8),
                "https://api.openai.com/profile": profile,
                "https://api.openai.com/auth": _claims(account),
            }
        )
        self._accept(account, token)
        return token

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        """The page, with a browser that clicks yes."""
        query = request.query
        if query.get("client_id") != CLIENT_ID or query.get("code_challenge_method") != "S256":
            raise Refusal(_denied(400, "invalid_request", "unknown client or no S256 challenge"))
        if not query["redirect_uri"].startswith("http://localhost:"):
            raise Refusal(_denied(400, "invalid_request", "redirect_uri is not registered"))
        code = self._new_code(query["redirect_uri"], query["code_challenge"])
        back = urlencode({"code": code, "state": query.get("state", "")})
        raise web.HTTPFound(f"{query['redirect_uri']}?{back}")

    async def _token(self, request: web.Request) -> web.StreamResponse:
        if self.outage is not None:
            raise Refusal(self.outage)
        form = await _fields(request)
        if form.get("client_id") != CLIENT_ID:
            raise Refusal(_denied(401, "invalid_client", "Unknown client."))
        match form.get("grant_type"):
            case "authorization_code":
                account = self._exchanged(form)
            case "refresh_token":
                account = self._traded(form.get("refresh_token", ""))
            case other:
                raise Refusal(_denied(400, "unsupported_grant_type", f"{other}"))
        return json_answer(self._answer(account))

    async def _user_code(self, request: web.Request) -> web.StreamResponse:
        if (await _fields(request)).get("client_id") != CLIENT_ID:
            raise Refusal(_denied(404, "not_found", "Device sign-in is not enabled."))
        handle = secrets.token_hex(12)
        self._devices[handle] = POLLS
        return json_answer({"device_auth_id": handle, "user_code": "DEMO-CODE", "interval": "1"})

    async def _device_token(self, request: web.Request) -> web.StreamResponse:
        handle = (await _fields(request)).get("device_auth_id", "")
        if handle not in self._devices:
            raise Refusal(_denied(404, "not_found", "Unknown device."))
        if self._devices[handle] > 0:
            self._devices[handle] -= 1
            raise Refusal(_denied(403, "authorization_pending", "Nobody has typed the code."))
        del self._devices[handle]
        verifier = secrets.token_urlsafe(48)
        challenge = s256(verifier)
        return json_answer(
            {
                "authorization_code": self._new_code(DEVICE_REDIRECT, challenge),
                "code_verifier": verifier,
                "code_challenge": challenge,
            }
        )

    def _new_code(self, redirect_uri: str, challenge: str) -> str:
        code = "ac_" + secrets.token_urlsafe(24)
        self._codes[code] = _Code(self.logs_in, redirect_uri, challenge)
        return code

    def _exchanged(self, form: Mapping[str, str]) -> str:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or form.get("redirect_uri") != code.redirect_uri:
            raise Refusal(_denied(400, "invalid_grant", "The code is not valid."))
        if s256(form.get("code_verifier", "")) != code.challenge:
            raise Refusal(_denied(400, "invalid_grant", "The verifier is not valid."))
        return code.account

    def _traded(self, token: str) -> str:
        if token in self._used:
            text = "Your refresh token has already been used to generate a new access token."
            raise Refusal(_denied(401, "refresh_token_reused", text))
        account = self._current.pop(token, None)
        if account is None:
            text = "Your session has ended. Please log in again."
            raise Refusal(_denied(401, "refresh_token_invalidated", text))
        self._used.add(token)
        self.refreshes[account] = self.refreshes.get(account, 0) + 1
        return account

    def _answer(self, account: str) -> JsonObject:
        identity = {
            "email": f"{account}@example.com",
            "exp": int(self._now()) + LIFETIME,
            "https://api.openai.com/auth": _claims(account),
        }
        return {
            "id_token": _jwt(identity),
            "access_token": self.access_token(account),
            "refresh_token": self.refresh_token(account),
            "token_type": "Bearer",
            "expires_in": LIFETIME,
        }


def workspace_of(account: str) -> str:
    """ChatGPT's account id, a UUID there too."""
    digits = hashlib.sha256(account.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def _claims(account: str) -> JsonObject:
    return {
        "chatgpt_account_id": workspace_of(account),
        "chatgpt_plan_type": "plus",
        "chatgpt_user_id": f"user-{account}",
        "chatgpt_account_is_fedramp": False,
        "organizations": [],
    }


def _jwt(claims: JsonObject) -> str:
    """Unsigned in effect: nobody here checks who made it."""
    parts = (encode({"alg": "RS256", "typ": "JWT"}), encode(claims), secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def _fields(request: web.Request) -> dict[str, str]:
    """A form or a JSON object; the endpoints take both."""
    if request.content_type == "application/json":
        try:
            return dict(decode(await request.read()))
        except ValueError as cause:
            raise Refusal(_denied(400, "invalid_request", "The body is not JSON.")) from cause
    return {key: str(value) for key, value in (await request.post()).items()}


def _denied(status: int, code: str, message: str) -> Answer:
    kind = "invalid_request_error"
    return Answer(status, {"error": {"message": message, "type": kind, "code": code}})
