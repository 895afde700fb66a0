"""A word out of a few, for options and arguments; whoever mistyped one is told the nearest."""

from typing import Any

import click

from mcp_proxy.spelling import did_you_mean


class OneOf(click.Choice[str]):
    """click's own choice, with a suggestion behind its refusal."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return super().get_invalid_choice_message(value, ctx) + did_you_mean(
            str(value), self.choices
        )
