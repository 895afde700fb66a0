"""Who may talk to the server: Host, Origin and key. Pure checks; each refusal is a ProxyError.

A page in the user's browser is the adversary on loopback: it can send requests here, and by
rebinding its own name to 127.0.0.1 even read the answers. Its Host or Origin gives it away.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from functools import lru_cache
from hashlib import sha256
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy

from mcp_proxy.account import Secret
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.values import value

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "localhost", "::1"})


@value
class Cors:
    """Cross-origin access for pages of exactly these origins; off when there are none."""

    origins: frozenset[str] = frozenset()
    methods: str = "GET, POST, OPTIONS"
    headers: str = "*, Authorization"
    max_age: int = 600

    def headers_for(self, origin: str | None) -> dict[str, str]:
        """Response headers for a request from `origin`; empty when it is not allowed."""
        if origin is None or origin not in self.origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            # Ids, waits and who answered: a page sees few headers that are not named to it.
            "Access-Control-Expose-Headers": "*",
            "Vary": "Origin",
        }

    def preflight_for(self, origin: str | None) -> dict[str, str]:
        allowed = self.headers_for(origin)
        if not allowed:
            return {}
        return {
            **allowed,
            "Access-Control-Allow-Methods": self.methods,
            "Access-Control-Allow-Headers": self.headers,
            "Access-Control-Max-Age": str(self.max_age),
        }


@value
class Door:
    """The rules of one listening server."""

    bound_host: str
    keys: tuple[Secret, ...] = ()
    cors: Cors = Cors()
    _digests: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, bound_host: str, keys: tuple[Secret, ...], cors: Cors) -> "Door":
        forms = (form for key in keys for form in _sent_forms(key.value))
        return cls(bound_host, keys, cors, tuple(map(_digest, forms)))

    @property
    def on_loopback(self) -> bool:
        return self.bound_host in LOOPBACK_ADDRESSES

    def check_host(self, headers: CIMultiDictProxy[str], target: str) -> None:
        """Refuses a request that was addressed to another name (DNS rebinding)."""
        if self.bound_host not in LOOPBACK_ADDRESSES:
            return
        hosts = headers.getall("Host", [])
        if len(hosts) != 1 or not _is_own(hosts[0], self.bound_host):
            raise _forbidden("the Host header names another machine")
        if (
            not target.startswith("/")
            and target != "*"
            and not _is_own(urlsplit(target).netloc, self.bound_host)
        ):
            raise _forbidden("the request is addressed to another machine")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuses a request that a page of a foreign site caused."""
        origin = headers.get("Origin")
        if origin is not None:
            if origin in self.cors.origins or self._is_own_origin(origin):
                return
            raise _forbidden("requests from web pages of other origins are refused")
        if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise _forbidden("requests from web pages of other sites are refused")

    def check_key(self, headers: Mapping[str, str], query_key: str | None) -> None:
        """Refuses a request without one of the configured keys, if there are any."""
        if not self._digests:
            return
        offered = [
            headers.get("x-api-key"),
            _bearer(headers.get("Authorization")),
            headers.get("x-goog-api-key"),
            query_key,
        ]
        # Header values may hold bytes that are not UTF-8; they must compare, not crash.
        given = [_digest(key.encode("utf-8", "surrogateescape")) for key in offered if key]
        # Every pair is compared, so that the time taken tells nothing about which one matched.
        matches = [hmac.compare_digest(a, b) for a in given for b in self._digests]
        if not any(matches):
            wrong = "the key is not right" if given else "a key is needed"
            raise ProxyError(
                ErrorKind.UNAUTHENTICATED,
                f"{wrong}: send one of the server's own keys (PROXY_API_KEY, or api_keys in "
                "config.toml) as x-api-key or Authorization: Bearer",
            )

    def _is_own_origin(self, origin: str) -> bool:
        parts = urlsplit(origin)
        own = _is_own(parts.netloc, self.bound_host)
        return parts.scheme == "http" and self.on_loopback and own


@lru_cache(maxsize=64)
def _is_own(authority: str, bound_host: str) -> bool:
    name = _without_port(authority.strip().lower())
    return name in LOOPBACK_NAMES or name in (bound_host, f"[{bound_host}]")


_PORT = re.compile(r":\d*$")


def _without_port(authority: str) -> str:
    return _PORT.sub("", authority)


def _bearer(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _sent_forms(key: str) -> Iterator[bytes]:
    """Clients write letters beyond ASCII as UTF-8, or in the one byte that HTTP once meant."""
    yield key.encode()
    if not key.isascii():
        with suppress(UnicodeEncodeError):
            yield key.encode("latin-1")


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def _forbidden(message: str) -> ProxyError:
    return ProxyError(ErrorKind.FORBIDDEN, message)
