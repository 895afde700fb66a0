"""One line per request, written in batches: nothing is written while an answer is on its way."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from mcp_proxy.errors import ProxyError
from mcp_proxy.server.answers import Call
from mcp_proxy.server.decisions import Finished

log = logging.getLogger("mcp_proxy.access")

FLUSH_EVERY = 0.25
"""Seconds that a line may wait."""

QUIET_PATHS = frozenset({"/", "/health", "/metrics"})
"""Probes; logged at debug level."""


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
        shows_all = log.isEnabledFor(logging.DEBUG)
        lines = [
            line(call, status, ended)
            for call, status, ended in finished
            if shows_all or call.path not in QUIET_PATHS
        ]
        if lines:
            # One record and one write for all of them; the formatter gives each line its head.
            log.info("%s", "\n".join(lines))
        for listener in self._listeners:
            listener(finished)


def line(call: Call, status: int, ended: float) -> str:
    """The facts of one request, `name=value`, in a fixed order."""
    facts = [call.id, call.request.method, call.path[:128], str(status), f"client={_client(call)}"]
    if call.model != "-":
        facts += [f"dialect={call.dialect}", f"model={call.model[:128]!s}"]
    outcome = call.outcome
    if outcome is not None:
        usage = outcome.usage
        first = outcome.first_event_at
        facts += [
            f"served={outcome.model}",
            f"by={outcome.provider}/{outcome.account}",
            f"attempts={outcome.attempts}",
            f"first={_milliseconds(first - call.started) if first is not None else '-'}",
            f"in={usage.prompt}",
            f"out={usage.output}",
            f"cached={usage.cache_read}",
        ]
        facts += [f'note="{note}"' for note in outcome.notes]
    facts.append(f"total={_milliseconds(ended - call.started)}")
    if isinstance(call.error, ProxyError):
        facts.append(f'error="{call.error.message}"')
    # One record, one line: what clients and upstreams sent may contain line breaks.
    return " ".join(facts).translate(_VISIBLE)


_CONTROLS = (*range(32), *range(127, 160), 0x2028, 0x2029)
_VISIBLE = {code: ascii(chr(code))[1:-1] for code in _CONTROLS}


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms"


def _client(call: Call) -> str:
    agent = call.request.headers.get("User-Agent", "-")
    return agent.partition(" ")[0][:64]
