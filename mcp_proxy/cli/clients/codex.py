"""Codex CLI (client-apis.md 3.5; tried with 0.169, which takes no address from a variable)."""

import json
import tomllib
from pathlib import Path

from mcp_proxy.cli.clients.client import Address, Client, FileWish, Place, Where
from mcp_proxy.cli.clients.text_edit import Json, KeyPath

KEY_VARIABLE = "MCPROXY_KEY"
_PROVIDER: KeyPath = ("model_providers", "mcproxy")


def _provider(place: Place) -> dict[str, Json]:
    # "chat" is no longer accepted as wire_api.
    return {"name": "mcproxy", "base_url": place.openai_url, "wire_api": "responses"}


def _model(place: Place) -> tuple[tuple[KeyPath, Json], ...]:
    """Always one: its own default is a name that few accounts serve. Its window, because Codex
    takes 272,000 for a name that it does not know."""
    model = place.model_for("gpt-6", "gpt-5", "claude-sonnet", "claude", "gemini")
    if model is None:
        return ()
    window: tuple[tuple[KeyPath, Json], ...] = ((("model_context_window",), model.window),)
    return ((("model",), model.id), *(window if model.window else ()))


def _arguments(place: Place) -> tuple[str, ...]:
    values: list[tuple[KeyPath, Json]] = [
        (("model_provider",), "mcproxy"),
        *(((*_PROVIDER, key), value) for key, value in _provider(place).items()),
        ((*_PROVIDER, "env_key"), KEY_VARIABLE),
        *_model(place),
    ]
    pairs = (f"{'.'.join(path)}={_argument(value)}" for path, value in values)
    return tuple(argument for pair in pairs for argument in ("-c", pair))


def _argument(value: Json) -> str:
    """Bare, where Codex takes what is no TOML for text: some shells lose quotes within quotes."""
    try:
        tomllib.loads(f"v = {value}")
    except tomllib.TOMLDecodeError:
        return str(value)
    return json.dumps(value)


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    # A key in the file: with env_key it would not start in a shell that lacks the variable.
    key: tuple[tuple[KeyPath, Json], ...] = ()
    if place.key is not None:
        headers: Json = {"Authorization": f"Bearer {place.key.value}"}
        key = (((*_PROVIDER, "http_headers"), headers),)
    provider = tuple(((*_PROVIDER, name), value) for name, value in _provider(place).items())
    values = ((("model_provider",), "mcproxy"), *_model(place), *provider, *key)
    return (FileWish(_config(where), "toml", values),)


def _config(where: Where) -> Path:
    return where.named("CODEX_HOME", where.home / ".codex") / "config.toml"


def _addresses(where: Where) -> tuple[Address, ...]:
    file = _config(where)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    provider = document.get("model_provider", "openai")
    own = document.get("model_providers", {}).get(provider, {}).get("base_url")
    url = own or document.get("openai_base_url")
    return (Address(str(file), url),) if isinstance(url, str) else ()


CODEX = Client(
    name="codex",
    title="Codex CLI",
    command="codex",
    install="npm install -g @openai/codex",
    variables=lambda place: {KEY_VARIABLE: place.token},
    arguments=_arguments,
    files=_files,
    addresses=_addresses,
    names_models=True,
)
