"""Logins of other programs that are taken over once, on request: what is read, as which account.

Files are read and never written. Each import tells in sentences, without secrets, what it read and
what it took (protocols/cloudcode.md 2 and 7, providers.md 8.9; faults.md T46).
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.jwt_claims import claims_of
from mcp_proxy.providers.loose_json import JsonObject, objects, part, text


class Imported(NamedTuple):
    """What a program had. The accounts' ids are still to be given."""

    told: tuple[str, ...]
    accounts: tuple[Account, ...]


NEW: Final = "new"
"""Id of an account that has none yet."""

_THEIR_CLIENT: Final = (
    "its refresh tokens work only with the OAuth client that they were made with: set"
    " GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET to that"
)


def read_import(source: str, file: Path | None = None) -> Imported:
    """The logins of `source`, from `file` or from where that program keeps them.

    FileNotFoundError: there is no such file. LookupError: there is no login in it. ValueError: the
    file is something else. Each with a sentence for people.
    """
    reader, usual = IMPORTS[source]
    places = (file,) if file is not None else tuple(usual())
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            "there is no file at " + " or ".join(str(place) for place in places)
        )
    imported = reader(found)
    if not imported.accounts:
        raise LookupError(f"nobody is signed in according to {found}")
    return imported


# Copilot: three programs' ways of keeping a GitHub token


def _copilot(file: Path) -> Imported:
    tokens: Iterable[tuple[str | None, str]] = [(None, _read(file).strip())]
    if file.suffix == ".json":
        tokens = _github_tokens(_object(file))
    accounts = tuple(
        Account(NEW, "copilot", Credential(refresh_token=Secret(token)), label=user)
        for user, token in dict.fromkeys(tokens)
        if token and token.isascii() and token.isprintable() and " " not in token
    )
    told = f"read {file}: took the GitHub token of {_names(accounts)}"
    return Imported((told,), accounts)


def _github_tokens(content: JsonObject) -> Iterator[tuple[str | None, str]]:
    """`apps.json` and `hosts.json` are keyed by host, opencode's `auth.json` by provider."""
    for key, entry in content.items():
        if not isinstance(entry, dict):
            continue
        token = None
        if key.partition(":")[0] == "github.com":
            token = text(entry.get("oauth_token"))
        elif key == "github-copilot":
            token = text(entry.get("refresh"))
        if token is not None:
            yield text(entry.get("user")), token


def _copilot_files() -> Iterator[Path]:
    directory = _config_home() / "github-copilot"
    if sys.platform == "win32":
        directory = Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "github-copilot"
    yield directory / "apps.json"
    yield directory / "hosts.json"
    yield _data_home() / "opencode" / "auth.json"
    yield _data_home() / "copilot-api" / "github_token"


# Gemini CLI


def _gemini_cli(file: Path) -> Imported:
    content = _object(file)
    token = text(content.get("refresh_token"))
    if token is None:
        return Imported((), ())
    email = text(claims_of(text(content.get("id_token")) or "").get("email"))
    account = _google_account(token, email, None)
    told = f"read {file}: took the refresh token of {_names((account,))}; {_THEIR_CLIENT}"
    return Imported((told,), (account,))


def _gemini_cli_files() -> Iterator[Path]:
    yield Path("~/.gemini/oauth_creds.json").expanduser()


# antigravity-claude-proxy and multi-claude-proxy: one shape, lists of accounts


def _account_list(file: Path) -> Imported:
    entries = objects(_object(file).get("accounts"))
    read = [(entry, _listed(entry)) for entry in entries]
    accounts = tuple(account for _, account in read if account is not None)
    left_out = [_name_of(entry) for entry, account in read if account is None]
    told = [f"read {file}: took the logins of {_names(accounts)}; {_THEIR_CLIENT}"]
    if left_out:
        told.append(f"left out, since they have no token of their own: {', '.join(left_out)}")
    return Imported(tuple(told), accounts)


def _listed(entry: JsonObject) -> Account | None:
    """None for what cannot be taken over: a login of the app's, or a short-lived token."""
    provider = text(entry.get("provider")) or "antigravity"
    key = text(entry.get("apiKey")) or text(entry.get("api_key"))
    if provider in _KEY_PROVIDERS and key is not None:
        credential = Credential(api_key=Secret(key))
        account = Account(NEW, provider, credential, label=_label(entry))
    else:
        token = _refresh_token(entry)
        if provider not in _GOOGLE_PROVIDERS or token is None:
            return None
        account = _google_account(token, _label(entry), _project(entry))
    return replace(account, enabled=entry.get("enabled") is not False)


_KEY_PROVIDERS: Final = frozenset({"zai", "anthropic", "openai", "gemini"})
_GOOGLE_PROVIDERS: Final = frozenset({"antigravity", "google"})


def _refresh_token(entry: JsonObject) -> str | None:
    """Alone, or in front of the project: `token|project|managed project`."""
    stored = text(entry.get("refreshToken")) or text(entry.get("refresh_token"))
    return text(stored.partition("|")[0]) if stored else None


def _project(entry: JsonObject) -> str | None:
    stored = text(entry.get("refreshToken")) or text(entry.get("refresh_token")) or ""
    inside = (text(piece) for piece in reversed(stored.split("|")[1:]))
    return (
        text(entry.get("projectId"))
        or text(entry.get("project_id"))
        or next(filter(None, inside), None)
        or text(part(entry, "subscription").get("projectId"))
    )


def _label(entry: JsonObject) -> str | None:
    return text(entry.get("email")) or text(entry.get("label")) or text(entry.get("name"))


def _name_of(entry: JsonObject) -> str:
    return _label(entry) or "one without a name"


def _antigravity_claude_proxy_files() -> Iterator[Path]:
    yield _config_home() / "antigravity-proxy" / "accounts.json"
    yield _config_home() / "antigravity-claude-proxy" / "accounts.json"


def _multi_claude_proxy_files() -> Iterator[Path]:
    yield _config_home() / "multi-claude-proxy" / "accounts.json"


# Shared


def _google_account(token: str, label: str | None, project: str | None) -> Account:
    credential = Credential(refresh_token=Secret(token))
    return Account(NEW, "antigravity", credential, label=label, project=project)


def _names(accounts: tuple[Account, ...]) -> str:
    return ", ".join(account.label or "a login without a name" for account in accounts) or "nobody"


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as cause:
        raise OSError(f"{file} cannot be read: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise ValueError(f"{file} is not text") from cause


def _object(file: Path) -> JsonObject:
    try:
        content: Any = json.loads(_read(file))
    except json.JSONDecodeError as cause:
        raise ValueError(f"{file} is not JSON") from cause
    if not isinstance(content, dict):
        raise ValueError(f"{file} is not a JSON object")  # noqa: TRY004 - as for other content
    return content


class _Import(NamedTuple):
    read: Callable[[Path], Imported]
    usual: Callable[[], Iterator[Path]]
    """Where the program keeps it, the newest way first."""


IMPORTS: Final[Mapping[str, _Import]] = {
    "copilot": _Import(_copilot, _copilot_files),
    "gemini-cli": _Import(_gemini_cli, _gemini_cli_files),
    "antigravity-claude-proxy": _Import(_account_list, _antigravity_claude_proxy_files),
    "multi-claude-proxy": _Import(_account_list, _multi_claude_proxy_files),
}
"""By the name that `accounts add --from` takes."""
