"""What went wrong, twice: `Failure` is an upstream's no, `ProxyError` is what a client is told.

A `Failure` is made once, next to the upstream that caused it, from status, headers and body; nobody
after that reads message text. Policy turns failures into another try or into one `ProxyError`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final

from mcp_proxy.account import Secret
from mcp_proxy.spelling import suggestion
from mcp_proxy.values import value

_LONG: Final = 8
"""Characters of a secret that is nothing but one, wherever it stands."""


class FailureKind(StrEnum):
    """Why an upstream call gave no answer. Everything that follows depends on this alone."""

    RATE = "rate"  # too many calls in a short time; the account is fine
    QUOTA = "quota"  # the quota bucket is empty until `retry_at`
    CAPACITY = "capacity"  # the model is overloaded for everybody; says nothing about the account
    AUTH_EXPIRED = "auth_expired"  # the access token was refused; a refresh may mend it
    AUTH_REVOKED = "auth_revoked"  # the sign-in is gone; only its owner can mend it
    VERIFICATION = "verification"  # the provider wants its owner to verify the account, at `url`
    SUSPENDED = "suspended"  # the provider closed the account to this use
    MISCONFIGURED = "misconfigured"  # permission denied for project or API; not a matter of waiting
    BAD_REQUEST = "bad_request"  # the request itself is refused; no other account would take it
    TOO_LONG = "too_long"  # the prompt does not fit the model's window
    UNSUPPORTED = "unsupported"  # one feature, `feature`, is refused; without it it would do
    SEAL = "seal"  # a thought signature or the order of thinking was refused
    NOT_FOUND = "not_found"  # the model (or the project) does not exist for this account
    UPSTREAM = "upstream"  # a 5xx, a broken or cut answer, something that is not the API at all
    EMPTY = "empty"  # a well-formed answer without any content
    NETWORK = "network"  # no connection, DNS, TLS, reset
    UNTRUSTED = "untrusted"  # the host's certificate is not accepted; it would not be next time
    SLOW = "slow"  # silent past the time-out


class Scope(StrEnum):
    """How much of an account a limit covers."""

    MODEL = "model"
    BUCKET = "bucket"  # every model that shares the quota bucket
    ACCOUNT = "account"


@value
class Failure:
    """One upstream call that did not give an answer."""

    kind: FailureKind
    detail: str
    """The upstream's own words, scrubbed of secrets and cut to a readable length."""
    status: int | None = None
    retry_at: float | None = None
    """Unix time at which the upstream said it would serve again, unrounded."""
    scope: Scope = Scope.MODEL
    url: str | None = None
    """Where the account's owner can mend it (verification, appeal, enabling an API)."""
    feature: str | None = None
    """With UNSUPPORTED: what is refused, a name of `providers.features`."""
    crowded: bool = False
    """The account takes one call at a time; more at once were too many."""
    unsent: bool = False
    """No token was to be had just now, so nothing was sent: it says nothing of model or host."""

    def concealing(self, secrets: Iterable[Secret]) -> "Failure":
        """The failure without these: upstreams quote in their errors what they were sent."""
        detail = self.detail
        for secret in secrets:
            hidden = secret.value
            if len(hidden) >= _LONG:
                detail = detail.replace(hidden, "…")
            elif hidden:
                # Keys of servers at home are short, and may be a part of other words.
                detail = re.sub(rf"(?<!\w){re.escape(hidden)}(?!\w)", "…", detail)
        return self if detail == self.detail else replace(self, detail=detail)


class ErrorKind(StrEnum):
    """What a client is told. Each dialect has a table from this to status, type and code."""

    BAD_REQUEST = "bad_request"
    TOO_LONG = "too_long"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNKNOWN_MODEL = "unknown_model"
    METHOD = "method"
    TOO_LARGE = "too_large"
    TOO_LARGE_UPSTREAM = "too_large_upstream"
    MEDIA_TYPE = "media_type"
    LIMITED = "limited"
    NO_ACCOUNT = "no_account"
    UPSTREAM = "upstream"
    OVERLOADED = "overloaded"
    SLOW = "slow"
    INTERNAL = "internal"
    LOOP = "loop"


RETRY_IS_POINTLESS = frozenset(
    {
        ErrorKind.BAD_REQUEST,
        ErrorKind.TOO_LONG,
        ErrorKind.UNAUTHENTICATED,
        ErrorKind.FORBIDDEN,
        ErrorKind.NOT_FOUND,
        ErrorKind.UNKNOWN_MODEL,
        ErrorKind.METHOD,
        ErrorKind.TOO_LARGE,
        ErrorKind.TOO_LARGE_UPSTREAM,
        ErrorKind.MEDIA_TYPE,
        ErrorKind.NO_ACCOUNT,
        ErrorKind.LOOP,
    }
)

LONGEST_USEFUL_RETRY = 60.0
"""Seconds. SDKs sleep exactly as long as `retry-after` says, Claude Code gives up above this."""


class ProxyError(Exception):
    """The one exception that becomes an answer to a client. Its text is written for a person."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        """JSON path of the field at fault, as in `messages[3].role`."""
        self.retry_after = retry_after
        """Seconds until the request is worth repeating."""

    @property
    def retry_is_pointless(self) -> bool:
        """Whether `x-should-retry: false` belongs on the answer."""
        if self.kind in RETRY_IS_POINTLESS:
            return True
        return self.retry_after is not None and self.retry_after > LONGEST_USEFUL_RETRY


class BadRequest(ProxyError):
    """The client's request cannot be honoured; `param` is the JSON path of the field at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        text = f"{param}: {message}" if param else message
        super().__init__(ErrorKind.BAD_REQUEST, text, param=param)


class UnknownModel(ProxyError):
    """No account serves a model of this name, and no alias or route has it."""

    def __init__(self, name: str, *, nearest: tuple[str, ...] = ()) -> None:
        shown, hint = name[:128], suggestion(nearest)
        super().__init__(
            ErrorKind.UNKNOWN_MODEL,
            f"model: {shown!r} is not known.{hint} `mcproxy models` lists what can be asked for.",
            param="model",
        )


class UserError(Exception):
    """Something a person at the terminal can mend. `str()` is the whole message, no traceback."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
