"""What every place does with a call: who calls, what came, what is played instead, how it leaves.

Knows no API. A place hands in the words of its own refusals; prompts can ask for a fault of
delivery (`fault=cut`, see script.py) at any of them.
"""

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aiohttp import web
from multidict import CIMultiDict

from mcp_proxy.demo.delivery import Delivery, deliver
from mcp_proxy.demo.faults import (
    FAULT_KINDS,
    Dropped,
    Fault,
    FaultKind,
    altered_delivery,
    silence,
)
from mcp_proxy.demo.generation import Generation
from mcp_proxy.demo.places.allowance import Allowance
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal
from mcp_proxy.demo.script import Turn, directives, perform
from mcp_proxy.strict_json import decode

REMEMBERED = 1_000

SMALLEST_CACHED = 1_024
"""Tokens that a prompt must have to be cached."""

_ALTERS_DELIVERY = frozenset(
    {
        FaultKind.NOTHING,
        FaultKind.STALL,
        FaultKind.CUT,
        FaultKind.NO_FINISH,
        FaultKind.GARBAGE,
        FaultKind.SHAPE,
    }
)
"""Faults that mean the same in every API."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One API call as it came in."""

    provider: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: JsonObject
    raw: bytes
    account: str


@dataclass(frozen=True, slots=True)
class Granted:
    """A turn, and what it cost."""

    asked: Generation
    turn: Turn
    prompt: int
    """Tokens read, those from the cache included."""
    cached: int


class PlayedStream(Exception):
    """This call is answered with these bytes."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self.delivery = delivery


class Desk:
    """What all places know between calls."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.requests: deque[RecordedCall] = deque(maxlen=REMEMBERED)
        self.hung_up: deque[str] = deque(maxlen=REMEMBERED)
        """Providers whose clients went away in the middle of an answer."""
        self.allowances: dict[str, Allowance] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._played: dict[str, deque[Answer | Delivery]] = {}
        self._prompts: dict[tuple[str, str], int] = {}

    def issue_key(self, provider: str, account: str, prefix: str) -> str:
        """A key of this account, good until it is revoked."""
        key = f"{prefix}demo-{account}-{secrets.token_urlsafe(16)}"
        self.accept(provider, account, key)
        return key

    def accept(self, provider: str, account: str, key: str) -> None:
        self._keys[provider, key] = account

    def revoke(self, provider: str, account: str) -> None:
        """All keys and tokens of this account are refused from now on."""
        self._keys = {
            (place, key): holder
            for (place, key), holder in self._keys.items()
            if (place, holder) != (provider, account)
        }

    def holder(self, provider: str, key: str | None) -> str | None:
        """Whose key this is."""
        return self._keys.get((provider, key or ""))

    def allowance(self, provider: str) -> Allowance:
        return self.allowances.setdefault(provider, Allowance())

    def play(self, provider: str, what: Answer | Delivery, times: int) -> None:
        self._played.setdefault(provider, deque()).extend([what] * times)

    async def read(
        self, request: web.Request, provider: str, account: str, malformed: Answer
    ) -> JsonObject:
        """The body of a call, remembered. Refusal when it is no JSON object."""
        raw = await request.read()
        body: JsonObject = {}
        if raw or request.method == "POST":
            try:
                body = decode(raw)
            except ValueError as cause:
                raise Refusal(malformed) from cause
            if not isinstance(body, dict):
                raise Refusal(malformed)
        headers = CIMultiDict(request.headers)
        path = request.path_qs
        self.requests.append(RecordedCall(provider, path, headers, body, raw, account))
        return body

    def answer_played(self, provider: str) -> None:
        """Raises what was queued for the next generation of this place."""
        waiting = self._played.get(provider)
        if not waiting:
            return
        what = waiting.popleft()
        if isinstance(what, Answer):
            raise Refusal(what)
        raise PlayedStream(what)

    def grant(self, provider: str, account: str, asked: Generation, prompt: int) -> Granted:
        """The model's turn; a conversation that goes on finds its last prompt in the cache."""
        key = (f"{provider}/{account}", asked.session or "")
        before = self._prompts.get(key, 0)
        if asked.session and prompt >= SMALLEST_CACHED:
            self._prompts[key] = prompt
        return Granted(asked, perform(asked), prompt, before if before <= prompt else 0)

    async def deliver(
        self, request: web.Request, provider: str, delivery: Delivery, prompt: str
    ) -> web.StreamResponse:
        """Streams the records, each on its own; a fault that the prompt asks for happens."""
        kind = directives(prompt).get("fault", "")
        if kind in FAULT_KINDS:
            delivery = await _faulty(Fault(FaultKind(kind)), delivery)
        with self._noticing(provider):
            return await deliver(request, replace(delivery, flushes=True))

    async def deliver_played(
        self, request: web.Request, provider: str, delivery: Delivery
    ) -> web.StreamResponse:
        with self._noticing(provider):
            return await deliver(request, delivery)

    @contextmanager
    def _noticing(self, provider: str) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, ConnectionResetError):
            self.hung_up.append(provider)
            raise


async def _faulty(fault: Fault, delivery: Delivery) -> Delivery:
    if fault.kind is FaultKind.RESET:
        raise Dropped
    if fault.kind is FaultKind.HANG:
        await asyncio.sleep(silence(fault))
    return altered_delivery(fault, delivery) if fault.kind in _ALTERS_DELIVERY else delivery


def session_of(*texts: object) -> str:
    """What a conversation is known by: its first words."""
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an `Authorization: Bearer`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" and token else None


def first(problems: Iterable[Answer]) -> None:
    """Refuses with the first problem, as APIs do that report one at a time."""
    for problem in problems:
        raise Refusal(problem)
