"""`mcproxy run`: with clients that tell what they were given, and with real ones if there are."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import Cli, Home, Ran
from installed_clients import AIDER, CLAUDE_CODE, CODEX, GEMINI_CLI, LLM, OPENCODE, on_the_path
from programs import Program

from mcp_proxy.cli.clients import CLIENTS
from mcp_proxy.demo.cloudcode import DemoUpstream

KEY = "a-key-of-decent-length"

GOOGLE = '{"security": {"auth": {"selectedType": "oauth-personal"}}}'

OWN = {
    ".claude/settings.json": '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}',
    ".codex/config.toml": '# mine\nmodel_provider = "other"\n',
    ".config/io.datasette.llm/extra-openai-models.yaml": "# mine\n- model_id: own\n",
    ".config/opencode/opencode.json": '{"model": "other/one"} // mine',
    ".aider.conf.yml": "openai-api-base: http://127.0.0.1:9/v1\n",
    "elsewhere/.gemini/settings.json": GOOGLE,
}
"""Settings of a user whose clients lead elsewhere; Gemini CLI's are not those of the project."""

TELLER = f"""\
#!{sys.executable}
import json, os, pathlib, sys, urllib.request
url = os.environ.get("ANTHROPIC_BASE_URL")
direct = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
health = json.load(direct.open(url + "/health")) if url else None
scratch = os.environ.get("GEMINI_CLI_HOME") or os.environ.get("LLM_USER_PATH")
files = {{}}
for each in sorted(pathlib.Path(scratch).rglob("*")) if scratch else ():
    if each.is_file():
        files[str(each.relative_to(scratch))] = [each.is_symlink(), each.read_text()]
settings = [pathlib.Path(each).read_text() for each in sys.argv if each.endswith("settings.json")]
print(json.dumps({{
    "argv": sys.argv[1:], "env": dict(os.environ), "health": health, "files": files,
    "settings": settings, "stdin": "" if sys.stdin.isatty() else sys.stdin.read(),
}}))
sys.exit(int(os.environ.get("TELLER_CODE", "0")))
"""
"""A client that prints how it was started."""


@pytest.fixture
def install(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a program on the PATH, where no real client is any more."""
    directory = home.root / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    def put(name: str, source: str = TELLER) -> None:
        (directory / name).write_text(source)
        (directory / name).chmod(0o700)

    return put


@pytest.fixture
def signed_in(home: Home, upstream: DemoUpstream) -> Home:
    home.sign_in(upstream)
    return home


def told(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), 1).close()
    except OSError:
        return False
    return True


def snapshot(home: Home) -> dict[str, bytes]:
    """Every file of the user's, without mcproxy's own."""
    files = (each for each in home.root.rglob("*") if each.is_file())
    return {str(each): each.read_bytes() for each in files if "mcproxy" not in each.parts}


# ----------------------------------------------------------------------------------- a server


def test_a_server_is_there_for_as_long_as_the_client(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    before = snapshot(home)
    found = told(cli("run", "claude-code", "--demo"))
    assert found["health"]["status"] == "ok"
    assert not listens(found["env"]["ANTHROPIC_BASE_URL"])
    assert snapshot(home) == before


async def test_no_file_of_any_client_is_touched(
    cli: Cli, home: Home, install: Callable[..., None], unused_port: int
) -> None:
    home.configure(f"[server]\nport = {unused_port}\n")
    for name, own in OWN.items():
        (home.root / name).parent.mkdir(parents=True, exist_ok=True)
        (home.root / name).write_text(own)
    for client in CLIENTS.values():
        install(client.command)
    before = snapshot(home)
    async with cli.serve("--demo", "--port", str(unused_port)) as url:
        for name in CLIENTS:
            env = {"GEMINI_CLI_HOME": str(home.root / "elsewhere")} if "gemini" in name else {}
            found = told(await cli.beside("run", name, env=env))
            assert url in json.dumps(found), name
    assert snapshot(home) == before


async def test_the_server_that_runs_is_used(
    cli: Cli, signed_in: Home, install: Callable[..., None]
) -> None:
    install("claude")
    async with cli.serve() as url:
        found = told(await cli.beside("run", "claude-code"))
        assert found["env"]["ANTHROPIC_BASE_URL"] == url
        assert listens(url), "it is not ours to end"


async def test_without_one_a_server_on_the_user_s_accounts_is_started(
    cli: Cli, signed_in: Home, install: Callable[..., None]
) -> None:
    install("claude")
    found = told(await cli.beside("run", "claude-code", env={"PROXY_API_KEY": KEY}))
    assert found["health"]["accounts"]["ready"] + found["health"]["accounts"]["unknown"] > 0
    assert found["env"]["ANTHROPIC_AUTH_TOKEN"] == KEY


@pytest.mark.usefixtures("unserved")
def test_without_an_account_no_server_is_started(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    ran = cli("run", "claude-code")
    assert (ran.code, ran.stdout) == (1, "")
    assert "mcproxy accounts add" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_client_and_the_server(
    cli: Cli, home: Home, install: Callable[..., None], number: signal.Signals
) -> None:
    install("claude", '#!/bin/sh\necho "$ANTHROPIC_BASE_URL"\nexec sleep 60\n')
    command = cli.command("run", "claude-code", "--demo")
    with subprocess.Popen(command, cwd=home.root, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert listens(url)
        running.send_signal(number)
        assert running.wait(20) == 128 + number
    assert not listens(url)


def test_an_interrupt_is_the_client_s(cli: Cli, home: Home, install: Callable[..., None]) -> None:
    install(
        "claude",
        "#!/bin/sh\ntrap 'echo heard; exit 5' INT\necho ready\nwhile :; do sleep 0.05; done\n",
    )
    with subprocess.Popen(
        cli.command("run", "claude-code", "--demo"),
        cwd=home.root,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.stdout.read() == "heard\n"
        assert running.wait(20) == 5


# ---------------------------------------------------------------------------------- the client


def test_the_exit_code_is_the_client_s_and_what_follows_is_for_it(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    ran = cli(
        *("run", "claude", "--demo", "--", "-p", "--json", "-v", "--", "x y"),
        env={"TELLER_CODE": "7"},
        stdin="asked",
    )
    assert ran.code == 7
    found = json.loads(ran.stdout)
    assert found["argv"] == ["-p", "--json", "-v", "--", "x y"]
    assert found["stdin"] == "asked"


@pytest.mark.parametrize(
    ("client", "install_with"),
    [("claude-code", "npm install -g @anthropic-ai/claude-code"), ("llm", "pipx install llm")],
)
def test_a_client_that_is_missing_is_said_how_to_install(
    cli: Cli, home: Home, install: Callable[..., None], client: str, install_with: str
) -> None:
    ran = cli("run", client, "--demo")
    assert ran.code == 1
    assert install_with in ran.stderr


def test_a_model_that_is_not_served_is_not_started_with(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    ran = cli("run", "claude-code", "--demo", "--model", "gemini-3-flsh")
    assert (ran.code, ran.stdout) == (1, "")
    assert "Did you mean gemini-3-flash" in ran.stderr


def test_the_server_is_not_asked_through_a_proxy(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    proxies = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "example.org"}
    env = told(cli("run", "claude-code", "--demo", env=proxies))["env"]
    assert env["NO_PROXY"] == "example.org,127.0.0.1"


def test_settings_that_would_go_before_the_variables_do_not(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("claude")
    (home.root / ".claude").mkdir()
    (home.root / ".claude" / "settings.json").write_text(
        '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}'
    )
    found = told(cli("run", "claude-code", "--demo", "--", "-p"))
    assert found["argv"][0] == "--settings"
    assert found["argv"][2:] == ["-p"]
    (settings,) = found["settings"]
    assert json.loads(settings)["env"]["ANTHROPIC_BASE_URL"] == found["env"]["ANTHROPIC_BASE_URL"]
    assert not Path(found["argv"][1]).exists()


def test_codex_is_led_by_arguments(cli: Cli, home: Home, install: Callable[..., None]) -> None:
    install("codex")
    found = told(cli("run", "codex", "--demo", "--", "exec", "hi"))
    assert "model_provider=mcproxy" in found["argv"]
    assert found["argv"][-2:] == ["exec", "hi"]
    assert found["env"]["MCPROXY_KEY"] == "mcproxy"


def test_gemini_cli_has_the_user_s_home_but_for_the_way_to_sign_in(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("gemini")
    own = home.root / "elsewhere" / ".gemini"
    own.mkdir(parents=True)
    settings = (
        '{\n  // mine\n  "ui": {"theme": "x"},\n  "security": {"auth": {"selectedType": "y"}}\n}'
    )
    (own / "settings.json").write_text(settings)
    (own / "GEMINI.md").write_text("be kind")
    before = snapshot(home)
    env = {"GEMINI_CLI_HOME": str(own.parent)}
    found = told(cli("run", "gemini-cli", "--demo", "--model", "gemini-3-flash", env=env))
    assert found["env"]["GEMINI_MODEL"] == "gemini-3-flash"
    assert found["files"] == {
        ".gemini/GEMINI.md": [True, "be kind"],
        ".gemini/settings.json": [False, settings.replace('"y"', '"gemini-api-key"')],
    }
    assert snapshot(home) == before


def test_gemini_cli_is_not_started_where_the_project_has_it_sign_in_with_google(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("gemini")
    (home.root / ".gemini").mkdir()
    (home.root / ".gemini" / "settings.json").write_text(GOOGLE)
    ran = cli("run", "gemini-cli", "--demo")
    assert (ran.code, ran.stdout) == (1, "")
    assert "start it in another folder" in ran.stderr


def test_llm_has_the_user_s_models_and_ours(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("llm")
    own = home.root / "llm"
    own.mkdir()
    (own / "extra-openai-models.yaml").write_text("- model_id: mine\n")
    (own / "keys.json").write_text("{}")
    found = told(cli("run", "llm", "--demo", env={"LLM_USER_PATH": str(own)}))
    entries = found["files"]["extra-openai-models.yaml"][1]
    assert entries.startswith("- model_id: mine\n")
    assert f'model_id: "{found["env"]["LLM_MODEL"]}"' in entries
    assert found["files"]["keys.json"] == [True, "{}"]


def test_settings_that_cannot_be_followed_end_it_before_the_client(
    cli: Cli, home: Home, install: Callable[..., None]
) -> None:
    install("gemini")
    (home.root / ".gemini").mkdir()
    (home.root / ".gemini" / "settings.json").write_text("[]")
    ran = cli("run", "gemini-cli", "--demo")
    assert (ran.code, ran.stdout) == (1, "")
    assert "cannot be followed" in ran.stderr


# -------------------------------------------------------------------------------- the real ones


async def run_real(cli: Cli, program: Program, client: str, *arguments: str, **env: str) -> Ran:
    """`mcproxy run` with the real client, in the empty home and away from the network."""
    nowhere = "http://127.0.0.1:9"
    surroundings = {
        "PATH": f"{on_the_path(cli.home, program)}:{os.environ['PATH']}",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        **env,
    }
    return await cli.beside("run", client, "--demo", *arguments, env=surroundings, timeout=55)


@CLAUDE_CODE.needed
@pytest.mark.parametrize("how", ["fresh", "settings that lead elsewhere"])
async def test_claude_code_itself_completes_a_tool_loop(cli: Cli, home: Home, how: str) -> None:
    if how != "fresh":
        (home.root / ".claude").mkdir()
        (home.root / ".claude" / "settings.json").write_text(
            '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "x"}}'
        )
    ran = await run_real(
        cli,
        CLAUDE_CODE,
        "claude-code",
        *("--", "-p", "Run echo hi", "--output-format", "json", "--allowedTools", "Bash"),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        IS_SANDBOX="1",
    )
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello from mcproxy" in json.loads(ran.stdout)["result"]


@CODEX.needed
async def test_codex_itself_completes_a_tool_loop(cli: Cli, home: Home) -> None:
    arguments = ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    ran = await run_real(cli, CODEX, "codex", "--", *arguments, "Run echo hi in the shell")
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello from mcproxy" in ran.stdout


@GEMINI_CLI.needed
async def test_gemini_cli_itself_answers_although_it_was_signed_in_with_google(
    cli: Cli, home: Home
) -> None:
    own = home.root / "elsewhere" / ".gemini"
    own.mkdir(parents=True)
    (own / "settings.json").write_text(GOOGLE)
    ran = await run_real(
        cli,
        GEMINI_CLI,
        "gemini-cli",
        *("--model", "gemini-3-flash", "--", "-p", "say hello there"),
        GEMINI_CLI_HOME=str(own.parent),
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello there" in ran.stdout


@OPENCODE.needed
async def test_opencode_itself_answers(cli: Cli, home: Home) -> None:
    ran = await run_real(
        cli,
        OPENCODE,
        "opencode",
        *("--model", "gemini-3-flash", "--", "run", "say hello there"),
        OPENCODE_DISABLE_AUTOUPDATE="1",
        OPENCODE_DISABLE_MODELS_FETCH="1",
    )
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello there" in ran.stdout


@AIDER.needed
async def test_aider_itself_answers_whatever_its_settings_say(cli: Cli, home: Home) -> None:
    (home.root / ".aider.conf.yml").write_text("openai-api-base: http://127.0.0.1:9/v1\n")
    plain = ("--no-git", "--yes", "--no-check-update", "--analytics-disable", "--no-pretty")
    quiet = ("--no-show-model-warnings", "--message", "say hello there")
    ran = await run_real(cli, AIDER, "aider", "--", *plain, *quiet)
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello there" in ran.stdout


@LLM.needed
async def test_llm_itself_answers(cli: Cli, home: Home) -> None:
    ran = await run_real(cli, LLM, "llm", "--", "say hello there")
    assert (ran.code, ran.stdout.strip()) == (0, "hello there"), ran.stderr
