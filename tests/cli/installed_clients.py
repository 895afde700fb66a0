"""The real clients, where they are installed."""

from pathlib import Path

from harness import Home
from programs import Program

CLAUDE_CODE = Program("Claude Code", "CLAUDE_CODE_BIN", "claude")
CODEX = Program("The Codex CLI", "CODEX_BIN", "codex")
GEMINI_CLI = Program("Gemini CLI", "GEMINI_CLI_BIN", "gemini")
OPENCODE = Program("opencode", "OPENCODE_BIN", "opencode")
AIDER = Program("aider", "AIDER_BIN", "aider")
LLM = Program("llm", "LLM_BIN", "llm")


def on_the_path(home: Home, program: Program) -> Path:
    """A directory with the program under its usual name."""
    directory = home.root / "programs"
    directory.mkdir()
    (directory / program.command).symlink_to(Path(str(program.file)).absolute())
    return directory
