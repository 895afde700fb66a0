"""Knows a request that this server has sent to itself: an account's `base_url` may lead back here.

What goes to a server without TLS, as this one is, carries a mark (faults.md T11). All processes on
one state directory have the same, since they have the same accounts.
"""

import hashlib
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.providers import Provider, UpstreamCall

HEADER: Final = "Via"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""Tells machines apart whose names and directories are the same."""


class LoopGuard:
    """One per runtime."""

    def __init__(self, state_directory: Path) -> None:
        boot = ""
        with suppress(OSError):
            boot = _BOOT.read_text("ascii")
        here = f"{socket.gethostname()}\0{boot}\0{state_directory.absolute()}"
        digest = hashlib.blake2b(here.encode("utf-8", "replace"), digest_size=8)
        self._mark = f"1.1 mcproxy-{digest.hexdigest()}"

    def marked(self, call: UpstreamCall, place: Provider) -> UpstreamCall:
        """The call as it is to be sent; marked where it might come back."""
        if place.envelope is not None or call.url.startswith("https:"):
            return call
        return replace(call, headers={**call.headers, HEADER: self._mark})

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises ProxyError for a request that went out from here."""
        via = headers.get(HEADER)
        if via is not None and self._mark in via:
            raise ProxyError(
                ErrorKind.LOOP,
                "this request was sent by this very server: the base_url of one of its accounts"
                " leads back to it. See: mcproxy accounts list",
            )
