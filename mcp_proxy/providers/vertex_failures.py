"""What an error answer of Vertex AI means: Google's envelope, or Anthropic's for Claude.

A project, an API, a model in the Model Garden: each has to be switched on by its owner, so a
refusal says where (providers.md 5).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.providers.anthropic_failures import read_anthropic_failure
from mcp_proxy.providers.gemini_failures import read_public_failure
from mcp_proxy.providers.google_failures import GoogleError, read_error
from mcp_proxy.providers.loose_json import object_or_empty

_CONSOLE: Final = "https://console.cloud.google.com"


def read_vertex_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> Failure:
    """One failure for one error answer; never raises, whatever the body is."""
    if _is_anthropics(body):
        return read_anthropic_failure(status, headers, body, now=now, has_token=True)
    failure = read_public_failure(status, headers, body, now=now)
    error = read_error(status, body)
    match failure.kind:
        case FailureKind.NOT_FOUND:
            return _not_offered(failure, error)
        case FailureKind.MISCONFIGURED:
            return _denied(failure, error)
        case FailureKind.QUOTA if failure.retry_at is None:
            # Quotas here are by the minute unless they are named otherwise.
            return replace(failure, kind=FailureKind.RATE, scope=Scope.MODEL)
        case _:
            return failure


def _is_anthropics(body: bytes) -> bool:
    return object_or_empty(body).get("type") == "error"


_MODEL: Final = re.compile(r"publishers/(?P<publisher>[\w-]+)/models/(?P<model>[\w.@-]+)")
_PROJECT: Final = re.compile(r"projects/([\w.:-]+)")


def _not_offered(failure: Failure, error: GoogleError) -> Failure:
    """A model that the project has not enabled, or that its location does not have."""
    found = _MODEL.search(error.message)
    if found is None:
        return failure
    url = _garden(found, error.message)
    detail = (
        f"{found['model']} is not offered to this project in this location. Enable it in the Model "
        f"Garden at {url}, or choose another location: {failure.detail}"
    )
    return replace(failure, scope=Scope.MODEL, detail=detail, url=url)


def _garden(found: re.Match[str], message: str) -> str:
    model = found["model"].partition("@")[0]
    url = f"{_CONSOLE}/vertex-ai/publishers/{found['publisher']}/model-garden/{model}"
    project = _PROJECT.search(message)
    return f"{url}?project={project[1]}" if project else url


_API_IS_OFF: Final = ("service_disabled", "has not been used in project", "it is disabled")
_NOT_ENABLED: Final = ("model garden", "not enabled", "accept the terms", "consumer procurement")
_NOT_PERMITTED: Final = ("aiplatform.", "iam_permission_denied")


def _denied(failure: Failure, error: GoogleError) -> Failure:
    if error.mentions(*_API_IS_OFF):
        url = failure.url or f"{_CONSOLE}/apis/library/aiplatform.googleapis.com"
        detail = f"the Vertex AI API is not enabled in this project. Enable it at {url}"
        return replace(failure, detail=f"{detail}: {failure.detail}", url=url)
    if error.mentions(*_NOT_ENABLED):
        return _not_offered(replace(failure, kind=FailureKind.NOT_FOUND), error)
    if error.mentions(*_NOT_PERMITTED):
        detail = f"the credentials need the role Vertex AI User in the project: {failure.detail}"
        return replace(failure, detail=detail)
    return failure
