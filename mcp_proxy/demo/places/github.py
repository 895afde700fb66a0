"""GitHub as Copilot's clients know it: device flow, exchange of tokens, quota.

Source: providers.md 8.1, 8.2, 8.7.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from aiohttp import web

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.places.allowance import Allowance
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal

PREFIX = "/github"
EXCHANGE = PREFIX + "/copilot_internal/v2/token"
DEVICE = PREFIX + "/login/device/code"
PREMIUM = "premium"
"""The window of premium requests."""
ENTITLEMENT = 300
LIFETIME = 1_800

POLLS = 1
"""Looks that find nobody has typed the code."""

_MONTH = 30 * 24 * 3600.0


class GitHub:
    """`accept(account, token)` is told of every Copilot token that is good."""

    def __init__(
        self,
        now: Callable[[], float],
        accept: Callable[[str, str], None],
        allowance: Callable[[], Allowance],
    ) -> None:
        self._now = now
        self._accept = accept
        self._allowance = allowance
        self.logs_in = "demo-copilot"
        """Whose login the device flow gives."""
        self.exchanges: dict[str, int] = {}
        """Copilot tokens given out, per account."""
        self.outage: Answer | None = None
        """While set, all that the exchange of tokens answers."""
        self._tokens: dict[str, str] = {}
        self._devices: dict[str, int] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(DEVICE, self._device_code),
            web.post(PREFIX + "/login/oauth/access_token", self._access_token),
            web.get(PREFIX + "/user", self._user),
            web.get(EXCHANGE, self._exchange),
            web.get(PREFIX + "/copilot_internal/user", self._quota),
        ]

    def new_token(self, account: str) -> str:
        token = f"ghu_demo{account}{secrets.token_hex(12)}"
        self._tokens[token] = account
        return token

    def revoke(self, account: str) -> None:
        """Its GitHub tokens are refused from now on."""
        self._tokens = {token: held for token, held in self._tokens.items() if held != account}

    def resets_at(self, account: str) -> float:
        return self._allowance().of(account, PREMIUM, default_reset=self._now() + _MONTH).resets_at

    async def _device_code(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if not form.get("client_id") or form.get("scope") != "read:user":
            raise Refusal(Answer(404, {"error": "Not Found"}))
        handle = secrets.token_hex(20)
        self._devices[handle] = POLLS
        return json_answer(
            {
                "device_code": handle,
                "user_code": "DEMO-CODE",
                "verification_uri": "https://github.com/login/device",
                "expires_in": 899,
                "interval": 5,
            }
        )

    async def _access_token(self, request: web.Request) -> web.StreamResponse:
        """HTTP 200 whatever it says."""
        handle = str((await request.post()).get("device_code"))
        left = self._devices.get(handle)
        if left is None:
            return json_answer({"error": "expired_token", "error_description": "No such code."})
        if left > 0:
            self._devices[handle] = left - 1
            return json_answer({"error": "authorization_pending"})
        del self._devices[handle]
        token = self.new_token(self.logs_in)
        return json_answer({"access_token": token, "token_type": "bearer", "scope": "read:user"})

    async def _user(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request.headers)
        return json_answer({"login": account, "id": 1, "email": f"{account}@example.com"})

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        if self.outage is not None:
            raise Refusal(self.outage)
        account = self._caller(request.headers)
        self.exchanges[account] = self.exchanges.get(account, 0) + 1
        expires_at = int(self._now()) + LIFETIME
        token = f"tid={secrets.token_hex(16)};exp={expires_at};sku=plus;proxy-ep=demo"
        self._accept(account, token)
        base = f"http://{request.host}"
        return json_answer(
            {
                "token": token,
                "expires_at": expires_at,
                "refresh_in": 1_500,
                "endpoints": {"api": f"{base}/copilot", "proxy": base, "telemetry": base},
                "chat_enabled": True,
                "sku": "plus_monthly_subscriber_quota",
                "individual": True,
            }
        )

    async def _quota(self, request: web.Request) -> web.StreamResponse:
        account = self._caller(request.headers)
        used = self._allowance().of(account, PREMIUM, default_reset=self._now()).used
        reset = datetime.fromtimestamp(self.resets_at(account), UTC)
        unlimited = _snapshot("chat", 1.0, is_unlimited=True)
        return json_answer(
            {
                "login": account,
                "copilot_plan": "individual",
                "access_type_sku": "plus_monthly_subscriber_quota",
                "chat_enabled": True,
                "quota_reset_date": reset.strftime("%Y-%m-%d"),
                "quota_reset_date_utc": reset.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "quota_snapshots": {
                    "chat": unlimited,
                    "completions": {**unlimited, "quota_id": "completions"},
                    "premium_interactions": _snapshot("premium_interactions", 1 - used),
                },
            }
        )

    def _caller(self, headers: Mapping[str, str]) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        account = self._tokens.get(token)
        if account is None or scheme not in ("token", "Bearer"):
            raise Refusal(Answer(401, {"message": "Bad credentials", "status": "401"}))
        return account


def _snapshot(name: str, left: float, *, is_unlimited: bool = False) -> JsonObject:
    entitlement = 0 if is_unlimited else ENTITLEMENT
    return {
        "entitlement": entitlement,
        "remaining": int(entitlement * left),
        "quota_remaining": entitlement * left,
        "percent_remaining": round(left * 100, 1),
        "overage_count": 0,
        "overage_permitted": False,
        "unlimited": is_unlimited,
        "quota_id": name,
    }
