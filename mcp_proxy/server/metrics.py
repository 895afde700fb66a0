"""`/metrics` in the Prometheus text format: counters of finished requests, gauges of accounts.

Counted with the access log, after the answers. Labels take only values of ours: ids of accounts and
of models that were really asked, never what clients wrote. Per process; workers count for
themselves.
"""

import os
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from aiohttp import web

from mcp_proxy import __version__
from mcp_proxy.engine.outcome import Outcome
from mcp_proxy.engine.report import models_of
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind
from mcp_proxy.events import NO_USAGE
from mcp_proxy.policy.standing import State
from mcp_proxy.server.answers import Call
from mcp_proxy.server.decisions import Finished
from mcp_proxy.server.loop_lag import LoopLag

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds; a long agent's turn takes minutes."""

TOKENS: Final = ("input", "output", "cache_read", "cache_write")
"""Kinds, as the label `type` has them."""

UNKNOWN: Final = "unknown"
"""The provider of an account that was removed before anybody scraped."""

Labels = tuple[str, ...]


class Histogram:
    """Seconds by one label."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, label: str, seconds: float) -> None:
        counts = self._counts.get(label)
        if counts is None:
            counts = self._counts[label] = [0] * (len(BUCKETS) + 1)
            self._sums[label] = 0.0
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[label] += seconds

    def lines(self, name: str, label_name: str) -> Iterator[str]:
        for label, counts in self._counts.items():
            running = list(accumulate(counts))
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), running, strict=True):
                yield _sample(f"{name}_bucket", (label_name, "le"), (label, bound), count)
            yield _sample(f"{name}_sum", (label_name,), (label,), round(self._sums[label], 6))
            yield _sample(f"{name}_count", (label_name,), (label,), running[-1])


class _Tally:
    """Requests that ended alike, and their tokens."""

    __slots__ = ("requests", "usage")

    def __init__(self) -> None:
        self.requests = 0
        self.usage = [0, 0, 0, 0]
        """By TOKENS."""


class Metrics:
    """What this process has counted since it began."""

    def __init__(self) -> None:
        self._began = time.time()
        self._tallies: dict[tuple[str, str, str, int], _Tally] = {}
        """By dialect, provider, model and status."""
        self._unmet: Counter[Labels] = Counter()
        """Requests that no provider was found for."""
        self._attempts: Counter[Labels] = Counter()
        """By account: which provider's it is, is looked up when it is told."""
        self._provider_of: dict[str, str] = {}
        self._fallbacks: Counter[Labels] = Counter()
        self._refusals: Counter[Labels] = Counter()
        self._left = 0
        self._durations = Histogram()
        self._first_events = Histogram()
        self._lag = LoopLag()

    def count(self, finished: Sequence[Finished]) -> None:
        """Takes in a batch of requests that are over."""
        for each in finished:
            call, outcome = each.call, each.call.outcome
            if call.error is not None and call.error.kind in _REFUSED:
                self._refusals[(call.error.kind,)] += 1
            if each.status == 499:
                self._left += 1
            if outcome is not None:
                self._count(each, outcome)
            elif call.error is not None and call.model != "-":
                # A name that leads nowhere gets no label: clients would make them up.
                self._unmet[call.dialect, "-", "-", str(each.status)] += 1

    def _count(self, finished: Finished, outcome: Outcome) -> None:
        call = finished.call
        key = call.dialect, outcome.provider, outcome.model, finished.status
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.requests += 1
        usage = outcome.usage
        if usage is not NO_USAGE:
            tokens = tally.usage
            tokens[0] += usage.input
            tokens[1] += usage.output
            tokens[2] += usage.cache_read
            tokens[3] += usage.cache_write
        self._durations.observe(call.dialect, finished.ended - call.started)
        if outcome.first_event_at is not None:
            self._first_events.observe(call.dialect, outcome.first_event_at - call.started)
        for step in outcome.steps:
            if step.model:
                self._attempts[step.account, step.result] += 1
        if outcome.fallback_from is not None:
            self._fallbacks[outcome.fallback_from, outcome.model] += 1

    def text(self, runtime: Runtime, active: Sequence[Call]) -> str:
        """Everything, as it is now. `active`: requests that are being answered."""
        self._provider_of.update({each.id: each.provider for each in runtime.accounts})
        under_way = sum(runtime.gates.load(each.id) for each in runtime.accounts)
        lines = [*self._counted(runtime), *_accounts(runtime), *_process(self._began)]
        held = sum(call.request.content_length or 0 for call in active)
        for name, text, value in (
            ("active_requests", "Requests being answered.", len(active)),
            ("inflight_bytes", "Bodies of requests being answered.", held),
            ("active_streams", "Calls to upstreams that go on or wait for a place.", under_way),
            ("event_loop_lag_seconds", "The worst since the last scrape.", self._lag.worst()),
        ):
            full = f"mcproxy_{name}"
            lines += _family(full, "gauge", text, [f"{full} {value}"])
        return "\n".join(lines) + "\n"

    def _requests(self) -> Counter[Labels]:
        found: Counter[Labels] = Counter(self._unmet)
        for (*key, status), tally in self._tallies.items():
            found[*key, str(status)] += tally.requests
        return found

    def _tokens(self) -> Counter[Labels]:
        found: Counter[Labels] = Counter()
        for (_, provider, model, _), tally in self._tallies.items():
            for kind, tokens in zip(TOKENS, tally.usage, strict=True):
                if tokens:
                    found[provider, model, kind] += tokens
        return found

    def _counted(self, runtime: Runtime) -> Iterator[str]:
        yield from _family(
            "mcproxy_build_info",
            "gauge",
            "The version that runs.",
            [_sample("mcproxy_build_info", ("version",), (__version__,), 1)],
        )
        for name, text, labels, counts in (
            ("requests", "Requests that asked a model.", _REQUEST, self._requests()),
            ("upstream_attempts", "Calls to upstreams.", _ATTEMPT, self._attempts_by_provider()),
            ("tokens", "Tokens as upstreams counted them.", _TOKENS, self._tokens()),
            ("fallbacks", "Answers by a stand-in.", ("from", "to"), self._fallbacks),
            ("refresh", "Access tokens got anew.", _ATTEMPT, runtime.tokens.refreshes),
            ("auth_failures", "Requests turned away.", ("reason",), self._refusals),
        ):
            full = f"mcproxy_{name}_total"
            samples = (_sample(full, labels, key, count) for key, count in counts.items())
            yield from _family(full, "counter", text, samples)
        yield from _family(
            "mcproxy_client_disconnects_total",
            "counter",
            "Clients that left before their answer was whole.",
            [f"mcproxy_client_disconnects_total {self._left}"],
        )
        for name, text, histogram in (
            ("mcproxy_request_duration_seconds", "Whole requests.", self._durations),
            ("mcproxy_time_to_first_event_seconds", "Up to content.", self._first_events),
        ):
            yield from _family(name, "histogram", text, histogram.lines(name, "dialect"))

    def _attempts_by_provider(self) -> Counter[Labels]:
        found: Counter[Labels] = Counter()
        for (account, result), count in self._attempts.items():
            found[self._provider_of.get(account, UNKNOWN), result] += count
        return found


_ATTEMPT: Final = ("provider", "outcome")
_REQUEST: Final = ("dialect", "provider", "model", "code")
_TOKENS: Final = ("provider", "model", "type")
_REFUSED: Final = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN})


def scraped(metrics: Metrics, runtime: Runtime, call: Call, active: Sequence[Call]) -> web.Response:
    """The answer to a scrape. `active`: the other requests that are being answered."""
    call.status = 200
    headers = {**call.headers(), "Content-Type": CONTENT_TYPE}
    return web.Response(body=metrics.text(runtime, active).encode(), headers=headers)


def _accounts(runtime: Runtime) -> Iterator[str]:
    now, ledger = runtime.clock(), runtime.ledger
    soft_limit = runtime.settings.limits.soft_limit
    ratios, states, cooldowns = [], [], []
    for account in runtime.accounts:
        served = models_of(runtime, account)
        where = (account.provider, account.id)
        state = ledger.account_state(account, served, now, soft_limit)
        states += [
            _sample("mcproxy_account_state", _STATE, (*where, each.value), int(each is state))
            for each in State
        ]
        for model in served:
            names, values = (*_ACCOUNT, "model"), (*where, model.id)
            remaining = ledger.remaining(account.id, model, now)
            if remaining is not None:
                ratios.append(_sample(_RATIO, names, values, remaining))
            until = ledger.limited_until(account.id, model, now)
            if until is not None:
                cooldowns.append(_sample(_COOLDOWN, names, values, round(until - now, 1)))
    yield from _family(_RATIO, "gauge", "What is left of a quota, 0 to 1.", ratios)
    yield from _family(_COOLDOWN, "gauge", "Seconds until a limit ends.", cooldowns)
    yield from _family("mcproxy_account_state", "gauge", "1 for the state it is in.", states)


_ACCOUNT: Final = ("provider", "account")
_STATE: Final = (*_ACCOUNT, "state")
_RATIO: Final = "mcproxy_account_quota_remaining_ratio"
_COOLDOWN: Final = "mcproxy_cooldown_seconds"


_SELF: Final = Path("/proc/self")


def _process(began: float) -> Iterator[str]:
    """The usual figures of a process, where the system tells them."""
    spent = os.times()
    yield from _plain("process_cpu_seconds_total", "counter", round(spent.user + spent.system, 2))
    yield from _plain("process_start_time_seconds", "gauge", round(began, 2))
    if sys.platform == "linux":
        pages = int((_SELF / "statm").read_text(encoding="ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        yield from _plain("process_resident_memory_bytes", "gauge", resident)
        yield from _plain("process_open_fds", "gauge", len(list((_SELF / "fd").iterdir())))


def _plain(name: str, kind: str, value: float) -> Iterator[str]:
    return _family(name, kind, "Of this process.", [f"{name} {value}"])


def _family(name: str, kind: str, text: str, samples: Iterable[str]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield from samples


def _sample(name: str, labels: Sequence[str], values: Sequence[str], value: float) -> str:
    pairs = ",".join(
        f'{label}="{_escaped(each)}"' for label, each in zip(labels, values, strict=True)
    )
    return f"{name}{{{pairs}}} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
