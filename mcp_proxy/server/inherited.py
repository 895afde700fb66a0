"""Listening sockets that the service manager has opened for this process: sd_listen_fds(3).

They outlive a restart, so connections made meanwhile wait instead of being refused.
"""

import os
import socket
from collections.abc import Mapping

from mcp_proxy.errors import UserError
from mcp_proxy.loopback import is_loopback

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

CONFIG_ERROR = 78


def inherited_descriptors(env: Mapping[str, str], *, pid: int) -> range:
    """The descriptors meant for process `pid`; none when it was started in another way."""
    count = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return range(0)
    return range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))


def inherited_sockets(env: Mapping[str, str], *, pid: int) -> tuple[socket.socket, ...]:
    """The sockets behind them. UserError for one that no HTTP can be served on."""
    names = env.get("LISTEN_FDNAMES", "").split(":")
    return tuple(
        _listening(descriptor, name=names[number] if number < len(names) else "")
        for number, descriptor in enumerate(inherited_descriptors(env, pid=pid))
    )


def place_of(sockets: tuple[socket.socket, ...]) -> tuple[str, int]:
    """Host and port that the rules of access go by: the place that most people can reach."""
    places = [each.getsockname()[:2] for each in sockets]
    host, port = min(places, key=lambda place: is_loopback(place[0]))
    return host, port


def _listening(descriptor: int, *, name: str) -> socket.socket:
    try:
        # No program that we start shall hold the port open.
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as cause:
        raise _unfit(descriptor, name, "is not there or is no socket") from cause
    is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not is_tcp or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise _unfit(descriptor, name, "is not a listening TCP socket")
    sock.setblocking(False)
    return sock


def _unfit(descriptor: int, name: str, reason: str) -> UserError:
    what = f"descriptor {descriptor}" + (f" ({name})" if name else "")
    return UserError(
        f"the service manager handed over {what}, which {reason}. "
        "mcproxy.socket must have ListenStream= with addresses and ports, and Accept=no.",
        exit_code=CONFIG_ERROR,
    )
