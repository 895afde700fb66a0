"""Claude Code (client-apis.md 1.9; the recordings' README; its own page on environment variables).

What its settings files have under `env` replaces what the shell says, which surprises people whose
shell is right; hence the look at those files here, in `run` and in `doctor`. One with a comment or
a trailing comma it passes over as a whole, without a word (tried with 2.1).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcp_proxy.cli.clients.client import (
    LONG_WINDOW,
    Address,
    Client,
    FileWish,
    Launch,
    Model,
    Place,
    Where,
)
from mcp_proxy.cli.clients.jsonc import Jsonc, first_beyond_json
from mcp_proxy.cli.clients.text_edit import Json
from mcp_proxy.policy.models import CLASS_DEFAULTS

BASE_URL = "ANTHROPIC_BASE_URL"
API_KEY = "ANTHROPIC_API_KEY"

_FOR_ITSELF = ("ANTHROPIC_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
_FOR_CLASSES = tuple(f"ANTHROPIC_DEFAULT_{kind.upper()}_MODEL" for kind in CLASS_DEFAULTS)

_WINDOW = "CLAUDE_CODE_AUTO_COMPACT_WINDOW"
"""When to compact. It only ever makes the window smaller that the name of the model stands for
(anthropics/claude-code issue 57964)."""

_LONG = "[1m]"
"""Behind a model's name: it has a window of a million. The server drops it before it looks."""

_OTHER_CLOUDS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


def _variables(place: Place) -> dict[str, str]:
    chosen = place.model or _instead_of_claude(place.models)
    return {
        BASE_URL: place.url,
        "ANTHROPIC_AUTH_TOKEN": place.token,
        # Both set, it warns, or takes the wrong one.
        API_KEY: "",
        **({} if chosen is None else _models(chosen)),
        **_window(place.models if chosen is None else (chosen,)),
    }


def _models(chosen: Model) -> dict[str, str]:
    """One model for everything. A class is a name that Claude Code knows, too, and asks for by its
    newest model, which the server takes for the class again."""
    names = _FOR_ITSELF if chosen.id in CLASS_DEFAULTS else (*_FOR_ITSELF, *_FOR_CLASSES)
    return dict.fromkeys(names, _spelled(chosen))


def _instead_of_claude(models: tuple[Model, ...]) -> Model | None:
    """A model for accounts that have none of Claude Code's classes and no stand-in for them."""
    stand_ins = {model for defaults in CLASS_DEFAULTS.values() for model in defaults}
    if any(_is_of_a_class(model) or model.id in stand_ins for model in models):
        return None
    return Place("", models=models).model_for()


def _is_of_a_class(model: Model) -> bool:
    return any(kind in model.id for kind in CLASS_DEFAULTS)


def _spelled(model: Model) -> str:
    return model.id + _LONG if (model.window or 0) >= LONG_WINDOW else model.id


def _window(models: tuple[Model, ...]) -> dict[str, str]:
    """For the smallest window that a conversation may meet, unless all have a million."""
    met = [model for model in models if _is_of_a_class(model)] or list(models)
    sizes = [model.window for model in met if model.window]
    return {_WINDOW: str(min(sizes))} if sizes and min(sizes) < LONG_WINDOW else {}


def _directory(where: Where) -> Path:
    return where.named("CLAUDE_CONFIG_DIR", where.home / ".claude")


def _state_file(where: Where) -> Path:
    beside = _directory(where) if where.env.get("CLAUDE_CONFIG_DIR") else where.home
    return beside / ".claude.json"


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    env = tuple((("env", name), value) for name, value in _variables(place).items())
    onboarded = ((("hasCompletedOnboarding",), True),)
    return (
        FileWish(_directory(where) / "settings.json", "json", env, unread=_why_unread),
        # Without it the first start asks for a login that nobody needs here.
        FileWish(_state_file(where), "json", onboarded, unread=_why_unread),
    )


def _settings_files(where: Where) -> Iterator[Path]:
    """Those that count here, the one that wins first."""
    if where.directory is not None:
        yield where.directory / ".claude" / "settings.local.json"
        yield where.directory / ".claude" / "settings.json"
    yield _directory(where) / "settings.json"


def _why_unread(text: str) -> str | None:
    line = first_beyond_json(text)
    if line is None:
        return None
    return f"for a comment or a trailing comma (line {line}) Claude Code passes over the whole file"


def _why_passed_over(file: Path) -> str | None:
    try:
        return _why_unread(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None  # there is nothing in it that could be meant for us


def _read(file: Path, where: Where, *path: str) -> Json:
    """As Claude Code would."""
    return where.read(file, Jsonc(), path) if _why_passed_over(file) is None else None


def _env_of(file: Path, where: Where) -> Mapping[str, object]:
    found = _read(file, where, "env")
    return found if isinstance(found, dict) else {}


def _addresses(where: Where) -> tuple[Address, ...]:
    found = []
    for file in _settings_files(where):
        url = where.read(file, Jsonc(), ("env", BASE_URL))
        if isinstance(url, str) and url:
            found.append(Address(str(file), url, _why_passed_over(file)))
    if where.env.get(BASE_URL):
        found.append(Address(f"the shell's {BASE_URL}", where.env[BASE_URL]))
    return tuple(found)


def _launch(place: Place, where: Where, scratch: Path) -> Launch:
    """Variables; and, where settings files would replace them, settings that count for more."""
    wanted = _variables(place)
    if not _overrides(place, where):
        return Launch(wanted)
    file = scratch / "settings.json"
    # A file and not the JSON itself: arguments can be read by every user of the machine.
    return Launch(wanted, ("--settings", str(file)), {file: json.dumps({"env": wanted})})


def _overrides(place: Place, where: Where) -> tuple[str, ...]:
    return tuple(
        f"{file} sets {name}, which goes before the variable"
        for file in dict.fromkeys(_settings_files(where))
        for name, value in _variables(place).items()
        if _env_of(file, where).get(name, value) != value
    )


def _conflicts(where: Where) -> tuple[tuple[str, str], ...]:
    found = []
    if where.env.get(API_KEY):
        found.append((f"{API_KEY} is set in the shell beside the token", f"unset {API_KEY}"))
    for file in _settings_files(where):
        env = _env_of(file, where)
        if env.get(API_KEY):
            found.append((f"{file} sets {API_KEY} beside the token", "mcproxy setup claude-code"))
        if _read(file, where, "apiKeyHelper"):
            found.append((f"{file} has an apiKeyHelper, whose key goes first", f"edit {file}"))
    found += [
        (f"{name} sends it to another cloud", f"unset {name}")
        for name in _OTHER_CLOUDS
        if where.env.get(name) not in {None, "", "0", "false"}
    ]
    return tuple(found)


CLAUDE_CODE = Client(
    name="claude-code",
    title="Claude Code",
    command="claude",
    install="npm install -g @anthropic-ai/claude-code",
    variables=_variables,
    files=_files,
    addresses=_addresses,
    launch=_launch,
    overrides=_overrides,
    conflicts=_conflicts,
)
