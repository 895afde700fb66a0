"""A server that is ready, until somebody ends it: signals, its note for other commands, its end."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from mcp_proxy.cli.own_command import ENDS_WITH_PARENT
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.app import Server
from mcp_proxy.server.notify import Notifier
from mcp_proxy.store.state import StateStore

log = logging.getLogger("mcp_proxy.serve")

INTERRUPTED = 130

TO_CLOSE = 10.0
"""Seconds for what follows the last stream, as the service manager is told."""

SOON = 0.5
"""Seconds after which whoever has ended the server is told what it waits for."""

LOOK_FOR_PARENT_EVERY = 1.0
"""Seconds."""


async def until_stopped(
    server: Server,
    runtime: Runtime,
    spoken: AbstractAsyncContextManager[None],
    *,
    manager: Notifier,
    drain: float,
    note: Mapping[str, Any] | None,
    what_is_served: Callable[[], str],
) -> int:
    """The exit code.

    `spoken`: open while the server is ready. `drain`: seconds that open streams have to end.
    `note`: where the server is, for other commands; None: they are not to find it.
    """
    stop, now = asyncio.Event(), asyncio.Event()

    def end() -> None:
        (now if stop.is_set() else stop).set()

    def tell_ready() -> None:
        manager.ready(f"serving at {server.url} ({what_is_served()})")

    async def read_again() -> None:
        if stop.is_set():
            return
        manager.reloading()
        await runtime.reload()
        if not stop.is_set():  # else it is stopping that was told last
            tell_ready()

    _at_signals(end, read_again)
    async with _noted(runtime.state, note):
        async with spoken:
            tell_ready()
            manager.feed_watchdog()
            await stop.wait()
        manager.stopping("letting open streams end", within=drain + TO_CLOSE)
    if await _is_drained(server, drain, now):
        return 0
    # A second signal: whoever sends it does not want to wait for anything.
    await asyncio.to_thread(runtime.state.close)
    logging.shutdown()
    os._exit(INTERRUPTED)


def _at_signals(
    end: Callable[[], None], read_again: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(read_again())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if ENDS_WITH_PARENT in os.environ and sys.platform != "win32":
        _watch_parent(loop, os.environ[ENDS_WITH_PARENT], end)


def _watch_parent(loop: asyncio.AbstractEventLoop, parent: str, end: Callable[[], None]) -> None:
    """A parent that was killed could tell nobody."""
    if str(os.getppid()) == parent:
        loop.call_later(LOOK_FOR_PARENT_EVERY, _watch_parent, loop, parent, end)
    else:
        end()


@asynccontextmanager
async def _noted(state: StateStore, note: Mapping[str, Any] | None) -> AsyncIterator[None]:
    """`mcproxy limits` looks here: flags may have put the server anywhere."""
    if note is None:
        yield
        return
    before = state.get("notices", "server")
    state.put("notices", "server", dict(note))
    # Whoever has read that we are ready finds us.
    await asyncio.to_thread(state.flush)
    yield
    if state.get("notices", "server") == note:
        if before is not None and before != note and await asyncio.to_thread(_listens, before):
            state.put("notices", "server", before)
        else:
            state.delete("notices", "server")


def _listens(note: Mapping[str, Any]) -> bool:
    """Whether somebody is there: another server on the same files, which goes on."""
    try:
        with socket.create_connection((note["host"], note["port"]), timeout=SOON):
            return True
    except OSError:
        return False


async def _is_drained(server: Server, drain: float, now: asyncio.Event) -> bool:
    """Ends the server. False when `now` came before its streams had ended."""
    draining = asyncio.create_task(server.stop(drain=drain))
    at_once = asyncio.create_task(now.wait())
    ends = draining, at_once
    await asyncio.wait(ends, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
    if not draining.done() and not at_once.done():
        log.info("letting open answers end; a second signal (Ctrl-C) ends them at once")
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not draining.done():
        return False
    draining.result()
    return True
