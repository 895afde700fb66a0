"""What every verb is given: where the files are, the settings, how much to say.

Each door is imported when it is opened, so that `--version` and `--help` wait for none of them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_proxy.cli.render import tell

if TYPE_CHECKING:
    from mcp_proxy.store.accounts import AccountStore, Loaded
    from mcp_proxy.store.paths import Paths
    from mcp_proxy.store.settings import Settings
    from mcp_proxy.store.state import StateReader, StateStore


@dataclass
class App:
    """The global options, and the doors to everything else. Opens nothing before it is asked."""

    config: Path | None = None
    verbosity: int = 0
    """`-v` counts up from 0, `-q` is -1."""

    @cached_property
    def paths(self) -> "Paths":
        from mcp_proxy.store.paths import find_paths

        return find_paths(os.environ, config=self.config)

    def settings(self, flags: Mapping[str, object] | None = None) -> "Settings":
        """What is in force, read anew. UserError when something in it is wrong."""
        from mcp_proxy.store.settings import load_settings

        return load_settings(self.paths, flags or {}, os.environ)

    def account_store(self) -> "AccountStore":
        """accounts.toml, and beside it the keys in the environment for as long as we run."""
        from mcp_proxy.store.accounts import AccountStore
        from mcp_proxy.store.environment import read_environment

        return AccountStore(self.paths.accounts, environment=read_environment(os.environ))

    def accounts(self) -> "Loaded":
        """All accounts; what is wrong or was mended in accounts.toml is said on stderr."""
        loaded = self.account_store().load()
        for problem in loaded.problems:
            self.say(f"{self.paths.accounts}: {problem}")
        for warning in loaded.warnings:
            self.say(warning)
        return loaded

    def state(self) -> "StateStore":
        """For verbs that leave something behind; to be closed."""
        from mcp_proxy.store.state import StateStore

        return StateStore.open(self.paths.state)

    def state_reader(self) -> "StateReader":
        from mcp_proxy.store.state import StateReader

        return StateReader(self.paths.state)

    def say(self, message: str) -> None:
        """Something for the person at the terminal, apart from the answer."""
        if self.verbosity >= 0:
            tell(message)


pass_app = click.make_pass_decorator(App, ensure=True)
