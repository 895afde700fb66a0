"""Where the three things on disk are. Knows their places, nothing of what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "mcproxy"


@dataclass(frozen=True, slots=True)
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
    home = platformdirs.user_config_path(APP, appauthor=False)
    named_config = _absolute(config) if config else _named(env, "MCPROXY_CONFIG")
    state = _named(env, "MCPROXY_STATE_DIR") or platformdirs.user_state_path(APP, appauthor=False)
    return Paths(
        accounts=_named(env, "ACCOUNTS_CONFIG_PATH") or home / "accounts.toml",
        config=named_config or home / "config.toml",
        state=state,
        config_is_required=config is not None,
    )


def _named(env: Mapping[str, str], variable: str) -> Path | None:
    """A variable that is set to nothing counts as not set, as with XDG's own."""
    value = env.get(variable)
    return _absolute(Path(value)) if value else None


def _absolute(path: Path) -> Path:
    """Absolute without following links: whether a link is welcome is decided where it is opened."""
    return path.expanduser().absolute()
