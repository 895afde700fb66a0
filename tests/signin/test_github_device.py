"""GitHub's device flow, against a server that plays it; time is the test's."""

import pytest
from google_script import Script, scripted_google  # noqa: F401 - a fixture

from mcp_proxy.account import Secret
from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings, UpstreamCall
from mcp_proxy.providers.copilot import GITHUB_API
from mcp_proxy.signin.device import DeviceCode
from mcp_proxy.signin.github import CLIENT_ID, GITHUB, GitHubSignIn
from mcp_proxy.signin.http import Answer, send

START = "/login/device/code"
LOOK = "/login/oauth/access_token"
STARTED = {
    "device_code": "canary-device",
    "user_code": "ABCD-1234",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 899,
    "interval": 5,
}
PENDING = (200, {"error": "authorization_pending"})
GRANTED = (200, {"access_token": "gho_granted", "token_type": "bearer", "scope": "read:user"})


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def sign_in(server: Script) -> GitHubSignIn:
    return GitHubSignIn(
        ProviderSettings(
            auth_url=f"{server.url}{START}",
            token_url=f"{server.url}/api/copilot_internal/v2/token",
        )
    )


def waited(server: Script, *answers: tuple[int, object]) -> tuple[Secret, Time]:
    server.says(START, (200, STARTED))
    server.says(LOOK, *answers)
    time, flow = Time(), sign_in(server)
    return flow.wait(flow.start(), clock=lambda: time.now, pause=time.pause), time


def test_a_code_is_asked_for_and_shown(google: Script) -> None:
    google.says(START, (200, STARTED))
    code = sign_in(google).start()
    assert code == DeviceCode(
        "ABCD-1234", "https://github.com/login/device", Secret("canary-device"), 6.0, 899.0
    )
    assert google.forms(START) == [{"client_id": CLIENT_ID, "scope": "read:user"}]
    ((_, headers, _),) = google.seen
    assert headers["accept"] == "application/json"
    assert "canary" not in repr(code)


def test_the_token_comes_once_the_code_was_typed(google: Script) -> None:
    token, time = waited(google, PENDING, PENDING, GRANTED)
    assert token == Secret("gho_granted")
    assert time.pauses == [6.0, 6.0, 6.0]
    assert google.forms(LOOK)[0] == {
        "client_id": CLIENT_ID,
        "device_code": "canary-device",
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    }


@pytest.mark.parametrize(
    ("answer", "next_pause"),
    [({"error": "slow_down"}, 11.0), ({"error": "slow_down", "interval": 30}, 31.0)],
)
def test_being_told_to_slow_down_is_heeded(
    google: Script, answer: dict[str, object], next_pause: float
) -> None:
    _, time = waited(google, (200, answer), PENDING, GRANTED)
    assert time.pauses == [6.0, next_pause, next_pause]


def test_a_code_that_nobody_types_runs_out(google: Script) -> None:
    with pytest.raises(UserError, match="within 15 minutes"):
        waited(google, PENDING)
    assert len(google.forms(LOOK)) == 899 // 6


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "declined"),
        ("expired_token", "ran out"),
        ("unsupported_grant_type", "unsupported_grant_type"),
    ],
)
def test_a_refusal_ends_the_wait(google: Script, error: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        waited(google, (200, {"error": error}))
    assert len(google.forms(LOOK)) == 1


@pytest.mark.parametrize("answer", [(404, b"nope"), (200, {"error": "unauthorized_client"})])
def test_no_code_is_one_clear_error(google: Script, answer: tuple[int, object]) -> None:
    google.says(START, answer)
    with pytest.raises(UserError, match="gave no code"):
        sign_in(google).start()


def test_a_server_that_is_not_there_is_one_clear_error(unused_port: int) -> None:
    settings = ProviderSettings(auth_url=f"http://127.0.0.1:{unused_port}{START}")
    with pytest.raises(UserError, match="could not be reached"):
        GitHubSignIn(settings).start()


def test_a_line_that_breaks_while_waiting_costs_one_look(google: Script) -> None:
    google.says(START, (200, STARTED))
    google.says(LOOK, GRANTED)
    lost = iter([True, False])

    def shaky(call: UpstreamCall) -> Answer:
        if call.url.endswith(LOOK) and next(lost):
            raise OSError("gone")
        return send(call)

    settings = ProviderSettings(auth_url=f"{google.url}{START}")
    time, flow = Time(), GitHubSignIn(settings, send=shaky)
    code = flow.start()
    assert flow.wait(code, clock=lambda: time.now, pause=time.pause) == Secret("gho_granted")
    assert len(time.pauses) == 2


def test_whose_login_it_is_is_asked_with_the_token(google: Script) -> None:
    google.says("/api/user", (200, {"login": "octocat", "id": 1}))
    assert sign_in(google).login_of(Secret("gho_x")) == "octocat"
    ((_, headers, _),) = google.seen
    assert headers["authorization"] == "token gho_x"


@pytest.mark.parametrize("answer", [(500, b"oops"), (200, []), (200, {"login": 5})])
def test_a_login_without_a_name_is_still_one(google: Script, answer: tuple[int, object]) -> None:
    google.says("/api/user", answer)
    assert sign_in(google).login_of(Secret("gho_x")) is None


@pytest.mark.parametrize(
    ("settings", "site", "api"),
    [
        (ProviderSettings(), GITHUB, GITHUB_API),
        (
            ProviderSettings(token_url="http://h/gh/copilot_internal/v2/token"),
            "http://h/gh",
            "http://h/gh",
        ),
        (ProviderSettings(auth_url="http://h/gh/login/device/code"), "http://h/gh", GITHUB_API),
        (
            ProviderSettings(auth_url="http://h/page", token_url="http://h:9/exchange"),
            "http://h",
            "http://h:9",
        ),
    ],
)
def test_replaced_addresses_have_the_other_paths_beside_them(
    settings: ProviderSettings, site: str, api: str
) -> None:
    asked: list[str] = []

    def noting(call: UpstreamCall) -> Answer:
        asked.append(call.url)
        raise OSError("nobody there")

    flow = GitHubSignIn(settings, send=noting)
    with pytest.raises(UserError):
        flow.start()
    flow.login_of(Secret("t"))
    assert asked == [f"{site}{START}", f"{api}/user"]
