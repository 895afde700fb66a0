"""Where the three things on disk are. Knows their places, nothing of what is in them.

A directory that systemd made for the service (`StateDirectory=`, `ConfigurationDirectory=` in
systemd.exec(5)) stands for the platform's; a variable of ours or a flag beats both.
"""

from collections.abc import Mapping
from pathlib import Path

import platformdirs

from mcp_proxy.values import value

APP = "mcproxy"


@value
class Paths:
    """A path named in a variable or flag replaces its default entirely."""

    accounts: Path
    """accounts.toml: identities and credentials."""
    config: Path
    """config.toml: settings; optional, never written."""
    state: Path
    """Directory of everything that changes while serving; safe to delete."""
    config_is_required: bool = False
    """`--config` names this very file: it has to be there."""


def find_paths(env: Mapping[str, str], *, config: Path | None = None) -> Paths:
    """The paths in force. `config` is the value of `--config` and beats `MCPROXY_CONFIG`."""
    user = platformdirs.PlatformDirs(APP, appauthor=False)
    home = _service_directory(env, "CONFIGURATION_DIRECTORY") or user.user_config_path
    named_config = _absolute(config) if config else _named(env, "MCPROXY_CONFIG")
    state = _named(env, "MCPROXY_STATE_DIR") or _service_directory(env, "STATE_DIRECTORY")
    return Paths(
        accounts=_named(env, "ACCOUNTS_CONFIG_PATH") or home / "accounts.toml",
        config=named_config or home / "config.toml",
        state=state or user.user_state_path,
        config_is_required=config is not None,
    )


def _named(env: Mapping[str, str], variable: str) -> Path | None:
    """A variable that is set to nothing counts as not set, as with XDG's own."""
    value = env.get(variable)
    return _absolute(Path(value)) if value else None


def _service_directory(env: Mapping[str, str], variable: str) -> Path | None:
    """The first of the directories; systemd puts colons between several."""
    first = env.get(variable, "").partition(":")[0]
    return Path(first) if first.startswith("/") else None


def _absolute(path: Path) -> Path:
    """Absolute without following links: whether a link is welcome is decided where it is opened."""
    return path.expanduser().absolute()
