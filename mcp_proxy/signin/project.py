"""Finding the Cloud project of an account, and having one made when there is none.

protocols/cloudcode.md 2.3 and 2.4. Hosts, bodies and answers are the provider's knowledge; here is
the order of the calls, and the patience between them.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.providers.antigravity import PROVIDER
from mcp_proxy.providers.google_answers import CodeAssist, Onboarding
from mcp_proxy.signin.asking import Send, asked

POLL_PAUSES = (0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds between looks at a project in the making, which takes up to a minute."""


class Discovered(NamedTuple):
    project: str | None
    tier: str
    """`free`, `pro`, `ultra` or `unknown`."""


def discover_project(
    account: Account,
    token: Secret,
    settings: ProviderSettings,
    send: Send,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Discovered | Failure:
    """The account's project, made on the way if need be; None in it when Google gives none.

    Where Google says why, that is the failure.
    """
    known = _load(account, token, settings, send)
    if isinstance(known, Failure):
        return known
    if known.project is not None:
        return Discovered(known.project, known.tier)
    made = _onboard(account, token, known.default_tier, settings, send, pause)
    if isinstance(made, Failure):
        return made
    if made.project is None:
        # Some answers say "done" and leave the project to the next look.
        again = _load(account, token, settings, send)
        known = known if isinstance(again, Failure) else again
        if known.project is None and made.refusal is not None:
            return made.refusal
    return Discovered(made.project or known.project, known.tier)


def _load(
    account: Account, token: Secret, settings: ProviderSettings, send: Send
) -> CodeAssist | Failure:
    """The first host that answers decides; a refusal of the account itself ends the search."""
    failure = _nowhere()
    for host in PROVIDER.project_hosts(account, settings):
        call = PROVIDER.load_code_assist_call(account, token, host, settings)
        answer = asked(PROVIDER, call, send, PROVIDER.read_load_code_assist)
        if not isinstance(answer, Failure):
            return answer
        failure = answer
        if answer.kind in _FINAL:
            break
    return failure


def _onboard(
    account: Account,
    token: Secret,
    tier: str,
    settings: ProviderSettings,
    send: Send,
    pause: Callable[[float], None],
) -> Onboarding | Failure:
    answer: Onboarding | Failure = _nowhere()
    for host in PROVIDER.project_hosts(account, settings):
        call = PROVIDER.onboard_call(account, token, tier, host, settings)
        answer = asked(PROVIDER, call, send, PROVIDER.read_onboard)
        for seconds in POLL_PAUSES:
            if isinstance(answer, Failure) or answer.done:
                break
            pause(seconds)
            answer = asked(PROVIDER, call, send, PROVIDER.read_onboard)
        if not isinstance(answer, Failure) or answer.kind in _FINAL:
            break
    return answer


_FINAL = frozenset(
    {
        FailureKind.AUTH_EXPIRED,
        FailureKind.AUTH_REVOKED,
        FailureKind.VERIFICATION,
        FailureKind.SUSPENDED,
    }
)
"""Said about the account, not about a host: asking the next one would not help."""


def _nowhere() -> Failure:
    return Failure(FailureKind.NETWORK, "no host could be asked")
