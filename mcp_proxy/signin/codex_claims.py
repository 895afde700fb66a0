"""Whose ChatGPT login a token is, from its claims (protocols/providers.md 7.3)."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from mcp_proxy.jwt_claims import claims_of
from mcp_proxy.providers.codex_answers import LOGIN_CLAIMS
from mcp_proxy.providers.loose_json import part, text

_PROFILE: Final = "https://api.openai.com/profile"


class Identity(NamedTuple):
    """None where no token says it."""

    workspace: str | None = None
    """The account id that calls have to name."""
    email: str | None = None
    plan: str | None = None


def identity_of(*tokens: str) -> Identity:
    """What the tokens say together, the first one first."""
    claims = [claims_of(token) for token in tokens]
    return Identity(
        workspace=_first(text(part(c, LOGIN_CLAIMS).get("chatgpt_account_id")) for c in claims),
        email=_first(text(c.get("email")) or text(part(c, _PROFILE).get("email")) for c in claims),
        plan=_first(text(part(c, LOGIN_CLAIMS).get("chatgpt_plan_type")) for c in claims),
    )


def _first(values: Iterable[str | None]) -> str | None:
    return next(filter(None, values), None)
