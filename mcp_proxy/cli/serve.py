"""`mcproxy serve`: the server in the foreground, until a signal ends it."""

import contextlib
import gc
import logging
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.choices import OneOf
from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.interruption import take_signals_of_start
from mcp_proxy.cli.log_lines import Form, form_of, say_ready, set_up_logging
from mcp_proxy.errors import UserError
from mcp_proxy.loopback import is_loopback
from mcp_proxy.server.inherited import inherited_sockets, place_of
from mcp_proxy.store.settings import (
    LOG_FORMATS,
    STRATEGIES,
    ServerSettings,
    Settings,
    key_problem,
)

if TYPE_CHECKING:
    # Imported where they are used, as is asyncio: `--help` need not load the server.
    from mcp_proxy.engine.runtime import Runtime
    from mcp_proxy.engine.watched_files import WatchedFiles
    from mcp_proxy.server.app import Server
    from mcp_proxy.server.notify import Notifier

log = logging.getLogger("mcp_proxy.serve")

CONFIG_ERROR = 78
WORKER = "MCPROXY_WORKER"
"""Set to their number for the processes of `--workers`: they share the port."""

FIRST_WORKER = "0"
"""The one that says that the server is ready."""

EXAMPLES = """\b
Examples:
  mcproxy serve
  mcproxy serve --port 9000 --fallback --soft-limit 0.1
  mcproxy serve --demo
  mcproxy serve --log-format json 2>> mcproxy.log
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [8080]"
)
@click.option("--host", help="Address to listen on.  [127.0.0.1]")
@click.option(
    "--fallback/--no-fallback",
    default=None,
    help="Answer with a model of another family when the one asked for is out.",
)
@click.option(
    "--soft-limit",
    type=click.FloatRange(0, 1),
    help="Accounts with this fraction of quota or less are used last.  [0.20]",
)
@click.option("--no-soft-limit", is_flag=True, help="Use accounts down to their last quota.")
@click.option("--strategy", type=OneOf(STRATEGIES), help="How accounts are chosen.  [sticky]")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the port.  [1]")
@click.option("--demo", is_flag=True, help="Serve an embedded upstream; no account is needed.")
@click.option("--debug", is_flag=True, default=None, help="Log bodies (redacted) and tracebacks.")
@click.option(
    "--log-format",
    type=OneOf(LOG_FORMATS),
    help="Lines of text or JSON; auto is made to be read on a terminal, else text.  [auto]",
)
@pass_app
def serve(app: App, /, *, demo: bool, no_soft_limit: bool, **options: Any) -> None:
    """Run the server in the foreground."""
    take_signals_of_start()
    if no_soft_limit and options["soft_limit"] is not None:
        raise UserError("--soft-limit and --no-soft-limit exclude each other", exit_code=2)
    flags = {name: value for name, value in options.items() if value is not None}
    if no_soft_limit:
        flags["soft_limit"] = None

    from mcp_proxy.engine.watched_files import WatchedFiles

    # Before either is read, so that an edit in the middle of the start counts.
    watched = WatchedFiles((app.paths.accounts, app.paths.config))
    sockets = inherited_sockets(os.environ, pid=_child_of_manager())
    settings = app.settings(flags)
    if sockets:
        host, port = place_of(sockets)
        settings = replace(settings, server=replace(settings.server, host=host, port=port))
    check(settings)

    def reload() -> Settings:
        """The address stays what it was; what is not safe on it is refused as at the start."""
        fresh = app.settings(flags)
        here = replace(fresh.server, host=settings.server.host, port=settings.server.port)
        fresh = replace(fresh, server=here)
        check(fresh)
        return fresh

    form = form_of(settings.log_format, sys.stderr)
    set_up_logging(form, debug=settings.debug, verbosity=app.verbosity)
    for warning in settings.warnings:
        log.warning("%s", warning)
    with _told_in(form):
        if settings.server.workers > 1 and WORKER not in os.environ:
            sys.exit(_supervise(settings.server, sockets))
        sys.exit(_run(lambda: _serve(app, settings, reload, watched, sockets, form, demo=demo)))


@contextlib.contextmanager
def _told_in(form: Form) -> Iterator[None]:
    """What ends the server is a record, too, for those who read nothing but records."""
    try:
        yield
    except UserError as error:
        if form != "json":
            raise
        log.error("%s", error)  # noqa: TRY400 - a person's slip, no trace
        sys.exit(error.exit_code)


def check(settings: Settings) -> None:
    """Refuses a configuration that would leave the accounts open to others."""
    server = settings.server
    loopback = is_loopback(server.host)
    if not loopback and not server.api_keys:
        raise UserError(
            f"refusing to listen on {server.host} without a key: everybody who reaches it could "
            "use your accounts. Set PROXY_API_KEY (16 characters or more), or api_keys under "
            "[server] in config.toml; or listen on 127.0.0.1.",
            exit_code=CONFIG_ERROR,
        )
    for key in server.api_keys:
        problem = key_problem(key.value, loopback=loopback)
        if problem is not None:
            raise UserError(f"a server key is not usable: {problem}", exit_code=CONFIG_ERROR)


def _child_of_manager() -> int:
    """The process that a service manager has started, and means in its variables."""
    return os.getppid() if WORKER in os.environ else os.getpid()


def _supervise(server: ServerSettings, sockets: Sequence[socket.socket]) -> int:
    from mcp_proxy.cli.workers import Supervisor

    supervisor = Supervisor(_manager(), server.workers, marker=WORKER)
    try:
        return supervisor.run(sockets, host=server.host, port=server.port)
    except OSError as cause:
        raise _cannot_listen(server, cause) from cause


def _manager() -> "Notifier":
    from mcp_proxy.server.notify import Notifier

    return Notifier.of_process(os.environ, pid=_child_of_manager())


def _cannot_listen(server: ServerSettings, cause: OSError) -> UserError:
    if isinstance(cause, socket.gaierror):  # whose numbers are those of no other error
        return UserError(
            f"cannot listen on {server.host}: {cause.strerror}. Name an address of this machine "
            "with --host."
        )
    host = f"[{server.host}]" if ":" in server.host else server.host
    return UserError(
        f"cannot listen on {host}:{server.port}: {os.strerror(cause.errno or 0)}. If another "
        "program has the port, choose another one with --port; --port 0 takes any free one."
    )


def _collect_from_now_on() -> None:
    """What was loaded so far stays for good and need not be looked at again.

    And requests make many containers and few cycles, so seldom is enough.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def _run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    gc.disable()  # until it is ready: modules make much that stays, and nothing to be collected
    with contextlib.suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Two descriptors per open stream; the usual soft limit of 1,024 is soon reached.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
        # A core file would hold every token in clear.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "win32":
        import uvloop

        return uvloop.run(main())
    import asyncio

    return asyncio.run(main())


async def _serve(
    app: App,
    settings: Settings,
    reload: Callable[[], Settings],
    watched: "WatchedFiles",
    sockets: Sequence[socket.socket],
    form: Form,
    *,
    demo: bool,
) -> int:
    from mcp_proxy import trust

    with trust.not_yet_read():
        from mcp_proxy.cli.until_stopped import until_stopped
        from mcp_proxy.server.app import Server

    async with _sources(app, settings, reload, watched, demo=demo) as runtime:
        server = Server(
            runtime,
            host=settings.server.host,
            port=settings.server.port,
            reuse_port=WORKER in os.environ,
        )
        try:
            await server.start(sockets)
        except OSError as cause:
            raise _cannot_listen(settings.server, cause) from cause
        _collect_from_now_on()
        spoken = _spoken(server, runtime, form, quiet=app.verbosity < 0, demo=demo)
        return await until_stopped(
            server,
            runtime,
            spoken,
            manager=_manager(),
            drain=settings.server.drain,
            note=None if demo else {"host": settings.server.host, "port": server.port},
            what_is_served=partial(_what_is_served, runtime, demo=demo),
        )


@asynccontextmanager
async def _sources(
    app: App,
    settings: Settings,
    reload: Callable[[], Settings],
    watched: "WatchedFiles",
    *,
    demo: bool,
) -> AsyncIterator["Runtime"]:
    """The runtime on the user's accounts, or on the embedded upstream and its own."""
    from mcp_proxy.engine.runtime import Runtime
    from mcp_proxy.store.state import StateStore

    if demo:
        from mcp_proxy.demo.setup import demo_setup

        async with demo_setup(settings) as (accounts, demo_settings, state_directory):
            yield Runtime.for_accounts(accounts, demo_settings, state_directory)
        return
    store = app.account_store()
    loaded = store.load()
    runtime = Runtime(
        (),
        settings,
        StateStore.open(app.paths.state, is_shared=WORKER in os.environ),
        store=store,
        reload_settings=reload,
        watched=watched,
    )
    runtime.take(loaded)
    yield runtime


@asynccontextmanager
async def _spoken(
    server: "Server", runtime: "Runtime", form: Form, *, quiet: bool, demo: bool
) -> AsyncIterator[None]:
    """Says that the server is ready, and from then on what becomes of the accounts."""
    from mcp_proxy.server.account_watch import watching

    if os.environ.get(WORKER, FIRST_WORKER) != FIRST_WORKER:
        yield  # one of them speaks for all
        return
    if form == "terminal" and not quiet:
        from mcp_proxy.cli.serve_header import show_header

        show_header(runtime, url=server.url, port=server.port, demo=demo)
    else:
        say_ready(form, server.url, _what_is_served(runtime, demo=demo))
    async with watching(runtime):
        yield


def _what_is_served(runtime: "Runtime", *, demo: bool) -> str:
    if demo:
        return "the embedded demo upstream"
    usable = len([account for account in runtime.accounts if account.enabled])
    hint = ""
    if not usable and runtime.accounts:
        hint = f", all disabled; enable one with: mcproxy accounts enable {runtime.accounts[0].id}"
    elif not usable:
        hint = "; add one with: mcproxy accounts add"
    return f"{usable} account{'s' * (usable != 1)}{hint}"
