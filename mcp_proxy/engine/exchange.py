"""Runs one request: plan -> attempt -> events. The only retry loop of the program is here.

Until the upstream's first content event has been seen nothing is promised to the client, and any
failure may be followed by another attempt. From then on an `Answering` is a one-way street: a
failure ends it, and is never mended by splicing in a second answer.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus

from mcp_proxy.account import Account, Candidate, Secret
from mcp_proxy.conversation import Conversation
from mcp_proxy.engine.answering import Answering
from mcp_proxy.engine.rendering import Rendered, explained, render_for
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.engine.transport import MAX_ERROR_BODY, UpstreamAnswer
from mcp_proxy.errors import ErrorKind, Failure, FailureKind, ProxyError, Scope
from mcp_proxy.events import Folder, Reply, UpstreamBroke, Usage
from mcp_proxy.policy.attempts import AttemptPlan, GiveUp, Try, Wait
from mcp_proxy.policy.estimate import quick_units
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.providers import Provider, provider

log = logging.getLogger(__name__)

NO_USAGE = Usage()

BROKEN_STREAM = {
    FailureKind.SLOW: ErrorKind.SLOW,
    FailureKind.CAPACITY: ErrorKind.OVERLOADED,
    FailureKind.RATE: ErrorKind.OVERLOADED,
    FailureKind.QUOTA: ErrorKind.OVERLOADED,
}
"""What a client is told of a failure inside a stream; an upstream error when not listed."""


@dataclass(slots=True)
class Outcome:
    """What is worth telling about a request afterwards; the access log is made of it."""

    attempts: int = 0
    account: str = "-"
    provider: str = "-"
    model: str = "-"
    fallback_from: str | None = None
    usage: Usage = NO_USAGE
    first_event_at: float | None = None
    notes: tuple[str, ...] = ()


class Exchange:
    """One client request on its way through the upstreams. Has to be closed."""

    def __init__(self, runtime: Runtime, conversation: Conversation, *, body_size: int) -> None:
        """`body_size`: bytes of the request as it came, for estimating its tokens.

        Raises UnknownModel when nothing of that name can be asked for.
        """
        self.outcome = Outcome()
        self._runtime = runtime
        self._conversation = conversation
        self._has_media = conversation.has_media()
        # The bytes of media say little about their tokens.
        self._wire_size = quick_units(conversation, body_size) if self._has_media else body_size
        self._plan: AttemptPlan = runtime.plan(conversation)
        self._rendered: Rendered | None = None
        self._answering: Answering | None = None
        self._place_at: str | None = None

    @property
    def prompt_estimate(self) -> int:
        """Tokens that the prompt will probably have."""
        return self._runtime.estimate(self._conversation.model, self._wire_size)

    async def stream(self) -> Answering:
        """An answer that has begun. Raises ProxyError when no account can give one."""
        while True:
            answering = await self._next()
            if answering is not None:
                self._plan.succeeded(self._runtime.clock())
                # A stream may last for minutes; what it was asked with is of no more use.
                self._rendered = None
                return answering

    async def reply(self) -> Reply:
        """A whole answer. A cut one is tried again: nothing has been promised yet."""
        while True:
            answering = await self._next()
            if answering is None:
                continue
            folder = Folder()
            try:
                folder.add(answering.first)
                while not answering.finished:
                    folder.add(await answering.more())
                reply = folder.reply()
            except UpstreamBroke as broke:
                self._failed(broke.failure)
                continue
            self._plan.succeeded(self._runtime.clock())
            self.completed(answering)
            return reply

    def completed(self, answering: Answering) -> None:
        """Keeps what a whole answer taught: seals, and how long its prompt really was."""
        self._keep_seals(answering)
        self.outcome.usage = answering.usage
        self._runtime.learn(
            self.outcome.model, self._conversation, self._wire_size, answering.usage
        )

    def broke(self, answering: Answering, failure: Failure) -> ProxyError:
        """What to tell a client whose stream broke after it had begun."""
        self._keep_seals(answering)
        self._failed(failure)
        kind = BROKEN_STREAM.get(failure.kind, ErrorKind.UPSTREAM)
        return ProxyError(kind, f"the answer broke off: {failure.detail}")

    def close(self) -> None:
        """Gives connection and place back, whatever state the request is in."""
        if self._answering is not None:
            self._answering.close()
            self._answering = None
        if self._place_at is not None:
            self._runtime.gates.leave(self._place_at)
            self._place_at = None

    async def _next(self) -> Answering | None:
        """One step of the plan: None when it failed and the plan knows. Raises ProxyError."""
        match self._plan.next(self._runtime.clock()):
            case Wait(seconds, reason):
                log.debug("waiting %.2f s: %s", seconds, reason)
                await asyncio.sleep(seconds)
                return None
            case GiveUp(error):
                self.outcome.notes = tuple(self._plan.notes)
                raise error
            case Try(candidate, host):
                return await self._try(candidate, host)

    async def _try(self, candidate: Candidate, host: int) -> Answering | None:
        account = candidate.account
        self.outcome.attempts += 1
        self.outcome.account, self.outcome.provider = account.id, account.provider
        self.outcome.model = candidate.model
        await self._runtime.gates.enter(account.id)
        self._place_at = account.id
        try:
            answering = await self._attempt(candidate, host)
        except UpstreamBroke as broke:
            self._failed(broke.failure)
            return None
        self.outcome.first_event_at = time.perf_counter()
        self.outcome.fallback_from = candidate.fallback_from
        repaired = self._rendered.notes if self._rendered is not None else ()
        self.outcome.notes = (*self._plan.notes, *repaired)
        return answering

    async def _attempt(self, candidate: Candidate, host: int) -> Answering:
        runtime, account = self._runtime, candidate.account
        place = provider(account.provider)
        token = await runtime.tokens.fresh(account)
        project = await runtime.projects.of(account, token)
        rendered = await self._render(candidate)
        hosts = place.hosts(account, runtime.provider_settings(account.provider))
        call = place.build_call(
            rendered.body,
            account=account,
            token=token,
            project=project,
            model=rendered.model,
            conversation=rendered.conversation,
            host=hosts[host % len(hosts)],
            settings=runtime.provider_settings(account.provider),
        )
        runtime.quota.used(account)
        answer = await runtime.transport.send(call)
        if answer.status != HTTPStatus.OK:
            raise UpstreamBroke(await self._refusal(place, account, token, answer))
        self._answering = Answering(
            answer,
            place,
            rendered.parser(),
            SealCollector(rendered.model.family),
            stall=runtime.settings.limits.stall,
            clock=runtime.clock,
        )
        await self._answering.begin()
        return self._answering

    async def _render(self, candidate: Candidate) -> Rendered:
        strip = self._plan.strip_thinking
        held = self._rendered
        if held is None or held.model.id != candidate.model or held.stripped != strip:
            held = await render_for(
                self._runtime,
                self._conversation,
                candidate,
                strip_thinking=strip,
                has_media=self._has_media,
            )
            self._rendered = held
        return held

    async def _refusal(
        self, place: Provider, account: Account, token: Secret, answer: UpstreamAnswer
    ) -> Failure:
        """What an answer other than 200 means."""
        try:
            body = await answer.document(MAX_ERROR_BODY)
        finally:
            answer.finish()
        now = self._runtime.clock()
        failure = place.read_failure(answer.status, answer.headers, body, now=now)
        failure = failure.concealing((token,))
        if failure.kind is FailureKind.AUTH_EXPIRED:
            self._runtime.tokens.reject(account, token)
        if _disowns_project(failure):
            self._runtime.projects.forget(account)
        if failure.kind is FailureKind.BAD_REQUEST and self._rendered is not None:
            return explained(failure, self._rendered)
        return failure

    def _failed(self, failure: Failure) -> None:
        self.close()
        log.info(
            "attempt %d at %s failed: %s: %s",
            self.outcome.attempts,
            self.outcome.account,
            failure.kind,
            failure.detail,
        )
        self._plan.failed(failure, self._runtime.clock())

    def _keep_seals(self, answering: Answering) -> None:
        for key, value in answering.found_seals():
            self._runtime.state.put("seals", key, value)


def _disowns_project(failure: Failure) -> bool:
    """Whether the account's project is to be looked for anew (cloudcode.md 6.1 G, pitfall 46).

    A 404 says so only when it names the project; else it is the model that does not exist.
    """
    if failure.kind is FailureKind.NOT_FOUND:
        return failure.scope is Scope.ACCOUNT
    return failure.kind is FailureKind.MISCONFIGURED
