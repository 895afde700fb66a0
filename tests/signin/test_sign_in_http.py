"""The small client: answers as they are, no redirects, proxies where they belong."""

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture

from mcp_proxy.providers import UpstreamCall
from mcp_proxy.signin.http import send


def call(url: str, method: str = "POST", proxy: str | None = None) -> UpstreamCall:
    return UpstreamCall(url, {"Authorization": "Bearer canary"}, b"{}", method, proxy)


@pytest.mark.parametrize("status", [200, 307, 401, 404, 429, 503])
def test_every_status_is_an_answer(google: Script, status: int) -> None:
    google.says("/x", (status, b"body"))
    answer = send(call(f"{google.url}/x"))
    assert (answer.status, answer.body) == (status, b"body")
    assert answer.headers["content-length"] == "4"
    assert google.paths() == ["/x"]


def test_method_headers_and_body_are_sent_as_given(google: Script) -> None:
    google.says("/x", (200, b""))
    send(call(f"{google.url}/x"))
    send(call(f"{google.url}/x", method="GET"))
    (_, headers, posted), (_, _, got) = google.seen
    assert headers["authorization"] == "Bearer canary"
    assert (posted, got) == (b"{}", b"")


def test_no_server_is_an_os_error_without_secrets() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1") as caught:
        send(call("http://127.0.0.1:1/x?key=canary"))
    assert "canary" not in str(caught.value)


def test_an_accounts_own_proxy_is_used(google: Script) -> None:
    google.says("/through", (200, b"proxied"))
    assert send(call("http://127.0.0.2/through", proxy=google.url)).body == b"proxied"


def test_the_environments_proxy_is_not_for_this_machine(
    google: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    google.says("/x", (200, b"direct"))
    assert send(call(f"{google.url}/x")).body == b"direct"
