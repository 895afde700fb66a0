"""What may stand where the cursor is: the answer to the scripts of `shells.py`.

Verbs, options and choices come from the click tree. What a user has (accounts, models) is read
from the files of this machine; nobody is asked for it, and what cannot be read is not offered.
"""

import logging
from collections.abc import Callable, Iterable

import click

# There is no public way to learn which parameter a word belongs to, and the rules are many
# (`--name=value`, `--`, options with several values). test_completing.py sees when these move.
from click.shell_completion import CompletionItem, _resolve_context, _resolve_incomplete

from mcp_proxy.cli.context import App
from mcp_proxy.errors import UserError


def answer(root: click.Command, words: list[str]) -> str:
    """The lines for a script; the last word is the one to be completed."""
    items = candidates(root, words[:-1], words[-1] if words else "")
    return "".join(f"{item.type}\t{item.value}\t{item.help or ''}\n" for item in items)


def candidates(root: click.Command, before: list[str], incomplete: str) -> list[CompletionItem]:
    """Everything that fits after the words before."""
    context = _resolve_context(root, {}, "mcproxy", before)
    target, incomplete = _resolve_incomplete(context, before, incomplete)
    read = _READERS.get(target.name or "") if isinstance(target, click.Parameter) else None
    if read is None:
        return target.shell_complete(context, incomplete)
    app = App(config=context.find_root().params.get("config"))
    return [CompletionItem(each) for each in _readable(read, app) if each.startswith(incomplete)]


def _readable(read: Callable[[App], Iterable[str]], app: App) -> list[str]:
    """Sorted, each once. A file with a mistake is for other verbs to complain about."""
    logging.disable()
    try:
        return sorted(set(read(app)))
    except UserError:
        return []
    finally:
        logging.disable(logging.NOTSET)


def _account_ids(app: App) -> Iterable[str]:
    return (account.id for account in app.account_store().load().accounts)


def _models(app: App) -> Iterable[str]:
    """What upstreams once listed, and the names that the settings give."""
    for row in app.state_reader().items("models").values():
        yield from row.get("models", ())
    settings = app.settings()
    yield from (name for name in settings.aliases if "*" not in name)
    yield from settings.routes


_READERS: dict[str, Callable[[App], Iterable[str]]] = {
    "id": _account_ids,
    "ids": _account_ids,
    "model": _models,
    "models": _models,
}
"""By the name of the parameter, which is the same for every verb."""
