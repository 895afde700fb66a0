"""`accounts add` and `--from` for every kind of provider, as processes against loopback servers."""

import asyncio
import json
import os
import pty
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.state import StateReader

Json = dict[str, Any]

KEYED = ("anthropic", "openai", "gemini")


@pytest.fixture
async def places() -> AsyncIterator[DemoPlaces]:
    async with DemoPlaces() as listening:
        yield listening


@pytest.fixture
def near(home: Home, places: DemoPlaces) -> Home:
    """A home in which every provider's address is that of the places."""
    lines = []
    for name, settings in places.settings().items():
        if name != "openai-compatible":
            lines += [f"[providers.{name}]", f'base_url = "{settings.base_urls[0]}"']
    home.configure("\n".join(lines))
    return home


def key_of(places: DemoPlaces, provider: str, name: str = "me") -> str:
    key = places.account(provider, name).credential.api_key
    assert key is not None
    return key.value


def compatible_url(places: DemoPlaces) -> str:
    return places.settings()["openai-compatible"].base_urls[0]


def account(ran: Ran) -> Json:
    found: Json = json.loads(ran.stdout)["account"]
    return found


def stored(home: Home) -> list[Account]:
    return list(AccountStore(home.paths.accounts).load().accounts)


# ------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize("provider", KEYED)
async def test_a_key_from_stdin_is_tried_and_kept(
    cli: Cli, near: Home, places: DemoPlaces, provider: str
) -> None:
    key = key_of(places, provider)
    add = ("accounts", "add", "--provider", provider, "--api-key", "-", "--json")
    ran = await cli.beside(*add, stdin=f"{key}\n")
    assert (ran.code, json.loads(ran.stdout)["action"]) == (0, "added")
    row = account(ran)
    assert (row["id"], row["provider"], row["ok"]) == (provider, provider, True)
    assert row["models"]
    assert key not in ran.stdout + ran.stderr
    (kept,) = stored(near)
    assert kept.credential == Credential(api_key=Secret(key))
    assert stat.S_IMODE(near.paths.accounts.stat().st_mode) == 0o600
    again = await cli.beside(*add, stdin=f"{key}\n")
    assert (json.loads(again.stdout)["action"], len(stored(near))) == ("updated", 1)
    other = await cli.beside(*add, stdin=key_of(places, provider, "another"))
    assert account(other)["id"] == f"{provider}-2"


async def test_a_key_may_stand_on_the_command_line(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "anthropic")
    add = ("accounts", "add", "--provider", "anthropic", "--id", "work", "--api-key", key)
    ran = await cli.beside(*add)
    assert ran.code == 0
    assert "Added work (anthropic)." in ran.stdout
    assert "work (anthropic) works: " in ran.stdout
    assert "claude-" in ran.stdout


async def test_a_key_that_is_refused_is_not_kept_and_replaces_none(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    add = ("accounts", "add", "--provider", "anthropic", "--api-key", "-")
    ran = await cli.beside(*add, stdin="sk-wrong\n")
    assert (ran.code, ran.stdout) == (1, "")
    assert "the key is refused" in ran.stderr
    assert "sk-wrong" not in ran.stderr
    assert not near.paths.accounts.exists()
    key = key_of(places, "anthropic")
    await cli.beside(*add, "--id", "work", stdin=key)
    assert (await cli.beside(*add, "--id", "work", stdin="sk-wrong\n")).code == 1
    assert [each.credential.api_key for each in stored(near)] == [Secret(key)]


async def test_a_new_key_for_an_account_changes_nothing_else(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    old = Account(
        "work",
        "anthropic",
        Credential(api_key=Secret("sk-old")),
        label="mine",
        enabled=False,
        soft_limit=0.5,
        extras={"colour": "blue"},
    )
    near.add(old)
    key = key_of(places, "anthropic")
    ran = await cli.beside("accounts", "add", "--id", "work", "--api-key", "-", stdin=key)
    assert ran.code == 0
    (kept,) = stored(near)
    assert kept.credential == Credential(api_key=Secret(key))
    assert (kept.label, kept.enabled, kept.soft_limit, kept.extras) == (
        "mine",
        False,
        0.5,
        {"colour": "blue"},
    )


async def test_what_was_learned_is_there_for_the_other_verbs(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    add = ("accounts", "add", "--provider", "gemini", "--api-key", "-")
    await cli.beside(*add, stdin=key_of(places, "gemini"))
    asked = len(places.requests)
    models = await cli.beside("models", "--json")
    assert {tuple(row["accounts"]) for row in json.loads(models.stdout)["models"]} == {("gemini",)}
    assert len(places.requests) == asked
    assert (await cli.beside("accounts", "verify")).code == 0


def typed(command: list[str], line: str) -> tuple[int, str]:
    """Runs a command on a terminal and types one line; its exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown = b""
    with suppress(OSError):  # the terminal is gone with its last process
        while b"API key" not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, line.encode() + b"\n")
        while piece := os.read(terminal, 1024):
            shown += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


async def test_a_key_is_typed_without_an_echo(cli: Cli, near: Home, places: DemoPlaces) -> None:
    key = key_of(places, "gemini")
    command = cli.command("accounts", "add", "--provider", "gemini")
    code, shown = await asyncio.to_thread(typed, command, key)
    assert code == 0, shown
    assert "API key for gemini" in shown
    assert key not in shown
    assert [each.credential.api_key for each in stored(near)] == [Secret(key)]


# ----------------------------------------------------------------------- servers with OpenAI's API


async def test_a_local_server_needs_nothing_but_its_address(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    url = compatible_url(places)
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url, "--json")
    ran = await cli.beside(*add)
    assert ran.code == 0, ran.stderr
    row = account(ran)
    assert (row["id"], row["ok"]) == ("127.0.0.1", True)
    (kept,) = stored(near)
    assert (kept.base_url, kept.credential) == (url, Credential())
    models = await cli.beside("models", "--json")
    served = [each["id"] for each in json.loads(models.stdout)["models"]]
    assert sorted(served) == sorted(each["id"] for each in row["models"])
    again = await cli.beside(*add)
    assert (json.loads(again.stdout)["action"], len(stored(near))) == ("updated", 1)


async def test_headers_and_models_of_ones_own_are_kept(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    ran = await cli.beside(
        *("accounts", "add", "--provider", "openai-compatible", "--id", "router"),
        *("--base-url", compatible_url(places), "--header", "X-Title=a=b"),
        *("--header", "HTTP-Referer=https://me.example", "--model", "m-1", "--model", "m-2"),
    )
    assert ran.code in (0, 1), ran.stderr
    (kept,) = stored(near)
    assert kept.headers == {"X-Title": "a=b", "HTTP-Referer": "https://me.example"}
    assert kept.models == ("m-1", "m-2")
    assert places.requests[-1].headers["X-Title"] == "a=b"


def test_a_server_that_does_not_run_yet_is_kept_and_told(
    cli: Cli, home: Home, unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}/v1"
    ran = cli("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    assert ran.code == 1
    assert "When that is mended: mcproxy accounts verify 127.0.0.1" in ran.stdout
    assert [each.base_url for each in stored(home)] == [url]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:11434/v1", "ollama"),
        ("http://127.0.0.1:1234/v1", "lmstudio"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1"),
        ("https://openrouter.ai/api/v1", "openrouter.ai"),
    ],
)
def test_a_server_is_called_by_what_it_is_or_where(
    cli: Cli, home: Home, url: str, name: str
) -> None:
    # The proxy keeps all of them out of reach: what counts is what is written down.
    env = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    add = ("accounts", "add", "--provider", "openai-compatible", "--base-url", url)
    cli(*add, env=env)
    assert [each.id for each in stored(home)] == [name]


WRONG = {
    ("--provider", "openai-compatible"): "--base-url is needed",
    ("--provider", "gemini"): "--api-key is needed without a terminal",
    ("--provider", "gemini", "--refresh-token", "-"): "--refresh-token is not for gemini",
    ("--provider", "gemini", "--no-browser"): "--no-browser is not for gemini",
    ("--provider", "gemini", "--header", "a=b"): "--header is not for gemini",
    ("--provider", "gemini", "--api-key", "two words"): "--api-key must be one run",
    ("--provider", "copilot", "--accept-risk", "--api-key", "x"): "--api-key is not for copilot",
    ("--provider", "vertex", "--location", "evil.example/"): "--location must be made of",
    ("--provider", "openai-compatible", "--header", "canary"): "--header takes NAME=VALUE",
    ("--provider", "openai-compatible", "--header", "Host=canary"): "--header must not have Host",
    ("--provider", "zai", "--from", "codex"): "--from codex gives accounts of codex, not of zai",
    ("--provider", "zai", "--file", __file__): "--file goes with --from",
}


@pytest.mark.parametrize(("arguments", "reason"), WRONG.items(), ids=lambda each: str(each)[:60])
def test_what_does_not_go_together_is_exit_code_2_and_changes_nothing(
    cli: Cli, home: Home, arguments: tuple[str, ...], reason: str
) -> None:
    ran = cli("accounts", "add", *arguments)
    assert (ran.code, ran.stdout) == (2, "")
    assert reason in ran.stderr
    assert "canary" not in ran.stderr
    assert not home.paths.accounts.exists()


# --------------------------------------------------------------------------------- the environment


async def test_keys_in_the_environment_serve_and_are_shown_as_such(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "gemini")
    env = {"GEMINI_API_KEY": key, "OPENAI_BASE_URL": compatible_url(places)}
    models = await cli.beside("models", "--json", env=env)
    served = {name for row in json.loads(models.stdout)["models"] for name in row["accounts"]}
    assert served == {"env-gemini", "env-openai"}
    listed = await cli.beside("accounts", "list", "--json", env=env)
    rows = json.loads(listed.stdout)["accounts"]
    assert [(row["id"], row["source"]) for row in rows] == [
        ("env-openai", "environment"),
        ("env-gemini", "environment"),
    ]
    assert (await cli.beside("accounts", "verify", "env-gemini", env=env)).code == 0
    disabled = await cli.beside("accounts", "disable", "env-gemini", env=env)
    assert disabled.code == 1
    assert "comes from the environment" in disabled.stderr
    assert not near.paths.accounts.exists()
    everything = b"".join(f.read_bytes() for f in near.root.rglob("*") if f.is_file())
    assert key.encode() not in everything


async def test_keys_in_the_environment_can_be_taken_over(
    cli: Cli, near: Home, places: DemoPlaces
) -> None:
    key = key_of(places, "gemini")
    env = {"GEMINI_API_KEY": key, "OPENAI_BASE_URL": compatible_url(places)}
    ran = await cli.beside("accounts", "add", "--from", "env", "--json", env=env)
    assert ran.code == 0, ran.stderr
    rows = json.loads(ran.stdout)["accounts"]
    assert [(row["action"], row["provider"]) for row in rows] == [
        ("added", "openai-compatible"),
        ("added", "gemini"),
    ]
    assert "took the account of gemini" in ran.stderr
    assert key not in ran.stdout + ran.stderr
    assert [each.transient for each in stored(near)] == [False, False]


def test_an_environment_without_keys_is_told(cli: Cli, home: Home) -> None:
    ran = cli("accounts", "add", "--from", "env")
    assert (ran.code, ran.stdout) == (1, "")
    assert "env has no login that could be used" in ran.stderr


# ------------------------------------------------------------------------------ GitHub and Google

Answering = Callable[[web.Request], Any]


@asynccontextmanager
async def answering(answers: Mapping[str, Answering]) -> AsyncIterator[str]:
    """A server with these answers by path; everything else is 404. Gives its URL."""

    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path)
        if found is None:
            return web.json_response({"message": f"no {request.path}"}, status=404)
        document = await found(request) if asyncio.iscoroutinefunction(found) else found(request)
        return web.json_response(document)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def github(told: list[str]) -> dict[str, Answering]:
    """A GitHub on which somebody types the code after the first look."""
    looks = iter([{"error": "authorization_pending"}])
    code = {
        "device_code": "canary-device",
        "user_code": "ABCD-1234",
        "verification_uri": "https://github.example/device",
        "interval": 0.01,
        "expires_in": 60,
    }
    gone = {"access_token": "gho_canary", "token_type": "bearer", "scope": "read:user"}

    def exchanged(request: web.Request) -> Json:
        told.append(request.headers["Authorization"])
        here = f"http://{request.host}"
        return {
            "token": "tid=canary",
            "expires_at": 4_000_000_000,
            "refresh_in": 1500,
            "endpoints": {"api": here},
        }

    model = {
        "id": "gpt-4.1",
        "name": "GPT-4.1",
        "model_picker_enabled": True,
        "capabilities": {"type": "chat", "limits": {"max_context_window_tokens": 128_000}},
    }
    user = {
        "copilot_plan": "individual",
        "quota_reset_date": "2099-01-01",
        "quota_snapshots": {"premium_interactions": {"percent_remaining": 42.0}},
    }
    return {
        "/login/device/code": lambda _: code,
        "/login/oauth/access_token": lambda _: next(looks, gone),
        "/user": lambda _: {"login": "octocat", "id": 1},
        "/copilot_internal/v2/token": exchanged,
        "/copilot_internal/user": lambda _: user,
        "/models": lambda _: {"object": "list", "data": [model]},
    }


async def test_copilot_is_signed_in_by_a_code(cli: Cli, home: Home) -> None:
    told: list[str] = []
    async with answering(github(told)) as url:
        home.configure(
            f'[providers.copilot]\ntoken_url = "{url}/copilot_internal/v2/token"\n'
            f'auth_url = "{url}/login/device/code"\n'
        )
        add = ("accounts", "add", "--provider", "copilot")
        refused = await cli.beside(*add)
        assert (refused.code, "--accept-risk" in refused.stderr) == (2, True)
        ran = await cli.beside(*add, "--accept-risk", "--json")
        assert ran.code == 0, ran.stderr
        assert "https://github.example/device" in ran.stderr
        assert "ABCD-1234" in ran.stderr
        row = account(ran)
        assert (row["id"], row["label"], row["tier"]) == ("octocat", "octocat", "individual")
        assert [each["id"] for each in row["models"]] == ["gpt-4.1"]
        assert [each["remaining"] for each in row["windows"]] == [0.42]
        listed = json.loads((await cli.beside("accounts", "list", "--json")).stdout)
        assert listed["accounts"][0]["plan"] == "individual"
    (kept,) = stored(home)
    assert kept.credential == Credential(refresh_token=Secret("gho_canary"))
    assert set(told) == {"token gho_canary"}
    assert "canary" not in ran.stdout + ran.stderr


def service_account(file: Path, token_url: str) -> Path:
    """A key file as Google gives it out, with a key that was made just now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    content = {
        "type": "service_account",
        "project_id": "their-project",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@their-project.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
    file.write_text(json.dumps(content))
    return file


async def test_vertex_takes_a_key_file_and_a_region(cli: Cli, home: Home, tmp_path: Path) -> None:
    probe = "/v1/projects/{}/locations/europe-west4/publishers/google/models/{}:countTokens"
    counted: list[str] = []

    def count(request: web.Request) -> Json:
        counted.append(request.headers["Authorization"])
        return {"totalTokens": 1}

    class Probes(dict[str, Answering]):
        def get(self, path: str, default: Any = None) -> Any:
            head, tail = probe.split("{}")[0], ":countTokens"
            is_probe = path.startswith(head) and path.endswith(tail) and "europe-west4" in path
            return count if is_probe else super().get(path, default)

    answers = Probes({"/token": lambda _: {"access_token": "ya29.canary", "expires_in": 3599}})
    async with answering(answers) as url:
        home.configure(f'[providers.vertex]\nbase_url = "{url}"\n')
        file = service_account(tmp_path / "robot.json", f"{url}/token")
        add = ("accounts", "add", "--provider", "vertex", "--credentials-file", str(file))
        ran = await cli.beside(*add, "--location", "europe-west4", "--json")
        assert ran.code == 0, ran.stderr + ran.stdout
        row = account(ran)
        assert (row["id"], row["project"]) == ("robot", "their-project")
        again = await cli.beside(*add, "--location", "europe-west4", "--json")
        assert json.loads(again.stdout)["action"] == "updated"
        elsewhere = await cli.beside(*add, "--location", "us-central1", "--json")
        assert account(elsewhere)["id"] == "robot-2"
        assert (await cli.beside("accounts", "verify", "robot")).code == 0
    kept = stored(home)[0]
    assert kept.credential == Credential(source="gcloud", file=str(file))
    assert (kept.location, kept.project) == ("europe-west4", "their-project")
    assert set(counted) == {"Bearer ya29.canary"}
    assert StateReader(home.paths.state).items("tokens") == {}
    written = home.paths.accounts.read_text() + ran.stdout + ran.stderr
    assert "canary" not in written
    assert "PRIVATE" not in written


def test_vertex_without_any_credentials_says_how_to_make_some(cli: Cli, home: Home) -> None:
    env = {"GCE_METADATA_TIMEOUT": "1", "NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(home.root)}
    ran = cli("accounts", "add", "--provider", "vertex", "--project", "p", env=env)
    assert (ran.code, ran.stdout) == (1, "")
    assert "gcloud auth application-default login" in ran.stderr
    assert not home.paths.accounts.exists()
