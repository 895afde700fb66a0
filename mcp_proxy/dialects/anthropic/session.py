"""The client's own name for a conversation, from wherever it puts one."""

import re
from collections.abc import Mapping

from mcp_proxy.dialects.session_headers import ANYBODYS, session_in
from mcp_proxy.strict_json import JsonObject, decode, get

_CLAUDE_CODES = "x-claude-code-session-id"

# user_<hash>_account_<uuid>_session_<uuid>, of Claude Code before it sent JSON.
_OLD_USER_ID = re.compile(r".*_session_([0-9a-fA-F-]{36})")


def session_of(body: JsonObject, headers: Mapping[str, str]) -> str | None:
    """The session id; None when the client names none (a bare user id is not one)."""
    session = session_in(headers, _CLAUDE_CODES, *ANYBODYS)
    if session is not None or "metadata" not in body:
        return session
    metadata = get(body, "metadata", dict, (), {})
    return _session_in(get(metadata, "user_id", str, ("metadata",), ""))


def _session_in(user_id: str) -> str | None:
    if user_id.startswith("{"):
        return _session_in_json(user_id)
    old = _OLD_USER_ID.fullmatch(user_id)
    return old[1] if old else None


def _session_in_json(user_id: str) -> str | None:
    try:
        session = decode(user_id).get("session_id")
    except ValueError:
        return None
    return session if type(session) is str and session else None
