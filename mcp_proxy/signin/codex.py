"""Signing in to ChatGPT as the Codex CLI does: through a browser, or by a code typed on a page.

protocols/providers.md 7.1 and 7.2. The login is our own, so renewing it disturbs nobody else.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlencode

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.jwt_claims import expiry_of
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.providers.codex import CLIENT_ID, TOKEN_URL
from mcp_proxy.providers.details import scrubbed
from mcp_proxy.providers.error_bodies import read_error_body
from mcp_proxy.providers.loose_json import JsonObject, number, object_or_empty, text
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.signin.asking import Send
from mcp_proxy.signin.codex_claims import Identity, identity_of
from mcp_proxy.signin.device import DeviceCode, Pending, wait_for
from mcp_proxy.signin.http import Answer
from mcp_proxy.signin.http import send as send_once
from mcp_proxy.signin.pkce import ProofKey
from mcp_proxy.strict_json import encode

SCOPE: Final = "openid profile email offline_access"

CALLBACK_PORTS: Final = (1455, 1457)
"""The only two that are registered with the client."""
CALLBACK_PATH: Final = "/auth/callback"

_TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
_DEVICE_PATH: Final = "/api/accounts/deviceauth"
_DEVICE_REDIRECT: Final = "https://auth.openai.com/deviceauth/callback"
"""Registered with the client, whichever server is asked."""
_DEVICE_LIFETIME: Final = 900.0
_DEVICE_INTERVAL: Final = 5.0
_DEFAULT_LIFETIME: Final = 3600.0


class CodexGrant(NamedTuple):
    refresh_token: Secret
    access_token: Secret
    expires_in: float
    identity: Identity
    """Account id, e-mail address and plan, as the tokens say."""


class CodexSignIn:
    """Through a browser: `url` to visit, then `finish` with the code."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        redirect_uri: str,
        state: str,
        proxy: str | None = None,
        send: Send = send_once,
    ) -> None:
        self._endpoint = _Endpoint(settings, proxy, send)
        self._redirect_uri = redirect_uri
        self._key = ProofKey.fresh()
        query = {
            "response_type": "code",
            "client_id": self._endpoint.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": state,
            "code_challenge": self._key.challenge,
            "code_challenge_method": "S256",
            "id_token_add_organizations": "true",
            "codex_cli_simplified_flow": "true",
        }
        page = settings.auth_url or f"{self._endpoint.issuer}/oauth/authorize"
        self.url = f"{page}?{urlencode(query)}"

    def finish(self, code: str) -> CodexGrant:
        """Trade the code for tokens. UserError when OpenAI refuses."""
        return self._endpoint.trade(code, self._key.verifier, self._redirect_uri)


class CodexDeviceSignIn:
    """By a code that is typed on a page elsewhere: `start`, show it, `wait`."""

    def __init__(
        self, settings: ProviderSettings, *, proxy: str | None = None, send: Send = send_once
    ) -> None:
        self._endpoint = _Endpoint(settings, proxy, send)

    def start(self) -> DeviceCode:
        """A fresh code. UserError when the account may not sign in this way."""
        asked = {"client_id": self._endpoint.client_id}
        reply = self._endpoint.posted(f"{_DEVICE_PATH}/usercode", encode(asked))
        answer = object_or_empty(reply.body)
        handle = text(answer.get("device_auth_id"))
        user_code = text(answer.get("user_code")) or text(answer.get("usercode"))
        if reply.status == 404 or handle is None or user_code is None:
            raise UserError(
                f"OpenAI gave no code to type{_reason(reply)}. Sign in with a browser instead:"
                " mcproxy accounts add --provider codex"
            )
        return DeviceCode(
            user_code,
            f"{self._endpoint.issuer}/codex/device",
            Secret(handle),
            interval=_seconds(answer.get("interval")) or _DEVICE_INTERVAL,
            lifetime=_DEVICE_LIFETIME,
        )

    def wait(
        self,
        code: DeviceCode,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> CodexGrant:
        """The tokens, once the code has been typed. UserError when it was refused or ran out."""
        granted = wait_for(code, lambda: self._look(code), clock=clock, pause=pause)
        authorization, verifier = (
            text(granted.get("authorization_code")),
            text(granted.get("code_verifier")),
        )
        if authorization is None or verifier is None:
            raise UserError("OpenAI's answer has no code in it; nothing was added. Try again.")
        return self._endpoint.trade(authorization, verifier, _DEVICE_REDIRECT)

    def _look(self, code: DeviceCode) -> JsonObject | Pending:
        asked = {"device_auth_id": code.handle.value, "user_code": code.user_code}
        reply = self._endpoint.posted(f"{_DEVICE_PATH}/token", encode(asked))
        if reply.status == 200:
            return object_or_empty(reply.body)
        if reply.status in (403, 404) or reply.status >= 500:
            return Pending()
        raise UserError(f"OpenAI refused the sign-in{_reason(reply)}; nothing was added")


class _Endpoint:
    """OpenAI's sign-in server."""

    def __init__(self, settings: ProviderSettings, proxy: str | None, send: Send) -> None:
        self._token_url = settings.token_url or TOKEN_URL
        self.issuer = self._token_url.removesuffix(_TOKEN_PATH)
        self.client_id = settings.client_id or CLIENT_ID
        self._proxy = proxy
        self._send = send

    def posted(self, path: str, body: bytes) -> Answer:
        return self._post(self.issuer + path, body, "application/json")

    def trade(self, code: str, verifier: str, redirect_uri: str) -> CodexGrant:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        body = urlencode(form).encode()
        reply = self._post(self._token_url, body, "application/x-www-form-urlencoded")
        answer = object_or_empty(reply.body)
        if reply.status != 200 or text(answer.get("access_token")) is None:
            raise UserError(f"OpenAI refused the sign-in{_reason(reply)}. Try again.")
        return _grant(answer)

    def _post(self, url: str, body: bytes, kind: str) -> Answer:
        headers = {"Accept": "application/json", "Content-Type": kind, "User-Agent": USER_AGENT}
        call = UpstreamCall(url=url, headers=headers, body=body, proxy=self._proxy)
        try:
            return self._send(call)
        except OSError as cause:
            raise UserError(f"the sign-in could not be finished: {cause}. Try again.") from cause


def _grant(answer: JsonObject) -> CodexGrant:
    refresh, access = text(answer.get("refresh_token")), str(answer["access_token"])
    if refresh is None:
        raise UserError(
            "OpenAI gave no refresh token, so the sign-in would end within days. Try again."
        )
    identity = identity_of(text(answer.get("id_token")) or access, access)
    if identity.workspace is None:
        raise UserError(
            "this login has no ChatGPT account that Codex can be used with; nothing was added"
        )
    return CodexGrant(Secret(refresh), Secret(access), _lifetime(answer, access), identity)


def _lifetime(answer: JsonObject, access: str) -> float:
    told = number(answer.get("expires_in"))
    ends_at = expiry_of(access)
    if told is not None or ends_at is None:
        return told or _DEFAULT_LIFETIME
    return max(ends_at - time.time(), 0.0)


def _seconds(value: object) -> float | None:
    """OpenAI writes the interval as text."""
    return float(value) if isinstance(value, str) and value.isdecimal() else number(value)


def _reason(reply: Answer) -> str:
    """The server's own words; error bodies of this endpoint come in several shapes."""
    error = read_error_body(reply.status, reply.body)
    said = scrubbed(str(error.fields.get("error_description") or error.message or error.code))
    return f": {said}" if said and not said.startswith("<") else f" (it answered {reply.status})"
