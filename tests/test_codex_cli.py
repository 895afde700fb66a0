"""The Codex CLI itself, when it is on this machine, works against the proxy.

Which tools it brings depends on the model's name: plain functions for names it does not know, a
freeform tool beside them for gpt-5.5, and for gpt-6 nothing but tools in an input item, among them
a freeform one that runs a script.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from placed import placed
from programs import Program
from served import CLAUDE, GEMINI, TWO, serve

from mcp_proxy.demo import Fault, FaultKind
from mcp_proxy.store.settings import Settings

CODEX = Program("The Codex CLI", "CODEX_BIN", "codex")

pytestmark = CODEX.needed

MODELS = pytest.mark.parametrize("model", [CLAUDE, GEMINI])
SHELL = "Run echo hi in the shell"
OUTPUT = "hello from mcproxy"
"""The embedded model asks for a command that prints this, whatever command the prompt has."""

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CONFIG = """
model_provider = "mcproxy"
[model_providers.mcproxy]
name = "mcproxy"
base_url = "{url}/v1"
env_key = "MCPROXY_KEY"
wire_api = "responses"
[analytics]
enabled = false
"""


@dataclass(frozen=True, slots=True)
class Session:
    """What `codex exec --json` printed."""

    events: list[dict[str, Any]]

    @property
    def answer(self) -> str:
        return str(self._items("agent_message")[-1]["text"])

    @property
    def commands(self) -> list[dict[str, Any]]:
        """Shell commands that it ran to their end."""
        return self._items("command_execution")

    @property
    def usage(self) -> dict[str, int]:
        found: dict[str, int] = self.events[-1]["usage"]
        return found

    def _items(self, kind: str) -> list[dict[str, Any]]:
        done = (event["item"] for event in self.events if event["type"] == "item.completed")
        return [item for item in done if item["type"] == kind]


async def codex(home: Path, url: str, model: str, *arguments: str) -> Session:
    """One conversation with the proxy at `url`, which has to end well."""
    (home / ".codex").mkdir(parents=True)
    (home / ".codex" / "config.toml").write_text(CONFIG.format(url=url))
    ran = await CODEX.run(
        home,
        *("exec", "--json", "--skip-git-repo-check"),
        *("--dangerously-bypass-approvals-and-sandbox", "-m", model),
        *arguments,
        MCPROXY_KEY="a-key",
    )
    assert ran.code == 0, ran.stdout + ran.stderr
    session = Session([json.loads(line) for line in ran.stdout.splitlines()])
    assert session.events[-1]["type"] == "turn.completed"
    return session


@MODELS
async def test_codex_shows_an_answer(cli, home, model):
    async with cli.serve("--demo") as url:
        session = await codex(home.root / "coder", url, model, "say Grüße, 世界 🦊")
    assert session.answer == "Grüße, 世界 🦊"
    assert session.usage["input_tokens"] > session.usage["output_tokens"] > 0


@MODELS
async def test_codex_completes_a_tool_loop(cli, home, model):
    async with cli.serve("--demo") as url:
        session = await codex(home.root / "coder", url, model, SHELL)
    (command,) = session.commands
    assert command["exit_code"] == 0
    assert command["aggregated_output"].strip() == OUTPUT
    assert OUTPUT in session.answer, "it is told what the shell said"


@MODELS
async def test_codex_completes_a_tool_loop_with_the_tools_of_a_model_it_knows(cli, home, model):
    home.configure(f'[aliases]\n"gpt-5.5" = "{model}"')
    async with cli.serve("--demo") as url:
        session = await codex(home.root / "coder", url, "gpt-5.5", SHELL)
    assert [command["exit_code"] for command in session.commands] == [0]
    assert OUTPUT in session.answer


@MODELS
async def test_codex_runs_a_script_that_a_freeform_tool_in_an_input_item_was_handed(
    cli, home, model
):
    home.configure(f'[aliases]\n"gpt-6-*" = "{model}"')
    script = """`text("six times seven is " + 6 * 7)`"""
    async with cli.serve("--demo") as url:
        session = await codex(home.root / "coder", url, "gpt-6-sol", f"Run {script}")
    assert "six times seven is 42" in session.answer


async def test_codex_gets_an_answer_that_follows_its_schema(tmp_path):
    async with placed(tmp_path / "state", "openai") as rig:
        session = await codex(tmp_path / "coder", rig.url, "gpt-5.5", *schema_in(tmp_path))
    found = json.loads(session.answer)
    assert isinstance(found["name"], str)
    assert isinstance(found["age"], int)


@MODELS
async def test_the_schema_of_an_answer_is_put_in_words_where_tools_exclude_it(tmp_path, model):
    async with serve(tmp_path / "state", people=TWO) as rig:
        await codex(tmp_path / "coder", rig.url, model, *schema_in(tmp_path))
        request = rig.generations[-1].body["request"]
    assert request["tools"]
    assert "responseSchema" not in request["generationConfig"]
    assert '"additionalProperties"' in request["systemInstruction"]["parts"][-1]["text"]


def schema_in(directory: Path) -> tuple[str, ...]:
    """Arguments that ask for a person in JSON."""
    file = directory / "schema.json"
    file.write_text(json.dumps(PERSON))
    return "--output-schema", str(file), "a person"


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-5.5"), ("openai", "gpt-5"), ("codex", "gpt-5.5")]
)
async def test_codex_completes_a_tool_loop_over_an_upstream_of_its_own_dialect(
    tmp_path, provider, model
):
    async with placed(tmp_path / "state", provider) as rig:
        session = await codex(tmp_path / "coder", rig.url, model, SHELL)
        assert [command["exit_code"] for command in session.commands] == [0]
        assert OUTPUT in session.answer
        asked, told = rig.generations
        assert asked.path.endswith("/responses")
        assert asked.body["prompt_cache_key"] == told.body["prompt_cache_key"]


async def test_codex_notices_nothing_of_an_account_that_is_out_of_quota(tmp_path):
    settings = Settings(chains={CLAUDE: {"accounts": ["ada"], "smart_switch": True}})
    async with serve(tmp_path / "state", people=TWO, settings=settings) as rig:
        rig.upstream.play(Fault(FaultKind.QUOTA, account="ada", seconds=900, times=None))
        for turn in range(2):
            session = await codex(tmp_path / f"coder{turn}", rig.url, CLAUDE, SHELL)
            assert OUTPUT in session.answer
        assert rig.asked == ["ada", "grace", "grace", "grace", "grace"], "two turns each"


async def test_codex_goes_on_with_the_subscription_when_the_key_is_out_of_credit(tmp_path):
    chain = {"gpt-5.5": {"accounts": ["demo-openai"], "smart_switch": True}}
    settings = Settings(chains=chain)
    async with placed(tmp_path / "state", "openai", "codex", settings=settings) as rig:
        rig.places.quota("openai").use("credit", 1.0, resets_at=4e9)
        session = await codex(tmp_path / "coder", rig.url, "gpt-5.5", SHELL)
        assert OUTPUT in session.answer
        assert [call.provider for call in rig.generations] == ["openai", "codex", "codex"]
