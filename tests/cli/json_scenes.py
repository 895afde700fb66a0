"""Situations in which every verb is asked for its JSON, played once, each in a home of its own.

A newcomer's home without accounts, a busy one with a server and accounts in all states, and one
whose files are broken. What the commands printed is kept; what is right is judged elsewhere.
"""

import asyncio
import json
import os
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from harness import Cli, Home, Ran

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.demo.cloudcode import DemoUpstream
from mcp_proxy.demo.faults import Fault, FaultKind
from mcp_proxy.demo.places import DemoPlaces
from mcp_proxy.store.paths import Paths

MODEL, OTHER_MODEL, LIMITED = "claude-sonnet-4-6", "gemini-3-flash", "gemini-3-pro-high"

_PROGRAMS = {
    "systemctl": """[ -z "$GONE" ] || exit 1
    case "$*" in
      *--property=Version*) echo 252 ;;
      *"show mcproxy.service"*) printf "%b" "$SHOWN" ;;
    esac""",
    "systemd-run": "exit 0",
    "journalctl": 'echo \'{"__REALTIME_TIMESTAMP":"1800000000123456","MESSAGE":"careful"}\'',
}
"""A service manager whose answers are known."""

_RUNNING = (
    "LoadState=loaded\\nActiveState=active\\nUnitFileState=disabled\\nMainPID=4711\\n"
    "StatusText=serving\\nNRestarts=1\\nActiveEnterTimestamp=@1800000000\\nExecMainStatus=0\\n"
)
_FAILED = (
    "LoadState=loaded\\nActiveState=failed\\nUnitFileState=enabled\\nMainPID=0\\n"
    "StatusText=\\nNRestarts=0\\nActiveEnterTimestamp=\\nExecMainStatus=78\\n"
)


_IMPORT = "accounts add --from antigravity-claude-proxy --file theirs.json --accept-risk"


class Scene(NamedTuple):
    """One command and how it ended."""

    place: str
    words: tuple[str, ...]
    """Without `--json`."""
    code: int
    """The exit code that is due."""
    has_document: bool
    ran: Ran

    def __str__(self) -> str:
        return f"{self.place}: mcproxy {shlex.join(self.words)}"


@dataclass(slots=True)
class Place:
    """A home, and what was played in it."""

    name: str
    cli: Cli
    scenes: list[Scene] = field(default_factory=list)

    @classmethod
    def made(cls, name: str, root: Path, **variables: str) -> "Place":
        """With a service manager, and nothing of this process's environment."""
        home, programs = root / name, root / f"{name}-programs"
        configured, state = home / ".config/mcproxy", home / ".local/state/mcproxy"
        for directory in (home, programs):
            directory.mkdir()
        for program, script in _PROGRAMS.items():
            (programs / program).write_text(f"#!/bin/sh\n{script}\n")
            (programs / program).chmod(0o755)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(configured.parent),
            "XDG_STATE_HOME": str(state.parent),
            "SHELL": "/bin/bash",
            **variables,
        }
        paths = Paths(configured / "accounts.toml", configured / "config.toml", state)
        return cls(name, Cli(Home(home, paths), environment))

    @property
    def home(self) -> Home:
        return self.cli.home

    async def play(self, line: str, code: int = 0, *, stdin: str = "", **variables: str) -> Any:
        """A command that prints its document, which comes back, and ends with this code."""
        ran = await self._run(line, code, has_document=True, stdin=stdin, env=variables)
        return json.loads(ran.stdout or "null")

    async def refuse(self, line: str, code: int = 1) -> None:
        """A command that ends with this code and prints no document."""
        await self._run(line, code, has_document=False)

    async def _run(self, line: str, code: int, *, has_document: bool, **how: Any) -> Ran:
        words = tuple(shlex.split(line))
        ran = await self.cli.beside(*words, "--json", **how)
        self.scenes.append(Scene(self.name, words, code, has_document, ran))
        return ran


async def played(root: Path, unused_port: int) -> list[Scene]:
    """All scenes, place by place; the places side by side."""
    new, broken = (Place.made(name, root, PORT=str(unused_port)) for name in ("new", "broken"))
    busy = Place.made("busy", root)
    async with asyncio.TaskGroup() as together:
        for playing in (_newcomer(new), _busy(busy), _broken(broken)):
            together.create_task(playing)
    return [scene for place in (new, busy, broken) for scene in place.scenes]


# ------------------------------------------------------------------------------ without accounts


async def _newcomer(place: Place) -> None:
    for line in ("accounts list", "accounts verify", "limits", "models", "doctor", ""):
        await place.play(line)
    await place.play("paths", MCPROXY_STATE_DIR=str(place.home.paths.state))
    for line in ("help", "help limits", "completion zsh", "explain --last 5", "demo"):
        await place.play(line)
    await place.play("health", 1)
    await place.refuse("explain")
    await place.refuse("test")
    await place.refuse("route no-such-model")
    await place.refuse("accounts remove nobody --yes")
    await place.refuse("accounts add", 2)
    for _ in ("written", "unchanged"):
        await place.play("completion bash --install")
    await _settings(place)
    await _clients(place)
    await _service(place)


async def _settings(place: Place) -> None:
    await place.play("config init")
    await place.refuse("config init")
    await place.play("config init --force")
    await place.play("config show --port 9000")
    await place.play("config validate")
    place.home.configure('[server]\nprot = 1\n[aliases]\nfast = "x"\n')
    await place.play("config validate")
    await place.play("config show")
    place.home.configure("[limits]\nsoft_limit = 7\n")
    await place.play("config validate", 78)
    await place.refuse("config show", 78)
    place.home.paths.config.unlink()


async def _clients(place: Place) -> None:
    await place.play("env claude-code")
    await place.refuse("env claude-cod", 2)
    file = place.home.root / ".claude/settings.json"
    file.parent.mkdir()
    file.write_text('{"env": {"OTHER": "1"}}')
    await place.refuse("setup claude-code", 2)
    await place.play("setup claude-code --dry-run")
    await place.play("setup claude-code --yes")
    changed = file.read_text().replace('"http://127.0.0.1:', '"http://127.0.0.2:')
    file.write_text(changed)
    await place.play("unsetup claude-code --yes")
    await place.refuse("unsetup claude-code --yes")


async def _service(place: Place) -> None:
    await place.play("service status", 1, GONE="1")
    await place.play("service install --dry-run")
    await place.play("service install --yes")
    await place.refuse("service install", 2)
    await place.play("service status", SHOWN=_RUNNING)
    await place.play("service status", 1, SHOWN=_FAILED)
    await place.play("service logs")
    await place.play("service uninstall --yes")


# -------------------------------------------------------------------- with a server and accounts


async def _busy(place: Place) -> None:
    async with DemoUpstream() as upstream, DemoPlaces() as places:
        _sign_in(place.home, upstream, places)
        _write_export(place.home, upstream)
        places.quota("zai").use("5h", 0.25, resets_at=time.time() + 3600)
        await _keep_accounts(place, places)
        async with place.cli.serve() as url:
            await place.play("test")
            await _ask(url, upstream)
            await place.play("")
            for line in ("health", "limits", "limits ada", "models"):
                await place.play(line)
            await place.play("doctor", 1)
            await place.play("env codex")
            await place.play("setup codex --dry-run")
            await place.play("test no-such-model", 1)
            await place.refuse("limits nobody")
        # What it knew is on disk now.
        await _look_back(place)
        await place.play(_IMPORT, 1)
        upstream.play(Fault(FaultKind.VERIFICATION, account="ada", path=":", times=None))
        await place.play("accounts verify", 1)
        await place.play(_IMPORT, 1)
        for line in ("accounts list", "limits", f"route {MODEL}"):
            await place.play(line)


def _sign_in(home: Home, upstream: DemoUpstream, places: DemoPlaces) -> None:
    """Accounts that sign in, one with windows, one with all fields, and an entry that is wrong."""
    codex = places.settings()["codex"]
    home.sign_in(
        upstream,
        f"""
        [providers.codex]
        base_url = "{codex.base_urls[0]}"
        token_url = "{codex.token_url}"
        [providers.zai]
        base_url = "{places.settings()["zai"].base_urls[0]}"
        [fallback]
        enabled = true
        [aliases]
        fast = "{OTHER_MODEL}"
        """,
    )
    home.add(
        places.account("codex", "windows"),
        Account(
            "all",
            "vertex",
            Credential(api_key=Secret("k"), source="gcloud"),
            label="me@example.com",
            enabled=False,
            project="p",
            location="us-central1",
            base_url=places.url,
            soft_limit=0.3,
            models=("gemini-2.5-pro",),
        ),
    )
    with home.paths.accounts.open("a") as file:
        file.write('\n[[accounts]]\nid = "wrong"\nprovider = "nobody"\n')


def _write_export(home: Home, upstream: DemoUpstream) -> None:
    """Accounts of another proxy: a good one, one that is gone, one that cannot be taken over."""
    theirs = [
        {"email": "ada@example.com", "refreshToken": upstream.refresh_token("ada")},
        {"email": "gone@example.com", "refreshToken": "1//revoked"},
        {"email": "app@example.com", "source": "database"},
    ]
    (home.root / "theirs.json").write_text(json.dumps({"accounts": theirs}))


async def _keep_accounts(place: Place, places: DemoPlaces) -> None:
    key = places.account("zai", "glm").credential.api_key
    assert key is not None
    add = "accounts add --provider zai --id glm --api-key -"
    for _ in ("added", "updated"):
        await place.play(add, stdin=key.value)
    await place.play("accounts verify", 1)
    await place.play("accounts verify ada")
    await place.play("accounts list")
    for verb in ("disable", "enable", "remove --yes"):
        await place.play(f"accounts {verb} glm")


async def _ask(url: str, upstream: DemoUpstream) -> None:
    """Requests that are answered at once, after a wait, by another account or model, or not."""
    faults = {
        MODEL: [],
        OTHER_MODEL: [Fault(FaultKind.QUOTA, account="ada", seconds=900)],
        LIMITED: [Fault(FaultKind.QUOTA, model=LIMITED, seconds=900, times=2)],
        f"antigravity/{MODEL}": [Fault(FaultKind.BAD_REQUEST)],
    }
    async with aiohttp.ClientSession() as http:
        for model, played in faults.items():
            upstream.play(*played)
            turn = {"role": "user", "content": "say hi"}
            body = {"model": model, "max_tokens": 100, "messages": [turn]}
            async with http.post(f"{url}/v1/messages", json=body) as answer:
                await answer.read()


async def _look_back(place: Place) -> None:
    latest = await place.play("explain --last 20")
    await place.play(f"explain {latest['requests'][-1]['id']}")
    await place.refuse("explain no-such-request")
    await place.play("models")
    for line in (f"route {MODEL}", f"route {LIMITED}"):
        await place.play(line)
    await place.play(f"route {LIMITED}", ENABLE_FALLBACK="false")
    patient = place.home.paths.config.with_name("patient.toml")
    patient.write_text(place.home.paths.config.read_text() + "\n[limits]\nmax_wait = 2000\n")
    await place.play(f"--config {patient} route {LIMITED}", ENABLE_FALLBACK="false")
    await place.play("doctor --bundle report.zip", 1)


# ------------------------------------------------------------------------------ with broken files


async def _broken(place: Place) -> None:
    file = place.home.paths.accounts
    file.parent.mkdir(parents=True)
    file.write_text('version = 1\n[[accounts]]\nid = "cut')
    for verb in ("list", "verify", "enable work", "disable work", "remove work --yes"):
        await place.refuse(f"accounts {verb}")
    for line in ("limits", "models", "route sonnet"):
        await place.refuse(line)
    for line, code in (("doctor", 1), ("", 0)):
        await place.play(line, code)
