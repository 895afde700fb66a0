"""Google's token endpoint for service accounts and for people's own credentials.

Signatures of assertions are checked: the key pair is made when it is first asked for.
Source: providers.md 5.
"""

import base64
import binascii
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mcp_proxy.demo.answers import json_answer
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.strict_json import decode, encode

PATH = "/google/token"
LIFETIME = 3599
CLIENT_ID = "demo-vertex.apps.example"
CLIENT_SECRET = "demo-vertex-secret"  # noqa: S105 - a dummy for a dummy

_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth names, whichever endpoint it asks."""
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleTokens:
    """`accept(account, token)` is told of every access token that is good."""

    def __init__(self, now: Callable[[], float], accept: Callable[[str, str], None]) -> None:
        self._now = now
        self._accept = accept
        self._mails: dict[str, str] = {}
        self._refresh_tokens: dict[str, str] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self._token)]

    def service_account_file(
        self, account: str, project: str, *, url: str, directory: Path
    ) -> Path:
        """A key file for this account, as Google's console hands it out."""
        mail = f"{account}@{project}.iam.gserviceaccount.com"
        self._mails[mail] = account
        content = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": f"key-{account}",
            "private_key": self._private_text,
            "client_email": mail,
            "client_id": "1",
            "token_uri": url + PATH,
        }
        return _written(directory / f"service-account-{account}.json", content)

    def user_file(self, account: str, project: str, *, directory: Path) -> Path:
        """Application default credentials of a person, as gcloud writes them."""
        token = f"1//demo-{account}-{secrets.token_urlsafe(16)}"
        self._refresh_tokens[token] = account
        content = {
            "type": "authorized_user",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": token,
            "quota_project_id": project,
        }
        return _written(directory / f"adc-{account}.json", content)

    def access_token(self, account: str) -> str:
        token = f"ya29.demo-{account}-{secrets.token_urlsafe(16)}"
        self._accept(account, token)
        return token

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    @cached_property
    def _private_text(self) -> str:
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        match form.get("grant_type"):
            case grant if grant == _ASSERTION:
                account = self._asserted(form.get("assertion", ""), str(request.url))
            case "refresh_token":
                account = self._refreshed(form)
            case other:
                raise Refusal(_denied("unsupported_grant_type", f"Invalid grant_type: {other}"))
        answer: JsonObject = {
            "access_token": self.access_token(account),
            "expires_in": LIFETIME,
            "token_type": "Bearer",
        }
        return json_answer(answer)

    def _asserted(self, assertion: str, url: str) -> str:
        head, _, signature = assertion.rpartition(".")
        try:
            self._key.public_key().verify(
                _unpacked(signature), head.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims = decode(_unpacked(head.partition(".")[2]))
        except (InvalidSignature, ValueError, binascii.Error) as cause:
            raise Refusal(_denied("invalid_grant", "Invalid JWT Signature.")) from cause
        now = self._now()
        if claims.get("aud") not in (url, _AUDIENCE):
            raise Refusal(_denied("invalid_grant", "Invalid JWT: Failed audience check."))
        if _SCOPE not in str(claims.get("scope")).split():
            raise Refusal(_denied("invalid_scope", "Invalid OAuth scope or ID token audience."))
        if not claims["iat"] - 60 <= now <= claims["exp"] <= claims["iat"] + 3600:
            text = "Invalid JWT: Token must be a short-lived token (60 minutes)."
            raise Refusal(_denied("invalid_grant", text))
        account = self._mails.get(claims.get("iss", ""))
        if account is None:
            raise Refusal(_denied("invalid_grant", "Invalid grant: account not found"))
        return account

    def _refreshed(self, form: dict[str, str]) -> str:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise Refusal(_denied("invalid_client", "The OAuth client was not found.", 401))
        account = self._refresh_tokens.get(form.get("refresh_token", ""))
        if account is None:
            raise Refusal(_denied("invalid_grant", "Token has been expired or revoked."))
        return account


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _written(path: Path, content: JsonObject) -> Path:
    path.write_bytes(encode(content))
    path.chmod(0o600)
    return path


def _denied(error: str, description: str, status: int = 400) -> Answer:
    return Answer(status, {"error": error, "error_description": description})
