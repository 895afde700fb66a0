"""How Cloud Code says no: each error body in the words of the real one, and the exception for it.

Source: protocols/cloudcode.md 6.1 (bodies A to H), 4.7 and 3 (texts of 400s). Knows nothing of
when a refusal is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JsonObject = dict[str, Any]

_DOMAIN = "cloudcode-pa.googleapis.com"
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer that is not a stream. `body` is JSON, or text when it is a str."""

    status: int
    body: JsonObject | str
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """This call is answered with `answer` and nothing else happens."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.body)[:300])
        self.answer = answer


def error_body(code: int, message: str, details: list[JsonObject] | None = None) -> JsonObject:
    """The error object that every Google API answers with."""
    error: JsonObject = {"code": code, "message": message, "status": _STATUS_NAMES[code]}
    if details:
        error["details"] = details
    return {"error": error}


def invalid(message: str, *details: JsonObject) -> Answer:
    """H: the request itself is wrong."""
    return Answer(400, error_body(400, message, list(details)))


def unauthenticated() -> Answer:
    """H: no access token, or one that has expired."""
    return Answer(
        401,
        error_body(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
            "cookie or other valid authentication credential.",
        ),
    )


def api_key_refused() -> Answer:
    return Answer(
        401,
        error_body(
            401,
            "API keys are not supported by this API. Expected OAuth2 access token or other "
            "authentication credentials that assert a principal.",
        ),
    )


def limited(reason: str, model: str, seconds: float, now: float) -> Answer:
    """A and B: a limit of this account, with the wait in every form the real one gives it in."""
    body = error_body(
        429,
        "You have exhausted your capacity on this model. "
        f"Your quota will reset after {go_duration(int(seconds))}.",
        [
            _error_info(
                reason,
                model=model,
                quotaResetDelay=go_duration(seconds),
                quotaResetTimeStamp=iso(now + seconds),
                uiMessage="true",
            ),
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{round(seconds, 9):.15g}s",
            },
        ],
    )
    return Answer(429, body)


def generic_limit() -> Answer:
    """C: a 429 that says nothing."""
    return Answer(429, error_body(429, "Resource has been exhausted (e.g. check quota)."))


def no_capacity(model: str, status: int) -> Answer:
    """D: the model is overloaded for everybody; seen as 503, 429 and 529."""
    body = error_body(
        503,
        f"No capacity available for model {model} on the server",
        [_error_info("MODEL_CAPACITY_EXHAUSTED", model=model)],
    )
    return Answer(status, body)


def verification_needed(url: str) -> Answer:
    """E: the owner must verify the account."""
    message = "VALIDATION_REQUIRED: Verify your account to continue."
    return Answer(403, error_body(403, message, [{"metadata": {"validation_url": url}}]))


def suspended() -> Answer:
    """The account is closed to this use for good."""
    message = (
        "This service has been disabled in this account for violation of Terms of Service. "
        "If you believe this is an error, contact support."
    )
    return Answer(403, error_body(403, message))


def no_credits(model: str) -> Answer:
    """F: Google One AI credits are used up."""
    message = "Insufficient Google One AI credits balance."
    info = _error_info("INSUFFICIENT_G1_CREDITS_BALANCE", model=model)
    return Answer(429, error_body(429, message, [info]))


def unknown_project(project: str) -> Answer:
    """G: no such project."""
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ResourceInfo",
            "resourceType": "cloudresourcemanager.googleapis.com/Project",
            "resourceName": f"projects/{project}",
        }
    ]
    return Answer(404, error_body(404, "Requested entity was not found.", details))


def foreign_project(project: str) -> Answer:
    """The project exists and belongs to somebody else."""
    return Answer(
        403,
        error_body(
            403,
            "Permission 'cloudaicompanion.companions.generateChat' denied on resource "
            f"'//cloudaicompanion.googleapis.com/projects/{project}/locations/global' "
            "(or it may not exist).",
        ),
    )


def foreign_quota_project(project: str) -> Answer:
    """What the header `x-goog-user-project` earns when that project lacks the API."""
    return Answer(
        403,
        error_body(
            403,
            f"Cloud Code Private API has not been used in project {project} before or it is "
            "disabled.",
            [_error_info("SERVICE_DISABLED", consumer=f"projects/{project}")],
        ),
    )


def unknown_model() -> Answer:
    return Answer(404, error_body(404, "Requested entity was not found."))


def outdated_client() -> Answer:
    """The version in the User-Agent is a gate (1.3)."""
    return invalid(
        "This version of Antigravity is no longer supported. "
        "Please update to receive the latest features!"
    )


def internal() -> Answer:
    return Answer(500, error_body(500, "Internal error encountered."))


def html_page(status: int) -> Answer:
    """What a front end answers when the API behind it does not."""
    page = (
        f"<!DOCTYPE html>\n<html lang=en>\n<title>Error {status} (Server Error)!!1</title>\n"
        f"<p><b>{status}.</b> <ins>That’s an error.</ins>\n<p>The server encountered a temporary "
        "error and could not complete your request.<p>Please try again in 30 seconds.\n</html>\n"
    )
    return Answer(status, page, {"content-type": "text/html; charset=UTF-8"})


def go_duration(seconds: float) -> str:
    """6213.5 -> "1h43m33.5s", 0.479417207 -> "479.417207ms": Go's own spelling."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{round(seconds * 1000, 6):.12g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{round(rest, 9):.12g}s"
    if hours or minutes:
        text = f"{int(minutes)}m{text}"
    return f"{int(hours)}h{text}" if hours else text


def iso(moment: float) -> str:
    """Unix time -> "2026-04-20T09:19:49Z"."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error_info(reason: str, **metadata: str) -> JsonObject:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": _DOMAIN,
        "metadata": metadata,
    }
