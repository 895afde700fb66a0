"""The sign-in side: Google's token endpoint and consent page, played for a handful of accounts.

Knows grants, codes, PKCE, expiry, rotation and revocation; knows nothing of HTTP beyond status and
body. The clock is an argument. Source: cloudcode.md 2.1-2.4, faults.md 3.3.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal

CLIENT_ID = "demo-client.apps.example"
CLIENT_SECRET = "demo-client-secret"  # noqa: S105 - a dummy for a dummy

SCOPE = "openid https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """One Google account as the upstream sees it."""

    id: str
    email: str = ""
    project: str = ""
    tier: str = "free-tier"
    paid_tier: str | None = None
    onboarded: bool = True
    """False: loadCodeAssist names no project until onboardUser has provisioned it."""
    polls: int = 2
    """How often onboardUser must be asked before it is done."""
    project_as_object: bool = False
    """The real answer has the project as a string or as {"id": ...}."""
    rotates: bool = False
    """A refresh gives a new refresh token, and the old one may not be used again."""
    token_lifetime: float = 3599.0
    calls: Mapping[str, int] | None = None
    """Calls per quota bucket, where they differ from the upstream's default."""

    @property
    def mail(self) -> str:
        return self.email or f"{self.id}@example.com"

    @property
    def own_project(self) -> str:
        return self.project or f"demo-project-{self.id}"


@dataclass(frozen=True, slots=True)
class _Code:
    account: str
    redirect_uri: str
    challenge: str | None


class Identity:
    """Who is who: accounts, their refresh tokens, the access tokens that are good now."""

    def __init__(self, accounts: Iterable[DemoAccount]) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.refreshes = dict.fromkeys(self.accounts, 0)
        """Refresh grants answered with a token, per account."""
        self.onboarded = {a.id for a in self.accounts.values() if a.onboarded}
        self._onboard_polls = dict.fromkeys(self.accounts, 0)
        self._refresh_tokens: dict[str, str] = {}
        self._current: dict[str, str] = {}
        self._used: dict[str, str] = {}
        self._access: dict[str, tuple[str, float]] = {}
        self._codes: dict[str, _Code] = {}
        for name in self.accounts:
            self._new_refresh_token(name)

    def refresh_token(self, account: str) -> str:
        """The one that is good now."""
        return self._current[account]

    def holder(self, refresh_token: str) -> str | None:
        """The account that this refresh token signs in."""
        return self._refresh_tokens.get(refresh_token)

    def revoke(self, account: str) -> None:
        """Its refresh and access tokens are refused from now on."""
        self._refresh_tokens = {t: a for t, a in self._refresh_tokens.items() if a != account}
        self.expire(account)

    def expire(self, account: str) -> None:
        """Its access tokens are refused from now on; a refresh gives a new one."""
        self._access = {t: held for t, held in self._access.items() if held[0] != account}

    def owner(self, access_token: str, now: float) -> DemoAccount | None:
        """Whose access token this is, while it is good."""
        held = self._access.get(access_token)
        if held is None or now >= held[1]:
            return None
        return self.accounts[held[0]]

    def consent(self, query: Mapping[str, str], login: str | None = None) -> str:
        """A code for `login` (else the first account), as the consent page hands it out."""
        account = login or next(iter(self.accounts))
        code = "4/demo-" + secrets.token_urlsafe(24)
        self._codes[code] = _Code(account, query["redirect_uri"], query.get("code_challenge"))
        return code

    def token(self, form: Mapping[str, str], now: float) -> JsonObject:
        """The token endpoint's answer to a form. Refusal when it is not granted."""
        secret = form.get("client_secret", "")
        if form.get("client_id") != CLIENT_ID or not secrets.compare_digest(secret, CLIENT_SECRET):
            raise _denied("invalid_client", "The OAuth client was not found.", status=401)
        match form.get("grant_type"):
            case "refresh_token":
                return self._refreshed(form.get("refresh_token", ""), now)
            case "authorization_code":
                return self._exchanged(form, now)
            case other:
                raise _denied("unsupported_grant_type", f"Invalid grant_type: {other}")

    def onboard(self, account: DemoAccount) -> bool:
        """One poll of the provisioning; whether it is done."""
        self._onboard_polls[account.id] += 1
        if self._onboard_polls[account.id] >= account.polls:
            self.onboarded.add(account.id)
        return account.id in self.onboarded

    def _refreshed(self, token: str, now: float) -> JsonObject:
        if token in self._used:
            # Reuse of a rotated token is taken for theft: everything of that account is withdrawn.
            self.revoke(self._used[token])
        account = self._refresh_tokens.get(token)
        if account is None:
            raise _denied("invalid_grant", "Token has been expired or revoked.")
        self.refreshes[account] += 1
        answer = self._access_answer(account, now)
        if self.accounts[account].rotates:
            del self._refresh_tokens[token]
            self._used[token] = account
            answer["refresh_token"] = self._new_refresh_token(account)
        return answer

    def _exchanged(self, form: Mapping[str, str], now: float) -> JsonObject:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise _denied("invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _denied("redirect_uri_mismatch", "Bad Request")
        if code.challenge is not None and s256(form.get("code_verifier", "")) != code.challenge:
            raise _denied("invalid_grant", "Invalid code verifier.")
        answer = self._access_answer(code.account, now)
        answer["refresh_token"] = self._new_refresh_token(code.account)
        return answer

    def _access_answer(self, account: str, now: float) -> JsonObject:
        lifetime = self.accounts[account].token_lifetime
        access = f"ya29.demo-{account}-{secrets.token_urlsafe(16)}"
        self._access = {t: held for t, held in self._access.items() if held[1] > now}
        self._access[access] = (account, now + lifetime)
        return {
            "access_token": access,
            "expires_in": int(lifetime),
            "token_type": "Bearer",
            "scope": SCOPE,
        }

    def _new_refresh_token(self, account: str) -> str:
        token = f"1//demo-{account}-{secrets.token_urlsafe(16)}"
        self._refresh_tokens[token] = account
        self._current[account] = token
        return token


def s256(verifier: str) -> str:
    """The challenge that belongs to a PKCE verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _denied(error: str, description: str, *, status: int = 400) -> Refusal:
    return Refusal(Answer(status, {"error": error, "error_description": description}))
