"""What an error answer of Z.AI means: a table of its business codes.

The code decides, wherever it stands and whatever the HTTP status is: everything from "wait a
moment" to "pay first" comes as a 429 (providers.md 1). Without a code it is an error of the
Messages API like any other.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.anthropic_failures import read_anthropic_failure
from mcp_proxy.providers.details import is_page, too_long
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.failures import failure_of
from mcp_proxy.providers.rests import BILLING_REST
from mcp_proxy.providers.retry_delay import retry_at
from mcp_proxy.strict_json import encode

_CROWDED_REST: Final = 2.0
"""Seconds until one more call is tried where several at once were too many."""


class _Meaning(NamedTuple):
    """What a business code stands for."""

    kind: FailureKind
    scope: Scope = Scope.MODEL
    rest: float | None = None
    """Seconds to wait when the answer names no time."""
    crowded: bool = False
    advice: str = ""
    """What the account's owner can do, put before Z.AI's own words."""


_REFUSED_KEY: Final = _Meaning(FailureKind.AUTH_REVOKED, Scope.ACCOUNT)
_LOCKED: Final = _Meaning(
    FailureKind.MISCONFIGURED,
    Scope.ACCOUNT,
    advice="the account is inactive or locked; see https://z.ai/manage-apikey",
)
_BAD: Final = _Meaning(FailureKind.BAD_REQUEST)
_BROKEN: Final = _Meaning(FailureKind.UPSTREAM)
_LOADED: Final = _Meaning(FailureKind.CAPACITY)
_USED_UP: Final = _Meaning(FailureKind.QUOTA, Scope.ACCOUNT)

_MEANINGS: Final[Mapping[int, _Meaning]] = {
    **dict.fromkeys(range(1000, 1005), _REFUSED_KEY),
    **dict.fromkeys(range(1110, 1122), _LOCKED),
    1113: _Meaning(
        FailureKind.QUOTA,
        Scope.ACCOUNT,
        rest=BILLING_REST,
        advice=(
            "the account has no balance, or its key belongs to the other kind of plan "
            "(coding plan, or paid by use)"
        ),
    ),
    **dict.fromkeys((*range(1210, 1216), *range(1220, 1223)), _BAD),
    1211: _Meaning(FailureKind.NOT_FOUND),
    1234: _BROKEN,
    1301: _BAD,
    1302: _Meaning(FailureKind.RATE, Scope.ACCOUNT, rest=_CROWDED_REST, crowded=True),
    1303: _Meaning(FailureKind.RATE, Scope.ACCOUNT),
    1304: _USED_UP,
    1305: _LOADED,
    1308: _USED_UP,
    1309: _Meaning(
        FailureKind.MISCONFIGURED, Scope.ACCOUNT, advice="the plan has expired; renew it at z.ai"
    ),
    1310: _USED_UP,
    1311: _Meaning(FailureKind.NOT_FOUND, advice="the plan does not have this model"),
    1312: _LOADED,
    1313: _Meaning(
        FailureKind.SUSPENDED,
        Scope.ACCOUNT,
        advice=(
            "Z.AI has restricted this account for use outside the tools that its coding plan "
            "names (fair use, 1313). It closes the plan after three violations, so the account "
            "is not asked again"
        ),
    ),
    **dict.fromkeys(range(1316, 1322), _USED_UP),
}

_TOO_LONG: Final = re.compile(
    r"prompt exceeds max|(?:prompt|input|context).{0,40}(?:too long|exceed)|超长|超过.{0,20}长度",
    re.IGNORECASE,
)
_CODE_IN_TEXT: Final = re.compile(r"\[(1\d{3})\]|^\W{0,3}(1\d{3})(?=\D|$)|\bcode\W{1,4}(1\d{3})\b")


def read_zai_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is."""
    if is_page(body):
        return read_anthropic_failure(status, headers, body, now=now)
    error = _read(status, body)
    meaning = _meaning(error)
    if meaning is None:
        usual = encode({"error": {**error.fields, "message": error.message}})
        return read_anthropic_failure(error.status, headers, usual, now=now)
    if meaning is _BAD and _TOO_LONG.search(error.message):
        return failure_of(FailureKind.TOO_LONG, error, detail=too_long(error.message))
    return failure_of(
        meaning.kind,
        error,
        detail=_detail(meaning, error),
        retry_at=_retry_at(meaning, headers, error, now),
        scope=meaning.scope,
        crowded=meaning.crowded,
    )


def _read(status: int, body: bytes) -> ErrorBody:
    """Where there is no error object, the text is under `msg`."""
    error = read_error_body(status, body)
    said = error.fields.get("msg")
    return error._replace(message=said) if not error.message and isinstance(said, str) else error


def _meaning(error: ErrorBody) -> _Meaning | None:
    """By `error.code`, `error.type`, or a code in the message, in this order."""
    for told in (error.code, error.type, *_codes_in(error.message)):
        if told.isdecimal() and (meaning := _MEANINGS.get(int(told[:6]))) is not None:
            return meaning
    return None


def _codes_in(message: str) -> tuple[str, ...]:
    found = _CODE_IN_TEXT.search(message)
    return tuple(code for code in found.groups() if code) if found is not None else ()


def _retry_at(
    meaning: _Meaning, headers: Mapping[str, str], error: ErrorBody, now: float
) -> float | None:
    """The text's own moment before any header: only it knows of windows of hours and weeks."""
    if meaning.kind not in (FailureKind.QUOTA, FailureKind.RATE, FailureKind.CAPACITY):
        return None
    moment = retry_at({}, error.message, now) or retry_at(headers, "", now)
    return moment if moment is not None or meaning.rest is None else now + meaning.rest


def _detail(meaning: _Meaning, error: ErrorBody) -> str:
    """The advice before Z.AI's own words, where there is some."""
    return ": ".join(filter(None, (meaning.advice, error.message)))
