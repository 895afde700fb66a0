"""One line per request, written in batches: nothing is written while an answer is on its way.

A batch is one record of the logger: its text is here, and `record.requests` has the facts for
whoever writes them in another form.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from mcp_proxy.engine.outcome import Outcome
from mcp_proxy.printable import printable, without_quotations
from mcp_proxy.server.answers import Call
from mcp_proxy.server.decisions import Finished

log = logging.getLogger("mcp_proxy.access")

FLUSH_EVERY = 0.25
"""Seconds that a line may wait."""

QUIET_PATHS = frozenset({"/", "/health", "/metrics"})
"""Probes; logged at debug level."""

_LONGEST_NAME = 128
_LONGEST_CLIENT = 64
"""Characters of what clients send that a line has room for."""


class AccessLog:
    """Collects finished calls and tells of them a little later."""

    def __init__(self, *listeners: Callable[[Sequence[Finished]], None]) -> None:
        """`listeners` get each batch, too."""
        self._listeners = listeners
        self._finished: list[Finished] = []
        self._timer: asyncio.TimerHandle | None = None
        self._started = False

    def start(self) -> None:
        self._started = True

    def add(self, call: Call, status: int) -> None:
        self._finished.append(Finished(call, status, time.perf_counter()))
        if self._timer is None and self._started:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)

    def flush(self) -> None:
        """Tells at once of everything that is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()

    def _flush(self) -> None:
        self._timer = None
        finished, self._finished = self._finished, []
        if log.isEnabledFor(logging.INFO):
            _tell(finished)
        for listener in self._listeners:
            listener(finished)


def _tell(finished: Sequence[Finished]) -> None:
    """One record and one write for all of them."""
    shows_all = log.isEnabledFor(logging.DEBUG)
    shown = [each for each in finished if shows_all or each.call.path not in QUIET_PATHS]
    if shown:
        requests = Requests(shown)
        log.info("%s", requests, extra={"requests": requests})


class Facts(NamedTuple):
    """One request that is over. None: it did not come to that."""

    request_id: str
    method: str
    path: str
    status: int
    client: str
    dialect: str | None
    model: str | None
    """As the client asked for it."""
    served: str | None
    """The model that answered."""
    provider: str | None
    """With `account`: who answered, or was asked last."""
    account: str | None
    attempts: int | None
    first_ms: float | None
    total_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    notes: tuple[str, ...]
    error: str | None


class Told(NamedTuple):
    """What is to be told of a request in another form than a line of text."""

    at: float
    """When it was over, as Unix time."""
    facts: Facts
    moves: Sequence[str]
    """Of the notes, those on who was asked: fail-over, fallback, waits."""


class Requests:
    """A batch of requests that are over. `str()` is a line for each."""

    def __init__(self, finished: Sequence[Finished]) -> None:
        self._finished = finished
        self._epoch = time.time() - time.perf_counter()

    def __str__(self) -> str:
        return "\n".join([line(call, status, ended) for call, status, ended in self._finished])

    def __iter__(self) -> Iterator[Told]:
        for each in self._finished:
            outcome = each.call.outcome
            moves = outcome.plan.notes if outcome is not None and outcome.plan is not None else ()
            yield Told(self._epoch + each.ended, facts(each), moves)


def line(call: Call, status: int, ended: float) -> str:
    """The facts of one request, `name=value`, in a fixed order.

    Written by hand, and not from `facts`: it is part of what every request costs.
    """
    request, outcome, error = call.request, call.outcome, call.error
    where = _where(request.method, call.path[:_LONGEST_NAME])
    text = f"{call.id} {where} {status} client={_client(call)}"
    if call.model != "-":
        text += _asked(call.dialect, call.model[:_LONGEST_NAME])
    if outcome is not None:
        usage, first = outcome.usage, outcome.first_event_at
        began = "-" if first is None else f"{(first - call.started) * 1000:.1f}ms"
        text += (
            f"{_served(outcome.model, outcome.provider, outcome.account)}"
            f" attempts={outcome.attempts} first={began}"
            f" in={usage.prompt} out={usage.output} cached={usage.cache_read}"
        )
        for note in outcome.notes:
            text += printable(f' note="{note}"')
    text += f" total={(ended - call.started) * 1000:.1f}ms"
    if error is not None:
        text += printable(f' error="{without_quotations(error.message)}"')
    return text


# One record, one line: what clients and upstreams sent may contain line breaks. These are the
# pieces that one request has like those before it, and looking at each letter takes long.


@lru_cache(maxsize=256)
def _where(method: str, path: str) -> str:
    return printable(f"{method} {path}")


@lru_cache(maxsize=256)
def _asked(dialect: str, model: str) -> str:
    return printable(f" dialect={dialect} model={model}")


@lru_cache(maxsize=256)
def _served(model: str, provider: str, account: str) -> str:
    return printable(f" served={model} by={provider}/{account}")


def facts(finished: Finished) -> Facts:
    """The same facts as values."""
    call, outcome = finished.call, finished.call.outcome
    asked = call.model != "-"
    told = outcome or Outcome()
    first = told.first_event_at
    counted = outcome is not None
    return Facts(
        request_id=call.id,
        method=call.request.method,
        path=call.path[:_LONGEST_NAME],
        status=finished.status,
        client=_client(call),
        dialect=call.dialect if asked else None,
        model=call.model[:_LONGEST_NAME] if asked else None,
        served=None if first is None else told.model,
        provider=_known(told.provider),
        account=_known(told.account),
        attempts=told.attempts if counted else None,
        first_ms=None if first is None else _milliseconds(first - call.started),
        total_ms=_milliseconds(finished.ended - call.started),
        input_tokens=told.usage.prompt if counted else None,
        output_tokens=told.usage.output if counted else None,
        cached_tokens=told.usage.cache_read if counted else None,
        notes=told.notes,
        error=None if call.error is None else without_quotations(call.error.message),
    )


def _known(name: str) -> str | None:
    return None if name == "-" else name


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _client(call: Call) -> str:
    """The program that asked, by the first word with which it introduces itself."""
    return _first_word(call.request.headers.get("User-Agent", "-"))


@lru_cache(maxsize=256)
def _first_word(agent: str) -> str:
    return printable(agent.partition(" ")[0][:_LONGEST_CLIENT])
