"""llm (its page on other models; tried with 0.36).

Variables lead only OpenAI's own model names here; any other name has to be in a file. A model with
an address of its own is sent no stored key, so that the key goes along as a header.
"""

import re
import sys
from pathlib import Path

from mcp_proxy.cli.clients.client import Address, Client, FileWish, Launch, Model, Place, Where
from mcp_proxy.cli.clients.private_home import in_private_home
from mcp_proxy.cli.clients.text_edit import Json

_FILE = "extra-openai-models.yaml"
_APP = "io.datasette.llm"
_PREFIX = "mcproxy/"
"""Before our models' names: llm knows some of them already, with another address."""


def _variables(place: Place) -> dict[str, str]:
    return {"OPENAI_BASE_URL": place.openai_url, "OPENAI_API_KEY": place.token}


def _directory(where: Where) -> Path:
    """As click.get_app_dir has it, which llm asks."""
    usual = where.config / _APP
    if sys.platform == "darwin":
        usual = where.home / "Library" / "Application Support" / _APP
    return where.named("LLM_USER_PATH", usual)


def _entry(model: Model, place: Place) -> Json:
    entry: dict[str, Json] = {
        "model_id": _PREFIX + model.id,
        "model_name": model.id,
        "api_base": place.openai_url,
        "supports_tools": True,
        "supports_schema": True,
        "vision": True,
    }
    if place.key is not None:
        entry["headers"] = {"Authorization": f"Bearer {place.key.value}"}
    return entry


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    models = place.models or (() if place.model is None else (place.model,))
    values = tuple(((f"{_PREFIX}{each.id}",), _entry(each, place)) for each in models)
    return (FileWish(_directory(where) / _FILE, "yaml-models", values),)


def _launch(place: Place, where: Where, scratch: Path) -> Launch:
    """In a directory that has the user's own logs, keys and templates, and our models."""
    wishes = _files(place, where)
    files, links = in_private_home(_directory(where), scratch, wishes)
    model = place.model_for("claude-sonnet", "claude", "gpt-6", "gpt-5", "gemini")
    chosen = {} if model is None else {"LLM_MODEL": _PREFIX + model.id}
    return Launch({"LLM_USER_PATH": str(scratch), **chosen}, files=files, links=links)


def _addresses(where: Where) -> tuple[Address, ...]:
    file = _directory(where) / _FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    entry = re.search(rf'model_id: "?{_PREFIX}(?:.*\n[ \t]+)+?api_base: "?([^"\s]+)', text)
    return () if entry is None else (Address(str(file), entry[1]),)


LLM = Client(
    name="llm",
    title="llm",
    command="llm",
    install="pipx install llm",
    variables=_variables,
    files=_files,
    addresses=_addresses,
    names_models=True,
    launch=_launch,
    env_notes=(
        "llm knows OpenAI's model names only, and a key that `llm keys set openai` stored goes"
        " before the variable; for every model: mcproxy setup llm, or mcproxy run llm",
    ),
    setup_notes=(f"Ask for a model as {_PREFIX}NAME: llm -m {_PREFIX}NAME",),
)
