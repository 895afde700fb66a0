"""Click groups: verbs that are imported when asked for, global options in any place."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Verb(NamedTuple):
    """A command that is imported when it is asked for; help needs no more than this."""

    place: str
    """`module:attribute`."""
    summary: str


class LazyGroup(click.Group):
    """A group whose verbs are a table."""

    def __init__(self, *args: Any, verbs: Mapping[str, Verb] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = dict(verbs or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        module, _, attribute = verb.place.partition(":")
        return cast(click.Command, getattr(import_module(module), attribute))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """From the table: no verb is imported to be offered."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=verb.summary)
            for name, verb in self._verbs.items()
            if name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self._verbs.items()])


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
