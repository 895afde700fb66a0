"""A home in which there is everything that is hard to show, and a server that serves from it."""

import asyncio
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from harness import Home

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.identity import DemoAccount
from mcp_proxy.store.paths import Paths

LONG_ID = "the-account-of-the-research-department-in-lund"
LONG_MODEL = "qwen3-coder-30b-a3b-instruct-2507-with-a-long-name"
LABEL = "Grüße 日本語ラベル"

ALIASES = """
[aliases]
"gpt-4o*" = "claude-sonnet-4-6"
"""


def home_at(root: Path) -> Home:
    """A user's home there, which has nothing in it."""
    root.mkdir()
    configured, state = root / ".config" / "mcproxy", root / ".local" / "state" / "mcproxy"
    return Home(root, Paths(configured / "accounts.toml", configured / "config.toml", state))


def settled(home: Home, upstream: DemoUpstream) -> None:
    """Accounts in all states, with names of all kinds."""
    home.sign_in(upstream, ALIASES)
    home.add(
        Account(
            id="local",
            provider="openai-compatible",
            credential=Credential(),
            label=LABEL,
            base_url=f"{upstream.url}/v1",
            models=(LONG_MODEL,),
        ),
        Account(
            id="gone",
            provider="antigravity",
            credential=Credential(refresh_token=Secret("1//revoked")),
            label="gone@example.org",
        ),
        Account(
            id="off",
            provider="zai",
            credential=Credential(api_key=Secret("not-a-key")),
            enabled=False,
        ),
    )
    upstream.quota.set_left("ada", "claude", 0.0, time.time() + 5 * 3600)
    upstream.quota.set_left("grace", "claude", 0.13, time.time() + 3 * 86400)


@contextmanager
def staged(root: Path) -> Iterator[Home]:
    """The home, as long as its upstream and its server run; both do in a thread and a process."""
    home = home_at(root)
    ready: Future[asyncio.Event] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_play(home, ready)))
    thread.start()
    loop_end = ready.result(40)
    try:
        yield home
    finally:
        loop_end.loop.call_soon_threadsafe(loop_end.set)
        thread.join(20)


class _End(asyncio.Event):
    """Set from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()


async def _play(home: Home, ready: "Future[_End]") -> None:
    try:
        async with DemoUpstream(
            [DemoAccount("ada"), DemoAccount("grace"), DemoAccount(LONG_ID)]
        ) as upstream:
            settled(home, upstream)
            await _serve(home, ready)
    except BaseException as failure:
        if not ready.done():
            ready.set_exception(failure)
        raise


async def _serve(home: Home, ready: "Future[_End]") -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mcp_proxy", "serve", "--port", "0"),
        cwd=home.root,
        env={"PATH": os.environ["PATH"], "HOME": str(home.root), "PYTHONPATH": _here()},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    end = _End()
    try:
        said = b""
        while not (found := re.search(rb"ready at (http://\S+)", said)):
            line = await process.stderr.readline()
            assert line, f"serve ended with {await process.wait()}: {said.decode()}"
            said += line
        read_on = asyncio.create_task(process.stderr.read())
        await _ask(found[1].decode())
        ready.set_result(end)
        await end.wait()
    finally:
        process.terminate()
        await process.wait()
    await read_on


async def _ask(url: str) -> None:
    """Requests to be explained: of a fail-over, by another name, and for nothing."""
    import aiohttp

    async with aiohttp.ClientSession() as http:
        for model in ("claude-sonnet-4-6", "gpt-4o-mini", "no-such-model"):
            body = {
                "model": model,
                "max_tokens": 50,
                "messages": [{"role": "user", "content": f"Say {model}."}],
            }
            async with http.post(f"{url}/v1/messages", json=body) as answer:
                await answer.read()


def _here() -> str:
    return os.pathsep.join(filter(None, sys.path))
