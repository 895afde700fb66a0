"""Finding a project, and waiting while one is made."""

from typing import Any

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.signin.http import send
from mcp_proxy.signin.project import POLL_PAUSES, Discovered, discover_project

LOAD, ONBOARD = "/v1internal:loadCodeAssist", "/v1internal:onboardUser"
NEW = {"allowedTiers": [{"id": "free-tier", "isDefault": True}]}
ACCOUNT = Account("work", "antigravity")


class Pauses(list[float]):
    """A clock that only notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def discover(google: Script, pauses: Pauses | None = None) -> Discovered | Failure:
    settings = ProviderSettings(base_urls=(google.url,))
    pause = pauses if pauses is not None else Pauses()
    return discover_project(ACCOUNT, Secret("ya29.x"), settings, send, pause=pause)


def done(project: str | None) -> dict[str, Any]:
    response = {"cloudaicompanionProject": {"id": project}} if project else {}
    return {"name": "operations/1", "done": True, "response": response}


def test_a_project_that_is_known_needs_one_call(google: Script) -> None:
    google.says(LOAD, (200, {"cloudaicompanionProject": "p-1", "paidTier": {"id": "g1-pro-tier"}}))
    assert discover(google) == Discovered("p-1", "pro")
    assert google.paths() == [LOAD]


def test_a_project_in_the_making_is_waited_for(google: Script) -> None:
    google.says(LOAD, (200, NEW))
    google.says(ONBOARD, (200, {"done": False}), (200, {"done": False}), (200, done("p-2")))
    pauses = Pauses()
    assert discover(google, pauses) == Discovered("p-2", "free")
    assert pauses == list(POLL_PAUSES[:2])
    assert google.paths() == [LOAD, ONBOARD, ONBOARD, ONBOARD]


def test_a_project_that_shows_only_at_the_next_look_is_found(google: Script) -> None:
    google.says(LOAD, (200, NEW), (200, {**NEW, "cloudaicompanionProject": {"id": "p-3"}}))
    google.says(ONBOARD, (200, done(None)))
    assert discover(google) == Discovered("p-3", "free")


REFUSED = {"code": 7, "message": "account not eligible: age"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [(7, FailureKind.MISCONFIGURED), (9, FailureKind.MISCONFIGURED), (13, FailureKind.UPSTREAM)],
)
def test_why_no_project_is_made_is_told_in_googles_words(
    google: Script, code: int, kind: FailureKind
) -> None:
    google.says(LOAD, (200, NEW))
    google.says(
        ONBOARD, (200, {"done": False}), (200, {"done": True, "error": {**REFUSED, "code": code}})
    )
    found = discover(google)
    assert isinstance(found, Failure)
    assert (found.kind, found.detail) == (kind, REFUSED["message"])


def test_a_project_that_is_there_counts_more_than_a_refusal_to_make_it(google: Script) -> None:
    google.says(LOAD, (200, NEW), (200, {"cloudaicompanionProject": "p-4"}))
    google.says(ONBOARD, (200, {"done": True, "error": REFUSED}))
    assert discover(google) == Discovered("p-4", "unknown")


def test_patience_ends_within_a_minute_without_a_project(google: Script) -> None:
    google.says(LOAD, (200, NEW))
    google.says(ONBOARD, (200, {"done": False}))
    pauses = Pauses()
    assert discover(google, pauses) == Discovered(None, "free")
    assert sum(pauses) <= 60


VERIFY = {
    "error": {
        "code": 403,
        "status": "PERMISSION_DENIED",
        "message": "Verify your account to continue.",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "VALIDATION_REQUIRED",
                "metadata": {"validation_url": "https://accounts.google.com/verify"},
            }
        ],
    }
}


@pytest.mark.parametrize("path", [LOAD, ONBOARD])
def test_a_refusal_of_the_account_ends_the_search(google: Script, path: str) -> None:
    google.says(LOAD, (200, NEW))
    google.says(path, (403, VERIFY))
    found = discover(google)
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.VERIFICATION
    assert found.url == "https://accounts.google.com/verify"
    assert google.paths().count(path) == 1


@pytest.mark.parametrize("answer", [(500, b"<html>"), (200, b"<html>"), (200, [])])
def test_a_host_that_makes_no_sense_is_passed_over(google: Script, answer: tuple[int, Any]) -> None:
    google.says(LOAD, answer, (200, {"cloudaicompanionProject": "p-4"}))
    settings = ProviderSettings(base_urls=(google.url, google.url))
    found = discover_project(ACCOUNT, Secret("x"), settings, send)
    assert found == Discovered("p-4", "unknown")


def test_no_network_says_nothing_about_the_account() -> None:
    def unplugged(call: UpstreamCall) -> Any:
        raise OSError("Network is unreachable")

    settings = ProviderSettings(base_urls=("http://127.0.0.1:1",))
    found = discover_project(ACCOUNT, Secret("x"), settings, unplugged)
    assert found == Failure(FailureKind.NETWORK, "Network is unreachable")
