"""What can go wrong on purpose: a queue of faults and what each does to an answer.

A fault waits for the next calls that match its account, model and path, and is used up by them.
Source: cloudcode.md 6.1, faults.md 3.2-3.4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mcp_proxy.demo import refusals
from mcp_proxy.demo.delivery import Delivery
from mcp_proxy.demo.refusals import Answer, JsonObject
from mcp_proxy.demo.script import Call, Turn
from mcp_proxy.strict_json import encode


class FaultKind(StrEnum):
    RATE_LIMIT = "rate_limit"  # A: over in `seconds`
    QUOTA = "quota"  # B: gone for `seconds`
    GENERIC_LIMIT = "generic_limit"  # C: a 429 without any detail
    CAPACITY = "capacity"  # D: overloaded for everybody, with `status` 503, 429 or 529
    VERIFICATION = "verification"  # E: 403 with `url`
    SUSPENDED = "suspended"  # 403, against the terms of service
    CREDITS = "credits"  # F: Google One AI credits used up
    PROJECT = "project"  # G: 404, no such project
    BAD_REQUEST = "bad_request"  # H: 400 saying `text`
    UNAUTHORIZED = "unauthorized"  # H: 401
    SERVER_ERROR = "server_error"  # 500 with a JSON body
    HTML = "html"  # a page of the front end, with `status`
    RESET = "reset"  # the connection is reset before the headers
    HANG = "hang"  # `seconds` of silence before the headers, then the answer
    NOTHING = "nothing"  # 200 and not one record
    EMPTY = "empty"  # 200, well-formed, without any content
    STALL = "stall"  # `seconds` of silence after `after` records
    CUT = "cut"  # the connection is reset after `after` records
    NO_FINISH = "no_finish"  # a clean end after `after` records, without finishReason
    ERROR_INSIDE = (
        "error_inside"  # 200, and an error object (429, or `status`) after `after` records
    )
    GARBAGE = "garbage"  # one record after `after` is not JSON
    FINISH = "finish"  # finishReason `reason` and no content
    WHOLE = "whole"  # one JSON array of all records instead of a stream
    TOOL_STORM = "tool_storm"  # `count` tool calls in one turn
    SHAPE = "shape"  # nothing wrong; only the manner of delivery, see `sizes` and its neighbours


FAULT_KINDS = frozenset(kind.value for kind in FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, for the next `times` calls that match."""

    kind: FaultKind
    account: str | None = None
    model: str | None = None
    path: str = "streamGenerateContent"
    """Part of the path: "/token", "fetchAvailableModels", "/daily/"."""
    times: int | None = 1
    """None: every matching call until `clear`."""
    seconds: float | None = None
    status: int | None = None
    after: int = 1
    count: int = 50
    reason: str = "MALFORMED_FUNCTION_CALL"
    text: str = "Request contains an invalid argument."
    url: str = "https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=demo"
    headers: Mapping[str, str] = field(default_factory=dict)
    pace: float | None = None
    """Records a second."""
    sizes: tuple[int, ...] = ()
    """The bytes are cut into pieces of these sizes, in turn."""
    crlf: bool = False
    bare_end: bool = False
    """The last record comes without its blank line."""

    def matches(self, path: str, account: str | None, model: str | None) -> bool:
        return self.path in path and self.account in (None, account) and self.model in (None, model)


class Dropped(Exception):
    """The connection ends here without an answer."""


class FaultQueue:
    """Faults waiting for their calls, in the order in which they were queued."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, path: str, account: str | None, model: str | None) -> Fault | None:
        """The first fault that this call matches; used up by one."""
        for at, fault in enumerate(self._waiting):
            if fault.matches(path, account, model):
                if fault.times is not None and fault.times <= 1:
                    del self._waiting[at]
                elif fault.times is not None:
                    self._waiting[at] = replace(fault, times=fault.times - 1)
                return fault
        return None


def read_fault(document: JsonObject) -> Fault:
    """A fault from JSON, by the names of its fields. ValueError says what is wrong."""
    try:
        kind = FaultKind(document.get("kind", ""))
        return Fault(**{**document, "kind": kind, "sizes": tuple(document.get("sizes", ()))})
    except TypeError as cause:
        raise ValueError(str(cause)) from cause


def answer_of(fault: Fault, model: str | None, now: float) -> Answer | None:
    """The whole answer that this fault gives instead of the real one; None: it alters a stream."""
    make = _ANSWERS.get(fault.kind)
    if make is None:
        return None
    answer = make(fault, model or "", now)
    return replace(answer, headers={**answer.headers, **fault.headers})


def silence(fault: Fault) -> float:
    """Seconds for which HANG and STALL send nothing."""
    return _seconds(fault, _STALL_SECONDS)


def altered_turn(fault: Fault, turn: Turn) -> Turn:
    """What the model says under this fault."""
    match fault.kind:
        case FaultKind.EMPTY:
            return Turn()
        case FaultKind.FINISH:
            return Turn(finish=fault.reason)
        case FaultKind.TOOL_STORM:
            name = turn.calls[0].name if turn.calls else "storm"
            return replace(turn, calls=tuple(Call(name, {"n": n}) for n in range(fault.count)))
    return turn


def altered_delivery(fault: Fault, delivery: Delivery) -> Delivery:
    """How the answer is written under this fault."""
    alter = _DELIVERIES.get(fault.kind)
    if alter is not None:
        delivery = alter(fault, delivery)
    records = delivery.records
    if fault.bare_end and records:
        records = [*records[:-1], records[-1].rstrip(b"\n")]
    if fault.crlf:
        records = [record.replace(b"\n", b"\r\n") for record in records]
    return replace(delivery, records=records, pace=fault.pace or delivery.pace, sizes=fault.sizes)


_RATE_SECONDS = 0.479417207
_QUOTA_SECONDS = 6213.5
_STALL_SECONDS = 600.0

_GARBAGE = b'data: {"response":{"candidates":[{"content":\n\n'

_ANSWERS: dict[FaultKind, Callable[[Fault, str, float], Answer]] = {
    FaultKind.RATE_LIMIT: lambda fault, model, now: refusals.limited(
        "RATE_LIMIT_EXCEEDED", model, _seconds(fault, _RATE_SECONDS), now
    ),
    FaultKind.QUOTA: lambda fault, model, now: refusals.limited(
        "QUOTA_EXHAUSTED", model, _seconds(fault, _QUOTA_SECONDS), now
    ),
    FaultKind.GENERIC_LIMIT: lambda _fault, _model, _now: refusals.generic_limit(),
    FaultKind.CAPACITY: lambda fault, model, _now: refusals.no_capacity(model, fault.status or 503),
    FaultKind.VERIFICATION: lambda fault, _model, _now: refusals.verification_needed(fault.url),
    FaultKind.SUSPENDED: lambda _fault, _model, _now: refusals.suspended(),
    FaultKind.CREDITS: lambda _fault, model, _now: refusals.no_credits(model),
    FaultKind.PROJECT: lambda _fault, _model, _now: refusals.unknown_project("gone-project"),
    FaultKind.BAD_REQUEST: lambda fault, _model, _now: refusals.invalid(fault.text),
    FaultKind.UNAUTHORIZED: lambda _fault, _model, _now: refusals.unauthenticated(),
    FaultKind.SERVER_ERROR: lambda _fault, _model, _now: refusals.internal(),
    FaultKind.HTML: lambda fault, _model, _now: refusals.html_page(fault.status or 503),
}


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds


def _nothing(_fault: Fault, delivery: Delivery) -> Delivery:
    return replace(delivery, records=[])


def _stall(fault: Fault, delivery: Delivery) -> Delivery:
    return replace(delivery, stall_at=fault.after, stall=silence(fault))


def _cut(fault: Fault, delivery: Delivery) -> Delivery:
    return replace(delivery, records=delivery.records[: fault.after], is_cut=True)


def _no_finish(fault: Fault, delivery: Delivery) -> Delivery:
    return replace(delivery, records=delivery.records[:-1][: fault.after])


def _error_inside(fault: Fault, delivery: Delivery) -> Delivery:
    if fault.status in (None, 429):
        body = refusals.generic_limit().body
    else:
        body = refusals.error_body(fault.status or 500, fault.text)
    record = b"data: " + encode(body) + b"\n\n"
    return replace(delivery, records=[*delivery.records[: fault.after], record])


def _whole(_fault: Fault, delivery: Delivery) -> Delivery:
    entries = [record.removeprefix(b"data: ").rstrip() for record in delivery.records]
    array = b"[" + b",\r\n".join(entries) + b"]"
    return replace(delivery, records=[array], content_type="application/json")


def _garbage(fault: Fault, delivery: Delivery) -> Delivery:
    before, behind = delivery.records[: fault.after], delivery.records[fault.after :]
    return replace(delivery, records=[*before, _GARBAGE, *behind])


_DELIVERIES: dict[FaultKind, Callable[[Fault, Delivery], Delivery]] = {
    FaultKind.NOTHING: _nothing,
    FaultKind.STALL: _stall,
    FaultKind.CUT: _cut,
    FaultKind.NO_FINISH: _no_finish,
    FaultKind.ERROR_INSIDE: _error_inside,
    FaultKind.GARBAGE: _garbage,
    FaultKind.WHOLE: _whole,
}
