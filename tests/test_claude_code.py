"""Claude Code itself, when it is on this machine, works against `serve --demo`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import Cli

CLAUDE_CODE = os.environ.get("CLAUDE_CODE_BIN") or shutil.which("claude")

pytestmark = pytest.mark.skipif(
    CLAUDE_CODE is None,
    reason="Claude Code is not installed (neither CLAUDE_CODE_BIN nor `claude` on the PATH)",
)


@contextmanager
def demo_server(cli: Cli, **env: str) -> Iterator[str]:
    """`mcproxy serve --demo` while the block runs; gives its address."""
    with subprocess.Popen(
        cli.command("serve", "--demo", "--port", "0"),
        cwd=cli.home.root,
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            assert serving.stderr is not None
            ready = re.search(r"http://\S+", serving.stderr.readline())
            assert ready is not None
            yield ready[0]
        finally:
            serving.kill()
            serving.communicate()


@pytest.mark.parametrize("key", ["", "a-key-of-decent-length"], ids=["open", "with a key"])
def test_claude_code_completes_a_tool_loop(cli, home, key):
    with demo_server(cli, PROXY_API_KEY=key) as url:
        done = subprocess.run(
            [
                str(CLAUDE_CODE),
                *("-p", "Run echo hi in the shell"),
                *("--output-format", "json"),
                *("--allowedTools", "Bash"),
            ],
            cwd=home.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home.root),
                "ANTHROPIC_BASE_URL": url,
                "ANTHROPIC_AUTH_TOKEN": key or "x",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["is_error"] is False
    # One turn asks for the tool, the other quotes what the shell said.
    assert result["num_turns"] == 2
    assert "hello from mcproxy" in result["result"], "the embedded model asks for that command"
    assert result["permission_denials"] == []
