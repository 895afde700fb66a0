"""Signing in with GitHub by a code that is typed on its page (protocols/providers.md 8.1).

The token that comes of it is good until it is revoked; it is traded for Copilot's own by the
provider.
"""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.providers.copilot import GITHUB_API, github_api
from mcp_proxy.providers.details import scrubbed
from mcp_proxy.providers.loose_json import JsonObject, number, object_or_empty, text
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.signin.asking import Send
from mcp_proxy.signin.device import DeviceCode, Pending, wait_for
from mcp_proxy.signin.http import send as send_once

GITHUB: Final = "https://github.com"

CLIENT_ID: Final = "Iv1.b507a08c87ecfe98"
"""The public client of Copilot's own extension; which models there are depends on it."""

_DEVICE: Final = "/login/device/code"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_LIFETIME: Final = 899.0
_INTERVAL: Final = 5.0
_MARGIN: Final = 1.0
"""Seconds beside the interval; whoever is a moment early is told to slow down."""


class GitHubSignIn:
    """One sign-in: `start`, show the code, `wait`."""

    def __init__(
        self, settings: ProviderSettings, *, proxy: str | None = None, send: Send = send_once
    ) -> None:
        self._site, self._api = _addresses(settings)
        self._client_id = settings.client_id or CLIENT_ID
        self._proxy = proxy
        self._send = send

    def start(self) -> DeviceCode:
        """A fresh code. UserError when GitHub gives none."""
        try:
            answer = self._post(_DEVICE, {"client_id": self._client_id, "scope": "read:user"})
        except ConnectionError as cause:
            raise UserError(f"{cause}. Try again.") from cause
        handle, user_code = text(answer.get("device_code")), text(answer.get("user_code"))
        if handle is None or user_code is None:
            raise UserError(f"GitHub gave no code to sign in with{_reason(answer)}")
        return DeviceCode(
            user_code,
            text(answer.get("verification_uri")) or f"{self._site}/login/device",
            Secret(handle),
            interval=(number(answer.get("interval")) or _INTERVAL) + _MARGIN,
            lifetime=number(answer.get("expires_in")) or _LIFETIME,
        )

    def wait(
        self,
        code: DeviceCode,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> Secret:
        """The token, once the code has been typed. UserError when it was refused or ran out."""
        return wait_for(code, lambda: self._look(code), clock=clock, pause=pause)

    def login_of(self, token: Secret) -> str | None:
        """Whose token it is, for people; None when GitHub does not say."""
        call = UpstreamCall(
            url=f"{self._api}/user",
            headers={**_HEADERS, "Authorization": f"token {token.value}"},
            body=b"",
            method="GET",
            proxy=self._proxy,
            secrets=(token,),
        )
        try:
            return text(object_or_empty(self._send(call).body).get("login"))
        except OSError:
            return None

    def _look(self, code: DeviceCode) -> Secret | Pending:
        form = {
            "client_id": self._client_id,
            "device_code": code.handle.value,
            "grant_type": _GRANT,
        }
        try:
            answer = self._post("/login/oauth/access_token", form)
        except ConnectionError:
            return Pending()  # the code is still good; the next look may get through
        token = text(answer.get("access_token"))
        if token is not None:
            return Secret(token)
        match answer.get("error"):
            case "authorization_pending":
                return Pending()
            case "slow_down":
                asked = number(answer.get("interval"))
                return Pending(True, None if asked is None else asked + _MARGIN)
            case "access_denied":
                raise UserError("the sign-in was declined on GitHub's page; nothing was added")
            case "expired_token":
                raise UserError("the code ran out before it was typed; nothing was added")
            case _:
                raise UserError(f"GitHub refused the sign-in{_reason(answer)}; nothing was added")

    def _post(self, path: str, form: dict[str, str]) -> JsonObject:
        """The answer's object, {} when it is none. ConnectionError when there is no answer."""
        call = UpstreamCall(
            url=self._site + path,
            headers={**_HEADERS, "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            proxy=self._proxy,
        )
        try:
            return object_or_empty(self._send(call).body)
        except OSError as cause:
            raise ConnectionError(f"GitHub could not be reached: {cause}") from cause


_HEADERS: Final = {"Accept": "application/json", "User-Agent": USER_AGENT}


def _addresses(settings: ProviderSettings) -> tuple[str, str]:
    """GitHub's site and its API; where only the exchange is replaced, its host is both."""
    api = github_api(settings.token_url)
    if settings.auth_url is None:
        return (GITHUB if api == GITHUB_API else api), api
    site = settings.auth_url.removesuffix(_DEVICE)
    return (site if site != settings.auth_url else _origin(site)), api


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _reason(answer: JsonObject) -> str:
    said = text(answer.get("error_description")) or text(answer.get("error"))
    return f": {scrubbed(said)}" if said else ""
