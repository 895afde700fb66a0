"""Figures for people: from the server that is running, else from the upstreams themselves.

What a server answers needs neither asyncio nor aiohttp, and both are only imported when there is
none. Both ways end in the same documents, those of `engine/report.py`.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mcp_proxy.account import Account
from mcp_proxy.cli.context import App
from mcp_proxy.cli.render import console, counted
from mcp_proxy.cli.running_server import NoServer, running_server
from mcp_proxy.errors import UnknownModel, UserError
from mcp_proxy.providers import KNOWN_PROVIDERS
from mcp_proxy.store.accounts import UnknownAccount, WrongAccount

if TYPE_CHECKING:
    from mcp_proxy.engine.runtime import Runtime

JsonObject = dict[str, Any]

MODELS_WITHIN = 20.0
"""Seconds for the lists of models that were never read."""

CLASSES = ("opus", "sonnet", "haiku")


@dataclass(frozen=True, slots=True)
class Reading:
    """A document of `engine/report.py`, and what has to be said about it."""

    report: JsonObject
    notes: tuple[str, ...] = ()
    failed: bool = False
    """Nobody could be asked: what is shown is what was known before."""
    is_served: bool = False
    """It comes from the server that runs."""


class Figures:
    """Where figures come from during one command. `with` closes what was opened for them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._server = running_server(app)
        self._here: Upstreams | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def limits(self, ids: Sequence[str], *, max_age: float = 0.0) -> Reading:
        """The limits of these accounts, or of all. UserError for an id that is none.

        `max_age`: how old, in seconds, figures may be that this process itself has read.
        """
        try:
            return self.served_limits(ids)
        except NoServer as absence:
            notes = (f"{absence.reason}; asking the upstreams",) if absence.reason else ()
            reading = self._upstreams().limits(ids, max_age=max_age)
            return replace(reading, notes=(*notes, *reading.notes))

    def served_limits(self, ids: Sequence[str]) -> Reading:
        """The same from the server alone. NoServer when there is none."""
        report = self._server.account_limits()
        rows = report["accounts"]
        check_ids(self._app, ids, [row["id"] for row in rows])
        chosen = [row for row in rows if not ids or row["id"] in ids]
        return Reading({**report, "accounts": chosen}, is_served=True)

    @property
    def server_url(self) -> str:
        """Where a server would be, or is."""
        return self._server.url

    def look_for_server(self) -> None:
        """Finds out anew where a server would be. UserError when the settings do not tell."""
        self._server = running_server(self._app)

    def models(self) -> Reading:
        """Every model that can be asked for; upstreams are only asked for lists never read."""
        return self._upstreams().models()

    def route(self, name: str) -> Reading:
        """Where a model name leads, from what is known; nobody is asked. UserError: nowhere."""
        return self._upstreams().route(name)

    def pause(self, seconds: float) -> None:
        """Waits, while whatever was opened goes on with its work."""
        if self._here is None:
            time.sleep(seconds)
        else:
            self._here.pause(seconds)

    def _upstreams(self) -> "Upstreams":
        if self._here is None:
            self._here = self._open.enter_context(Upstreams(self._app))
        return self._here


class Upstreams:
    """A runtime in this process, on the same files as a server's."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._open = ExitStack()

    def __enter__(self) -> Self:
        import asyncio

        self._runner: asyncio.Runner = self._open.enter_context(asyncio.Runner())
        self._runtime: Runtime = self._runner.run(self._opened())
        self._open.callback(lambda: self._runner.run(self._runtime.close()))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def limits(self, ids: Sequence[str], *, max_age: float) -> Reading:
        """Asks for every enabled account among those; UserError before anybody is asked."""
        from mcp_proxy.engine.report import limits_report

        check_ids(self._app, ids, [account.id for account in self._runtime.accounts])
        chosen = [a for a in self._runtime.accounts if not ids or a.id in ids]
        asked = _askable(chosen)
        with self._progress(asked):
            failures = self._runner.run(self._refresh(asked, max_age))
        return Reading(
            limits_report(self._runtime, chosen),
            tuple(f"{name}: no fresh figures: {why}" for name, why in failures.items()),
            failed=bool(asked) and len(failures) == len(asked),
        )

    def models(self) -> Reading:
        from mcp_proxy.engine.report import models_report

        unread = [a for a in _askable(self._runtime.accounts) if not self._has_list(a)]
        with self._progress(unread):
            self._runner.run(self._runtime.learn_models(MODELS_WITHIN))
        guessed = [account.id for account in unread if not self._has_list(account)]
        return Reading(
            {**models_report(self._runtime), "classes": self._classes()},
            tuple(f"{name}: its list could not be read, this is the usual one" for name in guessed),
        )

    def route(self, name: str) -> Reading:
        from mcp_proxy.engine.route_report import route_report

        try:
            report = route_report(self._runtime, name)
        except UnknownModel as unknown:
            raise UserError(unknown.message) from unknown
        asked = {row["account"] for row in report["candidates"]}
        return Reading(
            report,
            tuple(
                f"{account.id}: its list was never read, this is the usual one. Run: mcproxy models"
                for account in _askable(self._runtime.accounts)
                if account.id in asked and not self._has_list(account)
            ),
        )

    def pause(self, seconds: float) -> None:
        import asyncio

        self._runner.run(asyncio.sleep(seconds))

    async def _opened(self) -> "Runtime":
        from mcp_proxy import trust

        with trust.not_yet_read():
            from mcp_proxy.engine.runtime import Runtime
            from mcp_proxy.engine.watched_files import WatchedFiles

        app, store = self._app, self._app.account_store()
        watched = WatchedFiles((app.paths.accounts, app.paths.config))
        runtime = Runtime(
            (),
            app.settings(),
            app.state(),
            store=store,
            reload_settings=app.settings,
            watched=watched,
        )
        runtime.take(store.load())
        await runtime.start()
        return runtime

    async def _refresh(self, accounts: list[Account], max_age: float) -> dict[str, str]:
        """What was wrong, by account id. A sign-in that turns out to be gone is remembered."""
        failures = await self._runtime.quota.refresh(accounts, max_age=max_age)
        for account in accounts:
            if account.id in failures:
                self._runtime.mark_if_dead(account, failures[account.id])
        return {name: failure.detail for name, failure in failures.items()}

    def _has_list(self, account: Account) -> bool:
        return self._runtime.models.is_read(account)

    def _classes(self) -> dict[str, str]:
        """What a class name stands for now; without those that nothing stands for."""
        if not self._runtime.names.directory.models:
            return {}
        meant = {}
        for name in CLASSES:
            with suppress(UnknownModel):
                meant[name] = self._runtime.names.stages(name)[0].model
        return meant

    def _progress(self, accounts: Sequence[Account]) -> Any:
        err = console(stderr=True)
        if not accounts or not err.is_terminal or self._app.verbosity < 0:
            return nullcontext()
        spinner = "line" if err.options.ascii_only else "dots"
        return err.status(f"asking for {counted(len(accounts), 'account')} ...", spinner=spinner)


def check_ids(app: App, ids: Iterable[str], known: Sequence[str]) -> None:
    """WrongAccount, or UnknownAccount with the nearest that there is, for the first not known."""
    for each in ids:
        if each not in known:
            problem = app.account_store().load().problem_of(each)
            raise WrongAccount(problem) if problem else UnknownAccount(each, known)


def _askable(accounts: Iterable[Account]) -> list[Account]:
    return [a for a in accounts if a.enabled and a.provider in KNOWN_PROVIDERS]
