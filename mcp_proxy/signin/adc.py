"""Google's application default credentials: a file of gcloud's or of a service account, or the
machine's own (protocols/providers.md 5).

`google-auth` does the work. Files are read anew each time and never written; where a file sends its
secrets is checked first.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from mcp_proxy import trust
from mcp_proxy.account import Account, Secret
from mcp_proxy.loopback import is_loopback
from mcp_proxy.providers.details import scrubbed
from mcp_proxy.providers.loose_json import JsonObject, text

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
TIMEOUT: Final = 20.0

_PROJECT_VARIABLES: Final = ("GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID")


class GoogleLogin(NamedTuple):
    """What the credentials give now."""

    token: Secret
    expires_at: float | None
    project: str | None
    """From the environment or the file; None when neither names one."""
    email: str | None
    read: str
    """What was read, for people: a path, or the machine's own credentials."""


def credentials_file(account: Account) -> Path | None:
    """The account's own file, else the environment's, else gcloud's; None when there is none."""
    for named in (account.credential.file, os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")):
        if named:
            return Path(named).expanduser()
    usual = _gcloud_directory() / "application_default_credentials.json"
    return usual if usual.is_file() else None


def read_google_login(account: Account) -> GoogleLogin:
    """A fresh token. ConnectionError: no answer. LookupError, ValueError, OSError: why not."""
    file = credentials_file(account)
    if file is None:
        return _of_this_machine(account)
    content = _content(file)
    kind = content.get("type")
    make = _MAKERS.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise ValueError(f"{file} is not a credentials file of Google (its type is {kind!r})")
    try:
        credentials = make(content, _token_url(account, content, file))
    except (ValueError, KeyError, TypeError) as cause:
        raise ValueError(f"{file}: {scrubbed(str(cause))}") from cause
    return _refreshed(credentials, account, str(file), content)


def _gcloud_directory() -> Path:
    if named := os.environ.get("CLOUDSDK_CONFIG"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", "~")).expanduser() / "gcloud"
    return Path("~/.config/gcloud").expanduser()


def _content(file: Path) -> JsonObject:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as cause:
        raise OSError(f"{file} cannot be read: {cause.strerror}") from cause
    except ValueError as cause:
        raise ValueError(f"{file} is not JSON") from cause
    if not isinstance(content, dict):
        raise ValueError(f"{file} is not a JSON object")  # noqa: TRY004 - as for other content
    return content


def _token_url(account: Account, content: JsonObject, file: Path) -> str:
    """Signed assertions and refresh tokens go there, so never over plain http."""
    url = account.token_url or text(content.get("token_uri")) or TOKEN_URL
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError(f"{file}: its token_uri is not https://")
    return url


# The kinds of files


def _service_account(content: JsonObject, token_url: str) -> Any:
    from google.oauth2 import service_account

    return service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        {**content, "token_uri": token_url}, scopes=SCOPES
    )


def _authorized_user(content: JsonObject, token_url: str) -> Any:
    from google.oauth2 import credentials

    return credentials.Credentials(  # type: ignore[no-untyped-call]
        None,
        refresh_token=content["refresh_token"],
        client_id=content["client_id"],
        client_secret=content["client_secret"],
        token_uri=token_url,
    )


def _other(content: JsonObject, _token_url: str) -> Any:
    """Federated and impersonated identities; the library finds its way through them."""
    from google.auth import load_credentials_from_dict

    credentials, _project = load_credentials_from_dict(  # type: ignore[no-untyped-call]
        content, scopes=SCOPES
    )
    return credentials


_MAKERS: Final[Mapping[str, Callable[[JsonObject, str], Any]]] = {
    "service_account": _service_account,
    "authorized_user": _authorized_user,
    "external_account": _other,
    "impersonated_service_account": _other,
}


def _of_this_machine(account: Account) -> GoogleLogin:
    from google.auth import default
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, project = default(scopes=SCOPES)
    except DefaultCredentialsError as cause:
        raise LookupError(
            "there are no Google credentials on this machine; make some with:"
            " gcloud auth application-default login"
        ) from cause
    return _refreshed(credentials, account, "this machine's own credentials", {}, project)


# Tokens


def _refreshed(
    credentials: Any,
    account: Account,
    read: str,
    content: JsonObject,
    project: str | None = None,
) -> GoogleLogin:
    from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError

    try:
        credentials.refresh(_transport(account, content))
    except TransportError as cause:
        raise ConnectionError("Google's token endpoint could not be reached") from cause
    except RefreshError as refusal:
        if refusal.retryable:
            raise ConnectionError("Google's token endpoint gives no tokens now") from refusal
        reason = scrubbed(str(refusal.args[0] if refusal.args else refusal))
        raise ValueError(f"Google refuses the credentials of {read}: {reason}") from refusal
    except GoogleAuthError as cause:
        raise ValueError(f"{read}: {scrubbed(str(cause))}") from cause
    expiry = credentials.expiry
    return GoogleLogin(
        token=Secret(credentials.token),
        expires_at=None if expiry is None else expiry.replace(tzinfo=UTC).timestamp(),
        project=_project(content) or project,
        email=text(content.get("client_email")) or text(content.get("account")),
        read=read,
    )


def _transport(account: Account, content: JsonObject) -> Callable[..., Any]:
    """Through the account's own proxy, else the environment's; none for this machine itself."""
    from google.auth.transport.requests import Request

    request = Request()
    url = account.token_url or text(content.get("token_uri")) or TOKEN_URL
    request.session.verify = trust.bundle()
    request.session.trust_env = not is_loopback(urlsplit(url).hostname or "")
    if account.proxy is not None:
        request.session.proxies = {"http": account.proxy, "https": account.proxy}
    return partial(request, timeout=TIMEOUT)


def _project(content: JsonObject) -> str | None:
    for name in _PROJECT_VARIABLES:
        if told := os.environ.get(name):
            return told
    return text(content.get("project_id")) or text(content.get("quota_project_id"))
