"""The real clients, started by themselves after a setup: what it wrote is what they read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from harness import Cli, Home
from installed_clients import AIDER, CLAUDE_CODE, CODEX, GEMINI_CLI, LLM, OPENCODE
from programs import Program

MODEL = "gemini-3-flash"


@dataclass(frozen=True, slots=True)
class Case:
    """One client: a file of its owner's, and how it is asked for an answer."""

    program: Program
    file: str
    own: str
    asked: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "claude-code": Case(
        CLAUDE_CODE,
        ".claude/settings.json",
        '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "x"}}',
        ("-p", "say hello there"),
        {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
    ),
    "codex": Case(
        CODEX,
        ".codex/config.toml",
        '# mine\nmodel = "gpt-5"\n',
        ("exec", "--skip-git-repo-check", "say hello there"),
    ),
    "gemini-cli": Case(
        GEMINI_CLI,
        ".gemini/settings.json",
        '{\n  // mine\n  "security": {"auth": {"selectedType": "oauth-personal"}}\n}\n',
        ("-p", "say hello there"),
        {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
    ),
    "opencode": Case(
        OPENCODE,
        ".config/opencode/opencode.json",
        '{\n  "$schema": "https://opencode.ai/config.json", // mine\n}\n',
        ("run", "say hello there"),
        {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
    ),
    "aider": Case(
        AIDER,
        ".aider.conf.yml",
        "# mine\nmodel: gpt-4o\n",
        (
            *("--no-git", "--yes", "--no-check-update", "--analytics-disable", "--no-pretty"),
            *("--no-show-model-warnings", "--message", "say hello there"),
        ),
    ),
    "llm": Case(
        LLM,
        ".config/io.datasette.llm/extra-openai-models.yaml",
        "# mine\n- model_id: own\n  model_name: own\n",
        ("-m", f"mcproxy/{MODEL}", "say hello there"),
    ),
}


@pytest.mark.parametrize(
    "client", [pytest.param(name, marks=case.program.needed) for name, case in CASES.items()]
)
async def test_a_client_that_was_set_up_answers_and_is_its_owner_s_again(
    cli: Cli, home: Home, unused_port: int, client: str
) -> None:
    case = CASES[client]
    file = home.root / case.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(case.own)
    home.configure(f"[server]\nport = {unused_port}\n")
    async with cli.serve("--demo", "--port", str(unused_port)):
        done = await cli.beside("setup", client, "--model", MODEL, "--yes")
        assert done.code == 0, done.stderr
        ran = await case.program.run(home.root, *case.asked, **case.variables)
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "hello there" in ran.stdout
    assert (await cli.beside("unsetup", client, "--yes")).code == 0
    assert file.read_text() == case.own
