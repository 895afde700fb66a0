"""The Gemini CLI itself, when it is on this machine, works against the proxy.

It has its own mind about names: `-m gemini-3-flash` asks for the newest model of that class, so a
proxy over other models needs an alias, which is what the tests of translation configure.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from placed import placed
from programs import Program
from served import CLAUDE, TWO, serve

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.store.settings import Settings

GEMINI_CLI = Program("The Gemini CLI", "GEMINI_CLI_BIN", "gemini")

pytestmark = GEMINI_CLI.needed

ALIASES = """
[aliases]
"gemini-*-flash" = "gemini-3-flash"
"gemini-*-pro*" = "claude-sonnet-4-6"
"""
MODELS = pytest.mark.parametrize(
    "model",
    [CLAUDE, "gemini-2.5-flash", "gemini-3-flash", "gemini-2.5-pro"],
    ids=["claude", "gemini", "gemini by an alias", "claude by an alias"],
)
SHELL = "Run echo hi in the shell"
OUTPUT = "hello from mcproxy"
"""The embedded model asks for a command that prints this, whatever command the prompt has."""

SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False},
}


@dataclass(frozen=True, slots=True)
class Session:
    """What `gemini -o json` printed."""

    report: dict[str, Any]

    @property
    def answer(self) -> str:
        return str(self.report["response"])

    @property
    def calls(self) -> dict[str, int]:
        """Tool -> how often it was used with success."""
        tools = self.report["stats"]["tools"]["byName"]
        return {name: figures["success"] for name, figures in tools.items()}

    @property
    def failures(self) -> int:
        """Requests that the proxy answered with an error."""
        models = self.report["stats"]["models"].values()
        return sum(figures["api"]["totalErrors"] for figures in models)


async def gemini(home: Path, url: str, prompt: str, *arguments: str) -> Session:
    """One conversation with the proxy at `url`, which has to end well."""
    (home / ".gemini").mkdir(parents=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(SETTINGS))
    ran = await GEMINI_CLI.run(
        home,
        *("-p", prompt, "-o", "json", "--yolo"),
        *arguments,
        GEMINI_API_KEY="a-key",
        GOOGLE_GEMINI_BASE_URL=url,
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )
    assert ran.code == 0, ran.stdout + ran.stderr
    session = Session(json.loads(ran.stdout))
    assert session.failures == 0
    return session


@pytest.fixture
def served_by_demo(cli, home):
    home.configure(ALIASES)
    return cli.serve("--demo")


@MODELS
async def test_gemini_cli_shows_an_answer(served_by_demo, tmp_path, model):
    async with served_by_demo as url:
        session = await gemini(tmp_path / "coder", url, "say Grüße, 世界 🦊", "-m", model)
    assert session.answer == "Grüße, 世界 🦊"


@MODELS
async def test_gemini_cli_completes_a_tool_loop(served_by_demo, tmp_path, model):
    async with served_by_demo as url:
        session = await gemini(tmp_path / "coder", url, SHELL, "-m", model)
    assert session.calls == {"run_shell_command": 1}
    assert OUTPUT in session.answer, "it is told what the shell said"


async def test_gemini_cli_finds_its_own_way_to_a_model(tmp_path):
    """Without `-m` it has a small model judge the prompt, in JSON, before another one answers."""
    settings = Settings(aliases={"gemini-3.8-flash": "gemini-3.7-flash"})
    async with placed(tmp_path / "state", "gemini", settings=settings) as rig:
        session = await gemini(tmp_path / "coder", rig.url, SHELL)
        assert OUTPUT in session.answer
        asked = [call.path.rpartition("/")[2].partition(":")[0] for call in rig.generations]
        assert sorted(asked) == ["gemini-3.5-flash-lite", "gemini-3.7-flash", "gemini-3.7-flash"]


async def test_gemini_cli_completes_a_tool_loop_over_an_upstream_of_its_own_dialect(tmp_path):
    async with placed(tmp_path / "state", "gemini") as rig:
        session = await gemini(tmp_path / "coder", rig.url, SHELL, "-m", "gemini-2.5-pro")
        assert session.calls == {"run_shell_command": 1}
        assert OUTPUT in session.answer
        assert len(rig.generations) == 2
        assert "parametersJsonSchema" in json.dumps(rig.generations[0].body), "forwarded as sent"


async def test_gemini_cli_notices_nothing_of_an_account_that_is_out_of_quota(tmp_path):
    settings = Settings(chains={CLAUDE: {"accounts": ["ada"], "smart_switch": True}})
    async with serve(tmp_path / "state", people=TWO, settings=settings) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, account="ada", seconds=900, times=None))
        for turn in range(2):
            session = await gemini(tmp_path / f"coder{turn}", rig.url, SHELL, "-m", CLAUDE)
            assert OUTPUT in session.answer
        assert rig.asked == ["ada", "grace", "grace", "grace", "grace"], "two turns each"
