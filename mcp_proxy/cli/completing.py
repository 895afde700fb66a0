"""What may stand where the cursor is: the answer to the scripts of `shells.py`.

Verbs, options and choices come from the click tree. What a user has (accounts, models) is read
from the files of this machine; nobody is asked for it, and what cannot be read is not offered.
Somebody waits behind the key: nothing is loaded here that an answer can do without.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click

# There is no public way to learn which parameter a word belongs to, and the rules are many
# (`--name=value`, `--`, options with several values). test_completing.py sees when these move.
from click.shell_completion import (
    CompletionItem,
    _resolve_context,
    _resolve_incomplete,
    split_arg_string,
)

from mcp_proxy.cli.context import App
from mcp_proxy.cli.render import clean
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from mcp_proxy.account import Account
    from mcp_proxy.policy.routes import Directory

VARIABLE = "_MCPROXY_COMPLETE"
LINE = "line"
_END = "\0"

Names = Mapping[str, str]
"""What may be typed, and what it is."""


def answer(root: click.Command, asked: list[str]) -> str:
    """The lines for a script, which has said in the variable what its arguments are."""
    is_line = os.environ.get(VARIABLE) == LINE
    words = _words_of("".join(asked)) if is_line else asked
    items = candidates(root, words[:-1], words[-1] if words else "")
    return "".join(f"{item.type}\t{item.value}\t{clean(item.help or '')}\n" for item in items)


def _words_of(line: str) -> list[str]:
    """As the shell takes the line, without the command. The last word may be an empty one, or one
    whose quotes are still open; a mark at its end tells both."""
    *words, last = split_arg_string(line + _END)
    return [*words[1:], last.removesuffix(_END)]


def candidates(root: click.Command, before: list[str], incomplete: str) -> list[CompletionItem]:
    """Everything that fits after the words before."""
    context = _resolve_context(root, {}, "mcproxy", before)
    target, incomplete = _resolve_incomplete(context, before, incomplete)
    if isinstance(target, click.Parameter) and target.type is click.UNPROCESSED:
        # Words for another program: files are all that can be guessed.
        return [CompletionItem(incomplete, type="file")]
    if not isinstance(target, click.Parameter) or target.name not in _READERS:
        return target.shell_complete(context, incomplete)
    read = _READERS[target.name]
    given = _given(context, target)
    return [
        CompletionItem(name, help=meaning)
        for name, meaning in sorted(_readable(read, context).items())
        if name.startswith(incomplete) and name not in given
    ]


def _given(context: click.Context, target: click.Parameter) -> tuple[str, ...]:
    """What the words before have named already, where several are taken."""
    given = context.params.get(target.name or "")
    return given if isinstance(given, tuple) else ()


def _readable(read: "Reader", context: click.Context) -> Names:
    """A file with a mistake is for other verbs to complain about; what is logged, nobody reads."""
    try:
        return read(App(config=context.find_root().params.get("config")), context)
    except UserError:
        return {}


def _account_ids(app: App, _context: click.Context) -> Names:
    return {each.id: _described(each) for each in app.account_store().load().accounts}


def _described(account: "Account") -> str:
    off = None if account.enabled else "disabled"
    return ", ".join(filter(None, (account.provider, account.label, off)))


def _models(app: App, _context: click.Context) -> Names:
    """What the accounts serve, by what their upstreams listed last, and the settings' own names."""
    from mcp_proxy.policy.routes import Directory

    accounts = app.account_store().load().accounts
    rows = app.state_reader().items("models")
    listed = {
        account_id: frozenset(row["models"])
        for account_id, row in rows.items()
        if isinstance(row.get("models"), list)
    }
    directory = Directory(accounts, listed)
    served = {model: _served_by(directory, model) for model in directory.models}
    classes = {
        kind: "the newest of its class"
        for kind, models in directory.by_class.items()
        if not directory.models.isdisjoint(models)
    }
    return {**classes, **served, **_names_of_settings(app)}


def _served_by(directory: "Directory", model: str) -> str:
    providers = (account.provider for account in directory.serving(model))
    return ", ".join(dict.fromkeys(providers))


def _names_of_settings(app: App) -> Names:
    """Aliases and routes. Straight from the file: to check every setting takes three times as
    long as all the rest, and a name that turns out to lead nowhere is no harm."""
    from mcp_proxy.store.atomic import Refused, read_plain_file
    from mcp_proxy.store.toml_text import MalformedToml, parse_toml

    document = {}
    with suppress(OSError, Refused, MalformedToml):
        document = parse_toml(read_plain_file(app.paths.config))
    found = {"an alias": document.get("aliases"), "a route": document.get("routes")}
    return {
        name: what
        for what, names in found.items()
        if isinstance(names, dict)
        for name in names
        if "*" not in name
    }


def _topics(_app: App, context: click.Context) -> Names:
    """Pages of the manual: files, and verbs with the verbs below them."""
    command: click.Command | None = context.find_root().command
    given = context.params.get("topic") or ()
    for word in given:
        command = command.get_command(context, word) if isinstance(command, click.Group) else None
    if not isinstance(command, click.Group):
        return {}
    below = command.shell_complete(click.Context(command), "")
    return {each.value: each.help or "" for each in below} | ({} if given else _FILES)


_FILES = {"accounts.toml": "the file of the accounts", "config.toml": "the file of the settings"}

Reader = Callable[[App, click.Context], Names]

_READERS: Mapping[str, Reader] = {
    "id": _account_ids,
    "ids": _account_ids,
    # Seconds may follow it, which nobody completes, or an account.
    "watch": _account_ids,
    "model": _models,
    "models": _models,
    "topic": _topics,
}
"""By the name of the parameter, which is the same for every verb."""
