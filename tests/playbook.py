"""Transcripts for AttemptPlan: what it does, step by step, against a clock that a test moves.

    play(plan(accounts=["a", "b"])).tries("a").fails(quota(resets_in=900)).tries("b").succeeds()

`plan` sets the scene (accounts, ledger, strategy, rules) and outlives the requests played in it;
`play` begins one request. Failures are given as functions of the present, so that a transcript
never mentions absolute times.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import ErrorKind, Failure, FailureKind, ProxyError, Scope
from mcp_proxy.policy.attempts import AttemptPlan
from mcp_proxy.policy.fallback import DEFAULT_FALLBACKS, FallbackTable
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.models import info
from mcp_proxy.policy.routes import Directory, Routing, fallback_stages, resolve
from mcp_proxy.policy.selection import Chooser, chooser
from mcp_proxy.policy.steps import GiveUp, Rules, Step, Try, Wait
from mcp_proxy.strict_json import JsonObject

OPUS = "claude-opus-4-6-thinking"
SONNET = "claude-sonnet-4-6"
PRO = "gemini-pro-agent"
FLASH = "gemini-3-flash"

START = 1_800_000_000.0

MakeFailure = Callable[[float], Failure]
"""The present -> a failure reported then."""


def account(
    account_id: str,
    *,
    enabled: bool = True,
    soft_limit: float | None = None,
    models: Iterable[str] = (),
    token: str = "",
) -> Account:
    credential = Credential(refresh_token=Secret(token or f"token-of-{account_id}"))
    return Account(
        account_id,
        "antigravity",
        credential,
        enabled=enabled,
        soft_limit=soft_limit,
        models=tuple(models),
    )


def fingerprint(of: Account) -> str:
    token = of.credential.refresh_token
    return "" if token is None else token.value[::-1]


@dataclass
class Scene:
    """Accounts and everything that is remembered between their requests."""

    accounts: tuple[Account, ...]
    rules: Rules
    ledger: Ledger
    chooser: Chooser
    directory: Directory
    routing: Routing
    fallbacks: FallbackTable
    one_host: bool = False
    """Another try of an account finds the same as the first."""
    now: float = START
    busy: dict[str, int] = field(default_factory=dict)

    def reads_quota(self, account_id: str, **figures: float | None) -> Self:
        """Keyword: `opus=0.4` and the like, by the short names of this module."""
        readings = [Reading(_SHORT[name], left) for name, left in figures.items()]
        self.ledger.observe_quota(account_id, readings, self.now, "quota poll")
        return self

    def later(self, seconds: float) -> Self:
        self.now += seconds
        return self


@dataclass(frozen=True)
class Reading:
    model: str
    remaining: float | None
    resets_at: float | None = None


_SHORT = {"opus": OPUS, "sonnet": SONNET, "pro": PRO, "flash": FLASH}


def plan(
    accounts: Iterable[str | Account] = ("a",),
    *,
    strategy: str = "sticky",
    max_wait: float = 120.0,
    soft_limit: float | None = 0.2,
    fallback: bool = False,
    live: Mapping[str, Iterable[str]] | None = None,
    routing: Routing | None = None,
    fallbacks: FallbackTable = DEFAULT_FALLBACKS,
    on_change: Callable[[str, str, JsonObject | None], None] = lambda *_: None,
    one_host: bool = False,
) -> Scene:
    made = tuple(account(a) if isinstance(a, str) else a for a in accounts)
    known = {account_id: frozenset(listed) for account_id, listed in (live or {}).items()}
    return Scene(
        made,
        Rules(max_wait=max_wait, soft_limit=soft_limit, fallback=fallback),
        Ledger(credential_id=fingerprint, on_change=on_change),
        chooser(strategy, on_change),
        Directory(made, known),
        routing or Routing(),
        fallbacks,
        one_host,
    )


def play(scene: Scene, model: str = OPUS, session: str = "a conversation") -> "Transcript":
    """One request. Raises UnknownModel as the program would."""
    return Transcript(
        scene,
        AttemptPlan(
            resolve(model, scene.directory, scene.routing),
            lambda asked: fallback_stages(asked, scene.directory, scene.fallbacks),
            ledger=scene.ledger,
            chooser=scene.chooser,
            rules=scene.rules,
            session_key=session,
            busy=lambda account_id: scene.busy.get(account_id, 0),
            now=scene.now,
            can_move=lambda _: not scene.one_host,
        ),
    )


class Transcript:
    """One request, told forwards. Each line asserts, and returns the transcript."""

    def __init__(self, scene: Scene, attempts: AttemptPlan) -> None:
        self.scene = scene
        self.plan = attempts

    def tries(self, account_id: str, *, model: str | None = None, host: int | None = None) -> Self:
        step = self._next()
        assert isinstance(step, Try), f"expected a try of {account_id}, got {step}"
        assert step.candidate.account.id == account_id
        assert model is None or step.candidate.model == model
        assert host is None or step.host == host
        return self

    def fails(self, failure: MakeFailure, *, after: float = 0.0) -> Self:
        self.scene.now += after
        self.plan.failed(failure(self.scene.now), self.scene.now)
        return self

    def waits_for_its_turn(self, seconds: float, *, and_goes: bool) -> Self:
        """Before the try is made; `and_goes`: whether it still is."""
        self.scene.now += seconds
        stages = resolve(self.plan.asked, self.scene.directory, self.scene.routing)
        assert self.plan.queued(stages, seconds, self.scene.now) is and_goes
        return self

    def succeeds(self) -> Self:
        self.plan.succeeded(self.scene.now)
        return self

    def waits(self, seconds: float) -> Self:
        """For `seconds` and no more than the half second that is added to every limit."""
        step = self._next()
        assert isinstance(step, Wait), f"expected a wait of {seconds} s, got {step}"
        assert seconds <= step.seconds <= seconds + 0.5, step
        self.scene.now += step.seconds
        return self

    def pauses(self) -> Self:
        """For the second at most that lies between two tries after a fault."""
        step = self._next()
        assert isinstance(step, Wait), f"expected a pause, got {step}"
        assert 0 < step.seconds <= 2, step
        self.scene.now += step.seconds
        return self

    def gives_up(
        self, kind: ErrorKind, saying: str = "", *, retry_after: float | None = None
    ) -> ProxyError:
        """`saying` is a pattern that the message must have."""
        step = self._next()
        assert isinstance(step, GiveUp), f"expected to give up, got {step}"
        assert step.error.kind is kind, step.error.message
        assert re.search(saying, step.error.message), step.error.message
        assert retry_after is None or step.error.retry_after == retry_after
        assert self._next() == step
        return step.error

    def _next(self) -> Step:
        return self.plan.next(self.scene.now)


def served(scene: Scene, model: str = OPUS, session: str = "a conversation") -> str:
    """Plays a request that succeeds at the first try; the account that answered."""
    request = play(scene, model, session)
    step = request.plan.next(scene.now)
    assert isinstance(step, Try), step
    request.succeeds()
    return step.candidate.account.id


def quota(resets_in: float | None = 900.0) -> MakeFailure:
    return _limit(FailureKind.QUOTA, Scope.BUCKET, resets_in)


def rate(hint: float | None = None) -> MakeFailure:
    return _limit(FailureKind.RATE, Scope.MODEL, hint)


def capacity(hint: float | None = None) -> MakeFailure:
    return _limit(FailureKind.CAPACITY, Scope.MODEL, hint)


def fault(kind: FailureKind = FailureKind.UPSTREAM, detail: str = "went wrong") -> MakeFailure:
    return lambda _now: Failure(kind, detail)


def tokenless(kind: FailureKind = FailureKind.NETWORK) -> MakeFailure:
    return lambda _now: Failure(kind, "token endpoint: down", unsent=True)


def needs_owner(kind: FailureKind, detail: str, url: str | None = None) -> MakeFailure:
    return lambda _now: Failure(kind, detail, 403, url=url)


def _limit(kind: FailureKind, scope: Scope, after: float | None) -> MakeFailure:
    def made(now: float) -> Failure:
        return Failure(kind, "not now", 429, None if after is None else now + after, scope)

    return made


def opus_limited_until(scene: Scene, account_id: str) -> float | None:
    """Seconds from now; None: it is free."""
    until = scene.ledger.limited_until(account_id, info(OPUS), scene.now)
    return None if until is None else until - scene.now
