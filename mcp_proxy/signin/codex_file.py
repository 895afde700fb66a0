"""The login of the Codex CLI, as its file has it now (protocols/providers.md 7.4).

Read only, and never renewed: its refresh token works once, so renewing it here would sign the Codex
CLI out (faults.md T46).
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.jwt_claims import expiry_of
from mcp_proxy.providers.loose_json import JsonObject, part, text
from mcp_proxy.signin.codex_claims import Identity, identity_of

_TRIES: Final = 3
_BETWEEN_TRIES: Final = 0.05
"""Seconds: the Codex CLI may be writing the file just now."""


class CodexLogin(NamedTuple):
    token: Secret
    expires_at: float | None
    identity: Identity


def codex_file(account: Account) -> Path:
    """The account's own file, else the one in `CODEX_HOME`, else the usual one."""
    if account.credential.file:
        return Path(account.credential.file).expanduser()
    return Path(os.environ.get("CODEX_HOME") or "~/.codex").expanduser() / "auth.json"


def read_codex_login(
    account: Account,
    *,
    now: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> CodexLogin:
    """FileNotFoundError: no such program here. LookupError: nobody is signed in, or somebody else
    is. ValueError: the login is over, or the file is not what it was when this was written."""
    file = codex_file(account)
    content = _content(file, pause)
    tokens = part(content, "tokens")
    access = text(tokens.get("access_token"))
    if access is None:
        raise LookupError(_nobody(content))
    identity = identity_of(text(tokens.get("id_token")) or access, access)
    if workspace := text(tokens.get("account_id")):
        identity = identity._replace(workspace=workspace)
    if account.workspace is not None and identity.workspace != account.workspace:
        raise LookupError("the Codex CLI is signed in to another ChatGPT account now")
    expires_at = expiry_of(access)
    if expires_at is not None and expires_at <= now():
        raise ValueError("the Codex CLI's login has run out; it is renewed when `codex` is used")
    return CodexLogin(Secret(access), expires_at, identity)


def _nobody(content: JsonObject) -> str:
    if text(content.get("OPENAI_API_KEY")):
        return (
            "the Codex CLI is signed in with an API key; add that with: "
            "mcproxy accounts add --provider openai"
        )
    return "nobody is signed in to the Codex CLI (or it keeps its login in the system's keyring)"


def _content(file: Path, pause: Callable[[float], None]) -> JsonObject:
    for attempt in range(_TRIES):
        if attempt:
            pause(_BETWEEN_TRIES)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as cause:
            raise FileNotFoundError(
                f"{file} does not exist: nobody is signed in to the Codex CLI here"
            ) from cause
        except ValueError:
            continue
        if isinstance(content, dict):
            return content
    raise ValueError(f"{file} is not a login of the Codex CLI")
