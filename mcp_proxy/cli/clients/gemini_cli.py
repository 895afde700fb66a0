"""Gemini CLI (client-apis.md 4.7; tried with 0.61).

The address is taken from a variable, the way to sign in from settings.json alone: with the address
set and nothing said there, it chooses a way that it then refuses.
"""

from pathlib import Path

from mcp_proxy.cli.clients.client import Address, Client, FileWish, Launch, Place, Where
from mcp_proxy.cli.clients.jsonc import Jsonc
from mcp_proxy.cli.clients.lines import DOTENV
from mcp_proxy.cli.clients.private_home import in_private_home
from mcp_proxy.cli.clients.text_edit import CannotEdit, KeyPath

BASE_URL = "GOOGLE_GEMINI_BASE_URL"
_AUTH: KeyPath = ("security", "auth", "selectedType")
_API_KEY_AUTH = "gemini-api-key"


def _variables(place: Place) -> dict[str, str]:
    model = place.model_for("gemini-3-pro", "gemini-3", "gemini")
    return {
        BASE_URL: place.url,
        "GEMINI_API_KEY": place.token,
        # It goes before the other key.
        "GOOGLE_API_KEY": "",
        **({} if model is None else {"GEMINI_MODEL": model.id}),
    }


def _directory(where: Where) -> Path:
    return where.named("GEMINI_CLI_HOME", where.home) / ".gemini"


def _auth_wish(where: Where) -> FileWish:
    return FileWish(_directory(where) / "settings.json", "json", ((_AUTH, _API_KEY_AUTH),))


def _files(place: Place, where: Where) -> tuple[FileWish, ...]:
    lines = {name: value for name, value in _variables(place).items() if value}
    values = tuple(((name,), value) for name, value in lines.items())
    return (_auth_wish(where), FileWish(_directory(where) / ".env", "dotenv", values))


def _launch(place: Place, where: Where, scratch: Path) -> Launch:
    """With a home of its own when the user's says to sign in with Google."""
    wanted = _variables(place)
    for said in _overrides(place, where):
        raise CannotEdit(f"{said}; start it in another folder, or run: mcproxy setup gemini-cli")
    if where.read(_directory(where) / "settings.json", Jsonc(), _AUTH) == _API_KEY_AUTH:
        return Launch(wanted)
    files, links = in_private_home(_directory(where), scratch / ".gemini", (_auth_wish(where),))
    return Launch({**wanted, "GEMINI_CLI_HOME": str(scratch)}, files=files, links=links)


def _addresses(where: Where) -> tuple[Address, ...]:
    found = []
    if where.env.get(BASE_URL):
        found.append(Address(f"the shell's {BASE_URL}", where.env[BASE_URL]))
    file = _directory(where) / ".env"
    url = where.read(file, DOTENV, (BASE_URL,))
    if isinstance(url, str) and url:
        found.append(Address(str(file), url))
    return tuple(found)


def _overrides(_place: Place, where: Where) -> tuple[str, ...]:
    """Settings of a project go before those of a home, whichever home it is."""
    if where.directory is None:
        return ()
    file = where.directory / ".gemini" / "settings.json"
    said = where.read(file, Jsonc(), _AUTH)
    if said in {None, _API_KEY_AUTH}:
        return ()
    return (f"{file} says {'.'.join(_AUTH)} = {said}",)


def _conflicts(where: Where) -> tuple[tuple[str, str], ...]:
    found = []
    if where.env.get("GOOGLE_API_KEY"):
        found.append(("GOOGLE_API_KEY is set and goes before our key", "unset GOOGLE_API_KEY"))
    file = _directory(where) / "settings.json"
    if where.read(file, Jsonc(), _AUTH) != _API_KEY_AUTH:
        found.append(
            (f"{file} does not say {'.'.join(_AUTH)} = {_API_KEY_AUTH}", "mcproxy setup gemini-cli")
        )
    return tuple(found)


GEMINI_CLI = Client(
    name="gemini-cli",
    title="Gemini CLI",
    command="gemini",
    install="npm install -g @google/gemini-cli",
    variables=_variables,
    files=_files,
    addresses=_addresses,
    names_models=True,
    launch=_launch,
    overrides=_overrides,
    conflicts=_conflicts,
    env_notes=(
        f"Gemini CLI takes the variables only with {'.'.join(_AUTH)} = {_API_KEY_AUTH} in its"
        " settings.json: mcproxy setup gemini-cli, or mcproxy run gemini-cli",
    ),
    run_notes=(
        "Gemini CLI leaves a folder that it does not trust when nobody can be asked:"
        " GEMINI_CLI_TRUST_WORKSPACE=true",
    ),
)
