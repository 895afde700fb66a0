"""Signing in with Google: the OAuth client, the page people are sent to, the code they bring back.

`google_auth_oauthlib.flow.Flow` speaks the protocol (PKCE with S256 included); its own local server
is not used: it takes exactly one request, whoever sends it, and waits for ever.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import oauthlib.oauth2
import requests
from google_auth_oauthlib.flow import Flow

from mcp_proxy import trust
from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.loopback import is_loopback
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.providers.antigravity import TOKEN_URL

AUTH_URL = "https://accounts.google.com/o/oauth2/v2/auth"
SCOPES = tuple(
    f"https://www.googleapis.com/auth/{scope}"
    for scope in (
        "cloud-platform",
        "userinfo.email",
        "userinfo.profile",
        "cclog",
        "experimentsandconfigs",
    )
)
_EXCHANGE_TIMEOUT = 30.0


class OAuthClient(NamedTuple):
    """The client that a refresh token is issued to, and bound to."""

    id: str
    secret: Secret


class Grant(NamedTuple):
    refresh_token: Secret
    access_token: Secret
    expires_in: float


def oauth_client(settings: ProviderSettings, secrets_file: Path | None = None) -> OAuthClient:
    """The file's client, else the configured one. UserError tells how to come by one."""
    if secrets_file is not None:
        return _client_in(secrets_file)
    if settings.client_id is None or settings.client_secret is None:
        raise UserError(
            "no OAuth client is configured. Create one of type 'Desktop app' at"
            " https://console.cloud.google.com/apis/credentials and pass its file with"
            " --client-secrets FILE, or set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET (or client_id"
            " and client_secret under [providers.antigravity] in config.toml)."
        )
    return OAuthClient(settings.client_id, settings.client_secret)


class GoogleSignIn:
    """One sign-in: `url` to visit, then `finish` with the code."""

    def __init__(
        self, client: OAuthClient, settings: ProviderSettings, *, redirect_uri: str, state: str
    ) -> None:
        self._token_url = settings.token_url or TOKEN_URL
        config = {
            "client_id": client.id,
            "client_secret": client.secret.value,
            "auth_uri": settings.auth_url or AUTH_URL,
            "token_uri": self._token_url,
        }
        self._flow = Flow.from_client_config(
            {"installed": config},
            SCOPES,
            redirect_uri=redirect_uri,
            autogenerate_code_verifier=True,
        )
        with _plain_http_to_this_machine(config["auth_uri"]):
            self.url: str = self._flow.authorization_url(state=state, prompt="consent")[0]

    def finish(self, code: str) -> Grant:
        """Trade the code for tokens. UserError when Google refuses or gives no refresh token."""
        session = self._flow.oauth2session
        # Google grants `openid` beside what was asked for; any change is an error to the library.
        session.scope = None
        session.register_compliance_hook("access_token_response", _answer_in_json)
        session.max_redirects = 0
        session.verify = trust.bundle()
        host = urlsplit(self._token_url).hostname or ""
        session.trust_env = not is_loopback(host)
        try:
            with _plain_http_to_this_machine(self._token_url):
                answer = self._flow.fetch_token(
                    code=code, include_client_id=True, timeout=_EXCHANGE_TIMEOUT
                )
        except oauthlib.oauth2.OAuth2Error as refusal:
            reason = f"{refusal.error} {refusal.description or ''}".strip(" .")
            raise UserError(f"Google refused the sign-in: {reason}. Try again.") from refusal
        except requests.exceptions.SSLError as cause:
            raise UserError(
                f"the sign-in could not be finished: the certificate of {host} is not accepted;"
                f" {trust.MENDS}"
            ) from cause
        except (requests.RequestException, ValueError) as cause:
            raise UserError(
                f"the sign-in could not be finished: {type(cause).__name__} at {host}. Try again."
            ) from cause
        return _grant(answer)


def _answer_in_json(reply: requests.Response) -> requests.Response:
    """The reply itself. UserError for what no token endpoint says, such as a front end's page."""
    try:
        is_json = isinstance(json.loads(reply.content), dict)
    except ValueError:
        is_json = False
    if reply.status_code >= 500 or not is_json:
        host = urlsplit(reply.url).hostname
        raise UserError(
            f"the sign-in could not be finished: the token endpoint at {host} answered"
            f" {reply.status_code}{'' if is_json else ' and no JSON'}; nothing was added. Try again"
            " later."
        )
    return reply


def _grant(answer: Mapping[str, Any]) -> Grant:
    if not answer.get("refresh_token"):
        raise UserError(
            "Google gave no refresh token, so the sign-in would end within the hour. Remove the"
            " app's access at https://myaccount.google.com/permissions and sign in again."
        )
    return Grant(
        refresh_token=Secret(str(answer["refresh_token"])),
        access_token=Secret(str(answer["access_token"])),
        expires_in=float(answer.get("expires_in") or 3600),
    )


def _client_in(file: Path) -> OAuthClient:
    """Google's own JSON file, for a desktop or a web client."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        client = content.get("installed") or content["web"]
        return OAuthClient(_word(client["client_id"]), Secret(_word(client["client_secret"])))
    except OSError as cause:
        raise UserError(f"{file}: cannot be read: {cause.strerror}") from cause
    except (ValueError, LookupError, AttributeError, TypeError) as cause:
        raise UserError(
            f"{file}: is not a client secrets file of Google ('installed' or 'web' with client_id"
            " and client_secret)"
        ) from cause


def _word(value: object) -> str:
    """One run of plain characters, as it stands in a form. ValueError for everything else."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("not one word")
    return value


@contextmanager
def _plain_http_to_this_machine(url: str) -> Iterator[None]:
    """The library knows one switch for plain http; it is on for loopback addresses only."""
    if not is_loopback(urlsplit(url).hostname or ""):
        yield
        return
    switch = "OAUTHLIB_INSECURE_TRANSPORT"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before
