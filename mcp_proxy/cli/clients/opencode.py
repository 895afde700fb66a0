"""opencode (its page on configuration; tried with 1.18).

It merges what OPENCODE_CONFIG_CONTENT has over all its files, so nothing else is needed to run it.
"""

import json
from pathlib import Path

from mcp_proxy.cli.clients.client import Address, Client, FileWish, Model, Place, Where
from mcp_proxy.cli.clients.jsonc import Jsonc
from mcp_proxy.cli.clients.text_edit import Json, KeyPath

CONTENT = "OPENCODE_CONFIG_CONTENT"
_PROVIDER: KeyPath = ("provider", "mcproxy")
_BASE_URL: KeyPath = (*_PROVIDER, "options", "baseURL")
_OUTPUT = 32_000
"""What it asks for when a model's maximum is not known."""


def _values(place: Place) -> tuple[tuple[KeyPath, Json], ...]:
    model = place.model_for("claude-sonnet", "claude", "gpt-6", "gpt-5", "gemini")
    models = place.models or (() if place.model is None else (place.model,))
    chosen: tuple[tuple[KeyPath, Json], ...] = ()
    if model is not None:
        # Titles are asked of small_model, which is another vendor's unless it is said.
        name = f"mcproxy/{model.id}"
        chosen = ((("model",), name), (("small_model",), name))
    return (
        *chosen,
        ((*_PROVIDER, "npm"), "@ai-sdk/openai-compatible"),
        ((*_PROVIDER, "name"), "mcproxy"),
        (_BASE_URL, place.openai_url),
        ((*_PROVIDER, "options", "apiKey"), place.token),
        *(((*_PROVIDER, "models", each.id), _described(each)) for each in models),
    )


def _described(model: Model) -> Json:
    """With the window: without one it never compacts."""
    if not model.window:
        return {"name": model.id}
    limit: Json = {"context": model.window, "output": model.output or _OUTPUT}
    return {"name": model.id, "limit": limit}


def _variables(place: Place) -> dict[str, str]:
    document = ""
    for path, value in _values(place):
        document = Jsonc().put(document, path, json.dumps(value))
    return {CONTENT: json.dumps(json.loads(document))}


def _config(where: Where) -> Path:
    """The file that is there; of its two spellings it prefers neither, and merges both."""
    named = where.env.get("OPENCODE_CONFIG")
    if named:
        return Path(named).expanduser().absolute()
    commented = where.config / "opencode" / "opencode.jsonc"
    return commented if commented.exists() else commented.with_suffix(".json")


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    return (FileWish(_config(where), "json", _values(place)),)


def _addresses(where: Where) -> tuple[Address, ...]:
    url = where.read(_config(where), Jsonc(), _BASE_URL)
    return (Address(str(_config(where)), url),) if isinstance(url, str) else ()


OPENCODE = Client(
    name="opencode",
    title="opencode",
    command="opencode",
    install="npm install -g opencode-ai",
    variables=_variables,
    files=_files,
    addresses=_addresses,
    names_models=True,
)
