"""Secrets struck out of text that leaves this machine, by what they are here.

accounts.toml and config.toml are read as the program reads them and as mere text, too: a key that
is mistyped, misplaced, or in an entry or file that is wrong, is as secret as any.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcp_proxy.account import Account, Secret
from mcp_proxy.cli.context import App
from mcp_proxy.errors import UserError
from mcp_proxy.store.entries import FIELD_NAMES
from mcp_proxy.store.settings import Settings
from mcp_proxy.store.toml_text import MalformedToml, parse_toml

STRUCK = "(secret)"
SHORTEST_SECRET = 4
"""Characters. A shorter key is no secret, and striking it would leave holes in every word."""

SHORTEST_WORD = 8
"""Characters. Of a secret in several words, like `Bearer …`, words of this length are some, too."""

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_NO_SECRET_NAME = re.compile(r"(URLS?|FILE|PATH|DIR|SOCK|NAME|METHOD|MODE)$", re.IGNORECASE)
"""`token_url`, `SSH_AUTH_SOCK`: an address or a place, which people who help have to see."""

_SECRET_FIELDS = {"refresh_token", "api_key", "client_secret", "headers", "label", "email"}
_PLAIN_FIELDS = (FIELD_NAMES | {"accounts", "version"}) - _SECRET_FIELDS
"""Of accounts.toml; whatever else is in an entry may be a secret."""

_IN_ADDRESS = re.compile(r"(?<=://)[^/\s\"?#]+(?=@)")
"""User and password of a URL."""
_BEHIND_ADDRESS = re.compile(r"(?<=://)([^\s\"?#]+\?)[^\s\"]+")
"""What follows the path of a URL: some servers take keys there, some links are good once."""


def striker(secrets: set[str]) -> Callable[[str], str]:
    """A function that takes secrets, those of addresses among them, out of JSON text.

    The path of the home directory, which mostly tells a name, becomes `~`.
    """
    # As they are in JSON; the longest first, since one may begin with another.
    spelled = sorted(map(_in_json, secrets), key=len, reverse=True)
    home = str(Path.home())
    any_secret = re.compile("|".join(map(re.escape, spelled))) if spelled else None

    def strike(text: str) -> str:
        struck = any_secret.sub(STRUCK, text) if any_secret else text
        struck = _BEHIND_ADDRESS.sub(rf"\1{STRUCK}", _IN_ADDRESS.sub(STRUCK, struck))
        return struck.replace(home, "~") if len(home) > 1 else struck

    return strike


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def known_secrets(app: App, env: Mapping[str, str]) -> set[str]:
    """Whatever may be one in the accounts, the settings and the variables."""
    found = {value for name, value in env.items() if _is_secret(name)}
    found |= set(_of_text(app.paths.accounts, lambda name: name not in _PLAIN_FIELDS))
    found |= set(_of_text(app.paths.config, _is_secret))
    with suppress(UserError):
        found |= set(_of_settings(app.settings()))
    with suppress(UserError):
        for account in app.account_store().load().accounts:
            found |= set(_of_account(account))
    words = {word for each in found for word in each.split() if len(word) >= SHORTEST_WORD}
    return {each for each in found if len(each) >= SHORTEST_SECRET} | words


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def _of_text(file: Path, is_secret: Callable[[str], bool]) -> Iterator[str]:
    """The texts in a file under names that may mean a secret, whether or not they are understood.

    What stands on a line without a name may be one, too, in a file that is no TOML.
    """
    try:
        content = file.read_bytes() if file.is_file() else b""
    except OSError:
        return
    try:
        yield from _texts(parse_toml(content), is_secret)
    except MalformedToml:
        for line in content.decode(errors="replace").splitlines():
            yield from _roughly(line, is_secret)


def _roughly(line: str, is_secret: Callable[[str], bool]) -> Iterator[str]:
    """The same of one line of a file that cannot be read, perhaps for want of a quotation mark."""
    name, is_pair, value = line.partition("=")
    if is_pair and not is_secret(name.strip(_AROUND)):
        return
    told = (value if is_pair else name).strip()
    if is_pair or told.startswith(_MARKS):
        yield told.strip(_AROUND)
        yield from _QUOTED.findall(told)


_MARKS = ('"', "'")
_AROUND = " \t\"',[]"
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


def _texts(value: Any, is_secret: Callable[[str], bool], *, within: bool = False) -> Iterator[str]:
    """`within`: the name that leads here means a secret, and so does whatever is below it."""
    if isinstance(value, str) and within:
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, is_secret, within=within)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, is_secret, within=within or is_secret(name))


def _of_settings(settings: Settings) -> Iterator[str]:
    yield from (key.value for key in settings.server.api_keys)
    for provider in settings.providers.values():
        if provider.client_secret is not None:
            yield provider.client_secret.value


def _of_account(account: Account) -> Iterator[str]:
    """Also of one that a variable makes; the rest of an entry is in the file's text."""
    credential = account.credential
    for secret in (credential.refresh_token, credential.api_key, credential.client_secret):
        if isinstance(secret, Secret):
            yield secret.value
