"""Runs one request: plan -> attempt -> events. The only retry loop of the program is here.

Until the upstream's first content event has been seen nothing is promised to the client, and any
failure may be followed by another attempt. From then on an `Answering` is a one-way street: a
failure ends it, and is never mended by splicing in a second answer.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from mcp_proxy.account import Account, Candidate, Secret
from mcp_proxy.conversation import Conversation
from mcp_proxy.engine.answering import Answering
from mcp_proxy.engine.outcome import ANSWERED, Outcome, Step
from mcp_proxy.engine.passing import Passage
from mcp_proxy.engine.rendering import (
    Incoming,
    Prepared,
    call_again,
    dialect_of,
    explained,
    forwarded,
    rendered,
)
from mcp_proxy.engine.runtime import Runtime, session_key
from mcp_proxy.engine.tokens import REFUSED_TOKEN
from mcp_proxy.engine.transport import ERROR_WITHIN, MAX_ERROR_BODY, UpstreamAnswer
from mcp_proxy.errors import ErrorKind, Failure, FailureKind, ProxyError, Scope
from mcp_proxy.events import Folder, Reply, UpstreamBroke, is_shown
from mcp_proxy.policy.attempts import AttemptPlan
from mcp_proxy.policy.estimate import quick_units
from mcp_proxy.policy.seals import SealCollector
from mcp_proxy.policy.steps import Try, Wait
from mcp_proxy.printable import without_quotations
from mcp_proxy.providers import Ask, JsonObject, Provider, UpstreamCall, provider
from mcp_proxy.providers.features import FORWARDING

log = logging.getLogger(__name__)

SHARE_WITHIN = 1.0
"""Seconds that the end of an answer may wait until other workers can read its seals."""

WHOLE_ANSWER = 600.0
"""Seconds that an answer which is not streamed may take: as long as the SDKs wait for one."""

_OK = int(HTTPStatus.OK)
"""A member of that enumeration costs a call each time it is named."""

_WORTH_REWRITING = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})

BROKEN_STREAM = {
    FailureKind.SLOW: ErrorKind.SLOW,
    FailureKind.CAPACITY: ErrorKind.OVERLOADED,
    FailureKind.RATE: ErrorKind.OVERLOADED,
    FailureKind.QUOTA: ErrorKind.OVERLOADED,
}
"""What a client is told of a failure inside a stream; an upstream error when not listed."""


class Exchange:
    """One client request on its way through the upstreams. Has to be closed."""

    def __init__(
        self,
        runtime: Runtime,
        incoming: Incoming,
        again: Callable[[], Incoming] | None = None,
    ) -> None:
        """Raises UnknownModel when nothing of that name can be asked for.

        `again` reads the request anew: with it, what was asked need not be held all the time.
        """
        conversation = incoming.conversation
        self._runtime = runtime
        self._incoming: Incoming | None = incoming
        self.asked = conversation.without_history()
        """What is held for as long as the answer takes, which may be minutes."""
        self._identity = conversation.identity()
        self._is_shown = partial(
            is_shown, dialect=conversation.dialect, reasoning=conversation.reasoning
        )
        self._has_media = conversation.has_media()
        # Pictures stay: some are fetched, and that only once.
        self._again = None if self._has_media else again
        # The bytes of media say little about their tokens.
        self._wire_size = (
            quick_units(conversation, incoming.size) if self._has_media else incoming.size
        )
        self._units: int | None = None
        self._plan: AttemptPlan = runtime.plan(
            conversation.model, session_key(conversation.session, self._identity)
        )
        self.outcome = Outcome(self._plan)
        self._may_forward = True
        self._tried_at = 0.0
        self._sent_at = 0.0
        self._prepared: Prepared | None = None
        self._answering: Answering | None = None
        self._place_at: str | None = None
        self._orders: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Of hosts, as it was when this request first asked one of them."""
        self._host = ""
        """The one that was asked last."""
        self._sender: tuple[Account, Secret] | None = None
        """Whose token the last call went with."""
        self._refuser: str | None = None
        """The origin of seals that was the last to refuse one."""

    def prompt_estimate(self) -> int:
        """Tokens that the prompt will probably have."""
        return self._runtime.estimates.quick(self._plan.asked, self._wire_size)

    @property
    def relayed(self) -> dict[str, str]:
        """Headers of the upstream's answer that a client of the same API may know."""
        if self._answering is None or not self.outcome.forwarded:
            return {}
        prefixes = provider(self.outcome.provider).relayed
        return {
            name: value
            for name, value in self._answering.headers.items()
            if name.lower().startswith(prefixes)
        }

    async def stream(self) -> Answering:
        """An answer that has begun. Raises ProxyError when no account can give one."""
        while True:
            answering = await self._next()
            if answering is not None:
                self._succeeded()
                # A stream may last for minutes; what it was asked with is of no more use.
                self._prepared = self._incoming = self._again = None
                return answering

    async def reply(self) -> tuple[Reply, bytes]:
        """A whole answer, and its bytes when the request was forwarded.

        A cut one is tried again: nothing has been promised yet.
        """
        while True:
            answering = await self._next()
            if answering is None:
                continue
            folder = Folder()
            try:
                folder.add(answering.first)
                while not (answering.ended if self.outcome.forwarded else answering.finished):
                    folder.add(await answering.more())
                reply = folder.reply()
            except UpstreamBroke as broke:
                self.outcome.first_event_at = None
                self._failed(self._learned(broke.failure))
                continue
            self._succeeded()
            await self.completed(answering)
            return reply, answering.take_bytes() if self.outcome.forwarded else b""

    async def completed(self, answering: Answering) -> None:
        """Keeps what a whole answer taught: seals, and how long its prompt really was.

        To be awaited before the client hears the end: the next turn may come at once, and to
        another worker.
        """
        seals = answering.found_seals()
        if seals:
            self._keep_seals(seals)
        self.outcome.usage = answering.usage
        self._runtime.estimates.learn(
            self.outcome.model, self._wire_size, self._units, answering.usage
        )
        if seals and self._runtime.state.is_shared:
            await asyncio.to_thread(self._runtime.state.flush, SHARE_WITHIN)

    def broke(self, answering: Answering, failure: Failure) -> ProxyError:
        """What to tell a client whose stream broke after it had begun."""
        self._keep_seals(answering.found_before_its_end())
        failure = self._learned(failure)
        self._failed(failure)
        kind = BROKEN_STREAM.get(failure.kind, ErrorKind.UPSTREAM)
        return ProxyError(kind, f"the answer broke off: {failure.detail}")

    def close(self) -> None:
        """Gives connection and place back, whatever state the request is in.

        What a client was given before it left counts: it may act on a call that it has, and return.
        """
        if self._answering is not None:
            self._keep_seals(self._answering.found_before_its_end())
        self._give_back()

    def _give_back(self) -> None:
        if self._answering is not None:
            self._answering.close()
            self._answering = None
        if self._place_at is not None:
            self._runtime.gates.leave(self._place_at)
            self._place_at = None

    def _next(self) -> Coroutine[Any, Any, Answering | None]:
        """One step of the plan: None when it failed and the plan knows. Raises ProxyError."""
        step = self._plan.next(self._runtime.clock())
        if isinstance(step, Try):
            return self._try(step.candidate, step.host)
        if isinstance(step, Wait):
            return self._wait(step)
        self._look_at_limited()
        self.outcome.notes = tuple(self._plan.notes)
        raise step.error

    async def _wait(self, wait: Wait) -> None:
        log.debug("waiting %.2f s: %s", wait.seconds, wait.reason)
        began = time.perf_counter()
        if wait.for_anybody:
            self._look_at_limited()
            await self._runtime.opened_within(wait.seconds)
        else:
            await asyncio.sleep(wait.seconds)
        waited = time.perf_counter() - began
        self.outcome.steps.append(Step(waited, wait.reason))
        stages = self._runtime.names.stages_left(self.asked.model)
        self._plan.look_again(stages, max(wait.seconds - waited, 0.0))

    async def _try(self, candidate: Candidate, host: int) -> Answering | None:
        account = candidate.account
        if self._runtime.gates.enter_now(account.id):
            self._place_at = account.id
        elif not await self._wait_for_place(account):
            return None
        self.outcome.attempts += 1
        self.outcome.account, self.outcome.provider = account.id, account.provider
        self.outcome.model = candidate.model
        self._tried_at = time.perf_counter()
        try:
            answering = await self._attempt(candidate, host)
        except UpstreamBroke as broke:
            if broke.failure.kind is FailureKind.NETWORK and not broke.failure.unsent:
                self._runtime.hosts.unreachable(self._host, self._runtime.clock())
            self._failed(broke.failure)
            return None
        now = time.perf_counter()
        self.outcome.first_event_at = now
        self.outcome.upstream_seconds = now - self._sent_at
        self.outcome.steps.append(Step(now - self._tried_at, ANSWERED, account.id, candidate.model))
        self.outcome.fallback_from = candidate.fallback_from
        repaired = self._prepared.notes if self._prepared is not None else ()
        self.outcome.notes = (*self._plan.notes, *repaired)
        return answering

    async def _wait_for_place(self, account: Account) -> bool:
        """False when by the time there is one the account is not to be asked any more."""
        began = time.perf_counter()
        entered = await self._runtime.gates.enter(account.id)
        if entered:
            self._place_at = account.id
        waited = time.perf_counter() - began
        self.outcome.steps.append(Step(waited, f"{account.id}: waited for a place"))
        stages = self._runtime.names.stages_left(self.asked.model)
        if self._plan.queued(stages, waited, self._runtime.clock()) and entered:
            return True
        self._give_back()
        return False

    def _look_at_limited(self) -> None:
        """Asks for the figures of accounts that are limited: nobody else will before they serve."""
        for account in self._plan.limited:
            self._runtime.quota.used(account)

    async def _attempt(self, candidate: Candidate, host: int) -> Answering:
        runtime, account, asked = self._runtime, candidate.account, self.asked
        place = provider(account.provider)
        steps = self.outcome.steps
        known = len(steps)
        token = runtime.tokens.at_hand(account) or await self._fresh_token(account)
        if len(steps) > known:
            self._tried_at = time.perf_counter()  # the refresh is a step of its own
        project = account.project or await runtime.projects.of(account, token)
        incoming = self._asked()
        self._units = runtime.estimates.measured(candidate.model, incoming.conversation)
        ask = self._ask(incoming.conversation, candidate, token, project, host)
        prepared, call = self._prepare(incoming, ask) or await self._prepare_media(ask)
        self._prepared = prepared
        if self._again is not None:
            # So memory holds one request's thousands of objects at a time, instead of those of all
            # that wait for their answers. Another attempt reads them again.
            self._incoming = None
        del incoming, ask
        self.outcome.forwarded = as_it_came = prepared.forwarded
        runtime.quota.used(account)
        whole = as_it_came and not asked.wants_stream
        call = runtime.loop_guard.marked(call, place)
        self._sender = account, token
        self._sent_at = time.perf_counter()
        answer = await runtime.transport.send(call, silence=WHOLE_ANSWER if whole else None)
        del call  # with a body as long as the history
        runtime.hosts.reached(self._host)
        if place.has_figures_in_headers:
            runtime.read_headers(account, prepared.model, answer.headers)
        if answer.status != _OK:
            raise UpstreamBroke(await self._refusal(place, answer))
        self._answering = self._answering_of(answer, place, prepared)
        try:
            await self._answering.begin()
        except UpstreamBroke as broke:
            raise UpstreamBroke(self._learned(broke.failure)) from broke
        if as_it_came:
            self.outcome.forwarded = self._answering.is_passed
        return self._answering

    async def _fresh_token(self, account: Account) -> Secret:
        """One that may have to be got first, which others need not wait for without end."""
        runtime = self._runtime
        try:
            async with asyncio.timeout(self._plan.seconds_left(runtime.clock())):
                return await runtime.tokens.fresh(account, self.outcome.steps)
        except TimeoutError as cause:
            detail = f"there was no token for {account.id} in time"
            raise UpstreamBroke(Failure(FailureKind.SLOW, detail, unsent=True)) from cause

    def _answering_of(
        self, answer: UpstreamAnswer, place: Provider, prepared: Prepared
    ) -> Answering:
        asked, as_it_came = self.asked, prepared.forwarded
        whole = as_it_came and not asked.wants_stream
        return Answering(
            answer,
            place,
            prepared.parser(),
            SealCollector(
                prepared.model,
                self._identity,
                shows_thinking=asked.reasoning.visible,
            ),
            stall=WHOLE_ANSWER if whole else self._runtime.settings.limits.stall,
            clock=self._runtime.clock,
            shows=None if as_it_came else self._is_shown,
            passage=Passage(asked) if as_it_came else None,
        )

    def _ask(
        self,
        conversation: Conversation,
        candidate: Candidate,
        token: Secret,
        project: str | None,
        host: int,
    ) -> Ask:
        runtime, account = self._runtime, candidate.account
        place = provider(account.provider)
        settings = runtime.settings.provider(account.provider)
        model = runtime.models.of(candidate)
        avoided = runtime.models.avoided(account, model)
        hosts = runtime.tokens.hosts(account) or place.hosts(account, settings)
        self._host = self._ordered(hosts)[host % len(hosts)] if len(hosts) > 1 else hosts[0]
        return Ask(
            account=account,
            token=token,
            model=model,
            dialect=dialect_of(place, model, conversation, avoided),
            conversation=conversation,
            identity=self._identity,
            host=self._host,
            settings=settings,
            project=project,
            avoided=avoided,
        )

    def _ordered(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """In an order that stays the same while this request goes through them."""
        if hosts not in self._orders:
            self._orders[hosts] = self._runtime.hosts.of(hosts, self._runtime.clock())
        return self._orders[hosts]

    def _asked(self) -> Incoming:
        """What is asked, read again when it was put away."""
        if self._incoming is None:
            if self._again is None:
                raise RuntimeError("nothing is asked any more: the answer has begun")
            self._incoming = self._again()
            self._prepared = None  # it is without the history
        return self._incoming

    def _prepare(self, incoming: Incoming, ask: Ask) -> tuple[Prepared, UpstreamCall] | None:
        """The call, and how it was made. None: it has media, which may have to be fetched first."""
        held, strip = self._prepared, self._plan.strip_thinking
        if (
            held is not None
            and not held.forwarded
            and held.model == ask.model
            and held.dialect == ask.dialect
            and held.stripped == strip
        ):
            return held, call_again(held, ask)
        asked = None if self._again is None else self.asked
        if incoming.body and self._may_forward and not strip:
            made = forwarded(self._runtime, incoming, ask, asked, has_media=self._has_media)
            if made is not None:
                return made
        if self._has_media:
            return None
        return rendered(self._runtime, ask, asked, strip_thinking=strip)

    async def _prepare_media(self, ask: Ask) -> tuple[Prepared, UpstreamCall]:
        """The same, with the media in place of their addresses."""
        inlined = await self._runtime.media.inline(ask.conversation)
        ask = replace(ask, conversation=inlined)
        return rendered(self._runtime, ask, None, strip_thinking=self._plan.strip_thinking)

    async def _refusal(self, place: Provider, answer: UpstreamAnswer) -> Failure:
        """What an answer other than 200 means."""
        try:
            body = await answer.document(MAX_ERROR_BODY, ERROR_WITHIN)
        finally:
            answer.finish()
        now = self._runtime.clock()
        failure = place.read_failure(answer.status, answer.headers, body, now=now)
        failure = self._learned(failure)
        if failure.kind is FailureKind.BAD_REQUEST and self._prepared is not None:
            if self._prepared.forwarded and failure.status in _WORTH_REWRITING:
                # A limit that is too high, a schema without a type: what clients may send and this
                # server refuses is put right when the request is rendered.
                self._may_forward = False
                return replace(failure, kind=FailureKind.UNSUPPORTED, feature=FORWARDING)
            return explained(failure, self._prepared)
        return failure

    def _learned(self, failure: Failure) -> Failure:
        """A failure as it may be told, once it is known what it says of account and model.

        Also for one that came inside a 200, as everything does at some upstreams.
        """
        if self._sender is None:
            return failure
        runtime, (account, token) = self._runtime, self._sender
        if failure.kind in REFUSED_TOKEN:
            runtime.tokens.reject(account, token)
        if _disowns_project(failure):
            runtime.projects.forget(account)
        if failure.kind is FailureKind.UNSUPPORTED and failure.feature and self._prepared:
            runtime.models.avoid(account, self._prepared.model, failure.feature)
        if failure.crowded:
            runtime.gates.narrow(account.id)
        return failure.concealing((token,))

    def _succeeded(self) -> None:
        prepared, refuser = self._prepared, self._refuser
        if refuser is not None and prepared is not None and prepared.model.origin == refuser:
            for key, value in prepared.disowned:
                self._runtime.state.put("seals", key, value)
        self._plan.succeeded(self._runtime.clock())

    def _failed(self, failure: Failure) -> None:
        self._give_back()
        if failure.kind is FailureKind.SEAL and self._prepared is not None:
            self._refuser = self._prepared.model.origin
        log.info(
            "attempt %d at %s failed: %s: %s",
            self.outcome.attempts,
            self.outcome.account,
            failure.kind,
            without_quotations(failure.detail),
        )
        self._note_failure(failure)
        # It may have taken minutes.
        self._plan.look_again(self._runtime.names.stages_left(self.asked.model), unused=0.0)
        self._plan.failed(failure, self._runtime.clock())

    def _note_failure(self, failure: Failure) -> None:
        outcome = self.outcome
        seconds = time.perf_counter() - self._tried_at
        failed = Step(
            seconds, failure.kind, outcome.account, outcome.model, failure.status, failure.detail
        )
        if outcome.steps and outcome.steps[-1].result == ANSWERED:
            outcome.steps[-1] = failed  # its answer had begun, and broke
        else:
            outcome.steps.append(failed)

    def _keep_seals(self, rows: list[tuple[str, JsonObject]]) -> None:
        for key, value in rows:
            self._runtime.state.put("seals", key, self._runtime.seals.joined(key, value))


def _disowns_project(failure: Failure) -> bool:
    """Whether the account's project is to be looked for anew (cloudcode.md 6.1 G, pitfall 46).

    A 404 says so only when it names the project; else it is the model that does not exist.
    """
    if failure.kind is FailureKind.NOT_FOUND:
        return failure.scope is Scope.ACCOUNT
    return failure.kind is FailureKind.MISCONFIGURED
