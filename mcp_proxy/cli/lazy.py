"""Click groups: verbs that are imported when asked for, global options in any place.

A verb that there is not is told the nearest that there are.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from mcp_proxy.spelling import alike, suggestion

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Verb(NamedTuple):
    """A command that is imported when it is asked for; help needs no more than this."""

    place: str
    """`module:attribute`."""
    summary: str
    is_group: bool = False
    """Whether there are further verbs below it."""


class VerbGroup(click.Group):
    """A group that knows what may have been meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        # What begins with a dash is an option, and click's to refuse.
        if not (
            ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name) is not None
        ):
            ctx.fail(f"There is no command {name!r}.{suggestion(self.meant_by(ctx, name))}")
        return super().resolve_command(ctx, args)

    def meant_by(self, ctx: click.Context, name: str) -> tuple[str, ...]:
        """The commands that somebody may have meant, the likeliest first."""
        return alike(name, self.list_commands(ctx))


class LazyGroup(VerbGroup):
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

    def meant_by(self, ctx: click.Context, name: str) -> tuple[str, ...]:
        """`add` is likely to be `accounts add`; then what is spelled alike."""
        below = (path for path, last in self._below(ctx) if last == name)
        return (*below, *super().meant_by(ctx, name))

    def _below(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        """The verbs of the groups: `accounts add`, `add`."""
        for group_name, verb in self._verbs.items():
            group = self.get_command(ctx, group_name) if verb.is_group else None
            if isinstance(group, click.Group):
                yield from ((f"{group_name} {each}", each) for each in group.list_commands(ctx))
