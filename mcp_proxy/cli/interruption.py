"""What ends a command early: Ctrl-C, SIGTERM, a terminal that closes. All of them end it alike."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from mcp_proxy.engine.renewals import Renewals

_LIKE_CTRL_C = ("SIGTERM", "SIGHUP")
"""Windows has not both."""

_AT_ONCE = 8


def take_signals() -> None:
    """From now on these signals do what Ctrl-C does."""
    for name in _LIKE_CTRL_C:
        number = getattr(signal, name, None)
        # Whoever has started us may want one of them ignored, as nohup does.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _as_ctrl_c)


def take_signals_of_start() -> None:
    """Until a server is ready to take them itself: SIGTERM ends it as well as it does later.

    SIGHUP would have it read again what it is about to read.
    """
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """What that does depends on who is at work: asyncio cancels its task first."""
    handler = signal.getsignal(signal.SIGINT)
    # A shell's background jobs ignore Ctrl-C, but not this.
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


@contextmanager
def threads(renewals: "Renewals") -> Iterator["ThreadPoolExecutor"]:
    """A pool that whoever interrupts us need not wait for: a call may last half a minute.

    But for `renewals` under way, whose tokens would be lost; a second interruption loses them.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        renewals.close()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
