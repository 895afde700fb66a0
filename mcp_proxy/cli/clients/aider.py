"""aider (its pages on configuration; tried with 0.86).

Its settings files go before OPENAI_API_BASE, and AIDER_... variables before them. OPENAI_API_KEY is
left alone: a `mcproxy serve` in the same shell would take it for an account.
"""

from pathlib import Path

from mcp_proxy.cli.clients.client import Address, Client, FileWish, Place, Where
from mcp_proxy.cli.clients.lines import YAML_SCALARS
from mcp_proxy.cli.clients.text_edit import Json, KeyPath

BASE_URL = "AIDER_OPENAI_API_BASE"
_OWN_BASE_URL = "OPENAI_API_BASE"


def _model(place: Place) -> str | None:
    """`openai/` tells it to speak OpenAI's API, whatever the model."""
    model = place.model_for("claude-sonnet", "claude", "gpt-6", "gpt-5", "gemini")
    return None if model is None else f"openai/{model.id}"


def _variables(place: Place) -> dict[str, str]:
    model = _model(place)
    return {
        _OWN_BASE_URL: place.openai_url,
        BASE_URL: place.openai_url,
        "AIDER_OPENAI_API_KEY": place.token,
        **({} if model is None else {"AIDER_MODEL": model}),
    }


def _config(where: Where) -> Path:
    return where.home / ".aider.conf.yml"


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    model = _model(place)
    chosen: tuple[tuple[KeyPath, Json], ...] = () if model is None else ((("model",), model),)
    values: tuple[tuple[KeyPath, Json], ...] = (
        (("openai-api-base",), place.openai_url),
        (("openai-api-key",), place.token),
        *chosen,
    )
    return (FileWish(_config(where), "yaml", values),)


def _addresses(where: Where) -> tuple[Address, ...]:
    in_file = where.read(_config(where), YAML_SCALARS, ("openai-api-base",))
    said = (
        (f"the shell's {BASE_URL}", where.env.get(BASE_URL)),
        (str(_config(where)), in_file),
        (f"the shell's {_OWN_BASE_URL}", where.env.get(_OWN_BASE_URL)),
    )
    return tuple(Address(origin, url) for origin, url in said if isinstance(url, str) and url)


AIDER = Client(
    name="aider",
    title="aider",
    command="aider",
    install="python -m pip install aider-install && aider-install",
    variables=_variables,
    files=_files,
    addresses=_addresses,
    names_models=True,
    setup_notes=("A .aider.conf.yml in a project goes before the one in your home",),
)
