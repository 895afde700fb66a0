"""Which models a client can be given: those of the running server, else those of the accounts."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from mcp_proxy.cli.clients.client import Model
from mcp_proxy.cli.context import App
from mcp_proxy.cli.reading import Figures
from mcp_proxy.errors import UnknownModel, UserError
from mcp_proxy.spelling import alike

_SUFFIX = "[1m]"


def from_server(rows: Iterable[Mapping[str, Any]]) -> tuple[Model, ...]:
    """Of the rows of a server's `/v1/models`."""
    return tuple(_model(row, "max_output_tokens") for row in rows)


def from_accounts(app: App) -> tuple[Model, ...]:
    """Of the accounts here; upstreams are asked for lists that were never read."""
    with Figures(app) as figures:
        report = figures.models().report
    return tuple(_model(row, "max_output") for row in report["models"])


def route_here(app: App) -> Callable[[str], str]:
    """Finds the model that a name leads to with the accounts here. UserError when to none."""

    def find(name: str) -> str:
        with Figures(app) as figures:
            candidates = figures.route(name).report["candidates"]
        return str(candidates[0]["model"]) if candidates else name

    return find


def chosen(name: str, offered: tuple[Model, ...], find: Callable[[str], str]) -> Model:
    """The model by the name that was given, which may be an alias, a class, a route.

    UserError with the nearest names when it leads nowhere.
    """
    wanted = name.removesuffix(_SUFFIX)
    by_id = {model.id: model for model in offered}
    if wanted in by_id:
        return by_id[wanted]
    with suppress(UserError):
        meant = by_id.get(find(wanted))
        return Model(wanted, meant.window, meant.output) if meant is not None else Model(wanted)
    raise UserError(UnknownModel(name, nearest=alike(wanted, by_id, cutoff=0.0)).message)


def _model(row: Mapping[str, Any], output: str) -> Model:
    return Model(str(row["id"]), row.get("context_window"), row.get(output))
