"""`accounts add` with ChatGPT, GitHub and Google Cloud, and with logins that are there already."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from answering import Answer, answering
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.store.accounts import AccountStore
from mcp_proxy.store.state import StateReader

Json = dict[str, Any]


def account(ran: Ran) -> Json:
    found: Json = json.loads(ran.stdout)["account"]
    return found


def stored(home: Home) -> list[Account]:
    return list(AccountStore(home.paths.accounts).load().accounts)


def written(home: Home, path: str, content: Json | str) -> Path:
    """A file of another program's in the home."""
    file = home.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


# ---------------------------------------------------------------------------------------- GitHub


def github() -> dict[str, Answer]:
    """A GitHub on which somebody types the code after the first look."""
    looks = iter([{"error": "authorization_pending"}])
    code = {
        "device_code": "canary-device",
        "user_code": "ABCD-1234",
        "verification_uri": "https://github.example/device",
        "interval": 0.01,
        "expires_in": 60,
    }
    typed = {"access_token": "gho_canary", "token_type": "bearer", "scope": "read:user"}

    def exchanged(request: web.Request, _: Any) -> Any:
        if request.headers["Authorization"] != "token gho_canary":
            return web.json_response({"message": "Bad credentials"}, status=401)
        here = f"http://{request.host}"
        token = {"token": "tid=canary", "expires_at": 4_000_000_000, "refresh_in": 1500}
        return {**token, "endpoints": {"api": here}}

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
        "/login/device/code": lambda *_: code,
        "/login/oauth/access_token": lambda *_: next(looks, typed),
        "/user": lambda *_: {"login": "octocat", "id": 1},
        "/copilot_internal/v2/token": exchanged,
        "/copilot_internal/user": lambda *_: user,
        "/models": lambda *_: {"object": "list", "data": [model]},
    }


def at_github(home: Home, url: str) -> None:
    home.configure(
        f'[providers.copilot]\ntoken_url = "{url}/copilot_internal/v2/token"\n'
        f'auth_url = "{url}/login/device/code"\n'
    )


async def test_copilot_is_signed_in_by_a_code(cli: Cli, home: Home) -> None:
    async with answering(github()) as url:
        at_github(home, url)
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
    assert "canary" not in ran.stdout + ran.stderr


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e"
"""A title for the terminal, a cleared screen, and letters from right to left."""


async def test_what_a_provider_says_moves_no_cursor(cli: Cli, home: Home) -> None:
    answers = github()
    code = answers["/login/device/code"]
    page = {"user_code": f"AB{ESCAPES}CD", "verification_uri": f"https://g.example/{ESCAPES}x"}
    answers["/login/device/code"] = lambda *asked: {**code(*asked), **page}
    (model,) = answers["/models"](None, {})["data"]  # type: ignore[arg-type]
    named = {**model, "id": f"gpt{ESCAPES}-4.1"}
    answers["/models"] = lambda *_: {"object": "list", "data": [named]}
    plan = {"copilot_plan": f"team{ESCAPES}"}
    answers["/copilot_internal/user"] = lambda *_: plan
    async with answering(answers) as url:
        at_github(home, url)
        ran = await cli.beside("accounts", "add", "--provider", "copilot", "--accept-risk")
        again = await cli.beside("accounts", "verify")
    assert (ran.code, again.code) == (0, 0), ran.stderr
    assert "https://g.example/x" in ran.stderr
    assert "ABCD" in ran.stderr
    assert "tier team, 1 model" in again.stdout
    everything = ran.stdout + ran.stderr + again.stdout + again.stderr
    assert all(line.isprintable() for line in everything.split("\n"))


async def test_another_login_does_not_replace_an_account(cli: Cli, home: Home) -> None:
    answers, add = github(), ("accounts", "add", "--provider", "copilot", "--id", "gh")
    token = ("--refresh-token", "-", "--accept-risk")
    async with answering(answers) as url:
        at_github(home, url)
        assert (await cli.beside(*add, *token, stdin="gho_canary\n")).code == 0
        answers["/user"] = lambda *_: {"login": "mallory", "id": 2}
        ran = await cli.beside(*add, *token, stdin="gho_mallorys\n")
    assert (ran.code, ran.stdout) == (2, "")
    assert "gh belongs to octocat, but mallory has signed in; nothing was changed" in ran.stderr
    (kept,) = stored(home)
    assert (kept.label, kept.credential.refresh_token) == ("octocat", Secret("gho_canary"))


async def test_a_login_replaces_what_is_under_a_label_that_somebody_chose(
    cli: Cli, home: Home
) -> None:
    old = Credential(refresh_token=Secret("gho_old"))
    home.add(Account("gh", "copilot", old, label="My own account"))
    add = ("accounts", "add", "--provider", "copilot", "--id", "gh")
    async with answering(github()) as url:
        at_github(home, url)
        ran = await cli.beside(*add, "--refresh-token", "-", "--accept-risk", stdin="gho_canary\n")
    assert ran.code == 0, ran.stderr
    (kept,) = stored(home)
    assert (kept.label, kept.credential.refresh_token) == ("My own account", Secret("gho_canary"))


async def test_copilots_login_in_an_editor_is_taken_over(cli: Cli, home: Home) -> None:
    apps = {"github.com:Iv1.x": {"user": "octocat", "oauth_token": "gho_canary"}}
    written(home, ".config/github-copilot/apps.json", apps)
    async with answering(github()) as url:
        at_github(home, url)
        add = ("accounts", "add", "--from", "copilot", "--accept-risk", "--json")
        ran = await cli.beside(*add)
        assert ran.code == 0, ran.stderr + ran.stdout
        again = await cli.beside(*add)
    assert (account(ran)["id"], account(ran)["ok"]) == ("octocat", True)
    assert "apps.json: took the GitHub token of octocat" in ran.stderr
    assert ran.stderr.count("GitHub's terms") == 1
    assert json.loads(again.stdout)["action"] == "updated"
    assert [each.credential.refresh_token for each in stored(home)] == [Secret("gho_canary")]
    assert "canary" not in ran.stdout + ran.stderr


# --------------------------------------------------------------------------------------- ChatGPT

BROWSER = """\
#!{python}
import sys
from urllib.request import urlopen
urlopen(sys.argv[1]).read()
"""


def jwt(**claims: Any) -> str:
    def encoded(part: Json) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    return f"{encoded({'alg': 'none'})}.{encoded(claims)}.canary"


ACCESS = jwt(
    exp=4_000_000_000,
    email="me@example.com",
    **{
        "https://api.openai.com/auth": {
            "chatgpt_account_id": "team-1",
            "chatgpt_plan_type": "plus",
        }
    },
)


def openai(*, codes: bool = False) -> dict[str, Answer]:
    """OpenAI's sign-in and Codex's back end. `codes`: people may sign in by typing one."""

    def page(request: web.Request, _: Any) -> Any:
        query = request.query
        back = f"{query['redirect_uri']}?code=code-of-the-page&state={query['state']}"
        raise web.HTTPFound(back)

    def token(_: web.Request, form: Any) -> Any:
        if form.get("code") not in ("code-of-the-page", "code-of-the-device"):
            return web.json_response({"error": "invalid_grant"}, status=401)
        granted = {"access_token": ACCESS, "id_token": ACCESS, "refresh_token": "rt-canary"}
        return {**granted, "expires_in": 3600}

    def models(request: web.Request, _: Any) -> Any:
        assert request.headers["Authorization"] == f"Bearer {ACCESS}"
        assert request.headers["chatgpt-account-id"] == "team-1"
        return {"models": [{"slug": "gpt-5.5", "visibility": "list", "supported_in_api": True}]}

    answers: dict[str, Answer] = {
        "/oauth/authorize": page,
        "/oauth/token": token,
        "/backend-api/codex/models": models,
    }
    if codes:
        code = {"device_auth_id": "canary", "user_code": "WXYZ-9", "interval": "1"}
        granted = {"authorization_code": "code-of-the-device", "code_verifier": "v" * 43}
        answers["/api/accounts/deviceauth/usercode"] = lambda *_: code
        answers["/api/accounts/deviceauth/token"] = lambda *_: granted
    return answers


def at_openai(home: Home, url: str) -> None:
    home.configure(
        f'[providers.codex]\nbase_url = "{url}/backend-api/codex"\n'
        f'auth_url = "{url}/oauth/authorize"\ntoken_url = "{url}/oauth/token"\n'
    )


CODEX = ("accounts", "add", "--provider", "codex", "--accept-risk", "--json")


def is_signed_in(home: Home, ran: Ran) -> None:
    assert ran.code == 0, ran.stderr + ran.stdout
    row = account(ran)
    assert (row["id"], row["label"], row["ok"]) == ("me", "me@example.com", True)
    assert [each["id"] for each in row["models"]] == ["gpt-5.5"]
    (kept,) = stored(home)
    assert kept.credential == Credential(refresh_token=Secret("rt-canary"))
    assert kept.workspace == "team-1"
    assert "canary" not in ran.stdout + ran.stderr


async def test_codex_is_signed_in_through_the_browser(
    cli: Cli, home: Home, unused_port: int
) -> None:
    browser = written(home, "browser", BROWSER.format(python=sys.executable))
    browser.chmod(0o700)
    async with answering(openai()) as url:
        at_openai(home, url)
        port = ("--callback-port", str(unused_port))
        ran = await cli.beside(*CODEX, *port, env={"BROWSER": str(browser)})
    is_signed_in(home, ran)
    # The token of the sign-in is there for a server: nobody has to ask for another one.
    assert set(StateReader(home.paths.state).items("tokens")) == {"me"}


async def test_another_workspace_does_not_replace_an_account(cli: Cli, home: Home) -> None:
    old = Credential(refresh_token=Secret("rt-old"))
    home.add(Account("me", "codex", old, label="me@example.com", workspace="team-0"))
    async with answering(openai(codes=True)) as url:
        at_openai(home, url)
        ran = await cli.beside(*CODEX, "--no-browser", "--id", "me")
    assert (ran.code, ran.stdout) == (2, "")
    assert "me belongs to workspace team-0, but workspace team-1 has signed in" in ran.stderr
    (kept,) = stored(home)
    assert (kept.workspace, kept.credential) == ("team-0", old)


async def test_codex_without_a_browser_is_signed_in_by_a_code(cli: Cli, home: Home) -> None:
    async with answering(openai(codes=True)) as url:
        at_openai(home, url)
        ran = await cli.beside(*CODEX, "--no-browser")
        assert f"{url}/codex/device" in ran.stderr
    assert "WXYZ-9" in ran.stderr
    is_signed_in(home, ran)


async def test_where_there_are_no_codes_the_address_is_pasted(cli: Cli, home: Home) -> None:
    async with answering(openai()) as url:
        at_openai(home, url)
        process = await asyncio.create_subprocess_exec(
            *cli.command(*CODEX, "--no-browser"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stderr is not None
        while not (line := (await process.stderr.readline()).decode()).startswith(url):
            assert line
        async with (
            aiohttp.ClientSession() as browser,
            browser.get(line.strip(), allow_redirects=False) as page,
        ):
            address = page.headers["Location"]
        assert address.startswith("http://localhost:1455/auth/callback?")
        stdout, stderr = await process.communicate(f"{address}\n".encode())
    assert process.returncode is not None
    is_signed_in(home, Ran(process.returncode, stdout.decode(), stderr.decode()))


async def test_the_codex_clis_login_is_borrowed_and_left_alone(cli: Cli, home: Home) -> None:
    tokens = {"id_token": ACCESS, "access_token": ACCESS, "refresh_token": "rt-of-the-cli"}
    file = written(home, ".codex/auth.json", {"tokens": {**tokens, "account_id": "team-1"}})
    before = file.read_bytes()
    async with answering(openai()) as url:
        at_openai(home, url)
        ran = await cli.beside("accounts", "add", "--from", "codex", "--accept-risk", "--json")
        assert ran.code == 0, ran.stderr + ran.stdout
        assert (await cli.beside("accounts", "verify", "me")).code == 0
        listed = json.loads((await cli.beside("accounts", "list", "--json")).stdout)
        assert listed["accounts"][0]["source"] == "codex"
        file.unlink()
        gone = await cli.beside("accounts", "verify", "me")
        assert (gone.code, "does not exist" in gone.stdout) == (1, True)
    (kept,) = stored(home)
    assert (kept.credential, kept.workspace) == (Credential(source="codex"), "team-1")
    assert before == json.dumps({"tokens": {**tokens, "account_id": "team-1"}}).encode()
    assert "canary" not in home.paths.accounts.read_text() + ran.stdout + ran.stderr


def test_without_a_login_to_borrow_it_says_where_it_looked(cli: Cli, home: Home) -> None:
    ran = cli("accounts", "add", "--from", "codex", "--accept-risk")
    assert (ran.code, ran.stdout) == (1, "")
    assert str(home.root / ".codex" / "auth.json") in ran.stderr
    assert not home.paths.accounts.exists()


# --------------------------------------------------------------------------------- other proxies


async def test_the_accounts_of_another_proxy_are_taken_over_at_once(
    cli: Cli, home: Home, upstream: Any
) -> None:
    home.sign_in(upstream)
    home.paths.accounts.unlink()
    theirs = [
        {"email": "ada@example.com", "refreshToken": upstream.refresh_token("ada")},
        {"email": "app@example.com", "source": "database"},
        {"email": "gone@example.com", "refreshToken": "1//canary-revoked"},
    ]
    file = written(home, "theirs.json", {"accounts": theirs})
    ran = await cli.beside(
        *("accounts", "add", "--from", "antigravity-claude-proxy", "--file", str(file)),
        *("--accept-risk", "--json"),
    )
    assert ran.code == 1, "one of them does not work"
    rows = json.loads(ran.stdout)["accounts"]
    assert [(row["id"], row["ok"], row["failed_at"]) for row in rows] == [
        ("ada", True, None),
        ("gone", False, "sign-in"),
    ]
    assert "app@example.com" in ran.stderr
    kept = stored(home)[0].credential
    assert kept.client_id is not None, "the token is bound to the client"
    assert "canary" not in ran.stdout + ran.stderr


def test_one_name_does_not_do_for_several_accounts(cli: Cli, home: Home) -> None:
    tokens = ("1//a", "1//b")
    entries = [{"email": f"{name}@x.org", "refreshToken": f"1//{name}"} for name in tokens]
    file = written(home, "theirs.json", {"accounts": entries})
    ran = cli(
        *("accounts", "add", "--from", "multi-claude-proxy", "--file", str(file)),
        *("--id", "work", "--accept-risk"),
    )
    assert (ran.code, ran.stdout) == (2, "")
    assert "--id is for one account" in ran.stderr
    assert not home.paths.accounts.exists()


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}"])
def test_a_file_without_logins_is_told(cli: Cli, home: Home, content: str) -> None:
    file = written(home, "theirs.json", content)
    source = ("--from", "multi-claude-proxy", "--file", str(file))
    ran = cli("accounts", "add", *source, "--accept-risk")
    assert (ran.code, ran.stdout) == (1, "")
    assert str(file) in ran.stderr
    assert not home.paths.accounts.exists()


# ---------------------------------------------------------------------------------- Google Cloud


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


def google_cloud() -> dict[str, Answer]:
    def counted(request: web.Request, _: Any) -> Any:
        if request.headers["Authorization"] != "Bearer ya29.canary":
            return web.json_response({"error": {"code": 401, "status": "?"}}, status=401)
        return {"totalTokens": 1}

    return {
        "/token": lambda *_: {"access_token": "ya29.canary", "expires_in": 3599},
        "/v1/projects/their-project/locations/[a-z0-9-]+/.*:countTokens": counted,
    }


async def test_vertex_takes_a_key_file_and_a_region(cli: Cli, home: Home, tmp_path: Path) -> None:
    async with answering(google_cloud()) as url:
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
    assert StateReader(home.paths.state).items("tokens") == {}
    everything = home.paths.accounts.read_text() + ran.stdout + ran.stderr
    assert "canary" not in everything
    assert "PRIVATE" not in everything


def test_vertex_without_any_credentials_says_how_to_make_some(cli: Cli, home: Home) -> None:
    env = {"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(home.root)}
    ran = cli("accounts", "add", "--provider", "vertex", "--project", "p", env=env)
    assert (ran.code, ran.stdout) == (1, "")
    assert "gcloud auth application-default login" in ran.stderr
    assert not home.paths.accounts.exists()
