"""Click groups: verbs that are imported when asked for, global options in any place."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import click


class LazyGroup(click.Group):
    """`verbs` maps a name to `module:command`."""

    def __init__(self, *args: Any, verbs: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = dict(verbs or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._verbs, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._verbs.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        return cast(click.Command, getattr(import_module(module), attribute))


class RootGroup(LazyGroup):
    """Takes the global options wherever they stand, as people write them behind the verb, too."""

    _SWITCHES = frozenset({"-v", "-vv", "-vvv", "--verbose", "-q", "--quiet"})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        hoisted: list[str] = []
        kept: list[str] = []
        rest = iter(args)
        for each in rest:
            if each == "--":
                kept += [each, *rest]
            elif each in self._SWITCHES or each.startswith("--config="):
                hoisted.append(each)
            elif each == "--config":
                hoisted += [each, *([value] if (value := next(rest, None)) is not None else [])]
            else:
                kept.append(each)
        return super().parse_args(ctx, hoisted + kept)
