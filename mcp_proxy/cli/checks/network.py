"""The way to the providers: proxies in variables and, when asked for, each host by name and TLS.

A provider is reached when it answers anything at all; whether an account works there is what
`accounts verify` asks.
"""

import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from mcp_proxy import trust
from mcp_proxy.account import Account
from mcp_proxy.cli.checks.finding import Finding, Look, at_once, ok, problem, warning
from mcp_proxy.loopback import is_loopback
from mcp_proxy.providers import KNOWN_PROVIDERS, provider
from mcp_proxy.store.settings import Settings

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
ONE_WITHIN = 5.0
ALL_WITHIN = 8.0
"""Seconds."""

WRONG_CLOCK = 60.0
"""Seconds that sign-ins and signed requests do not forgive."""


def findings(look: Look) -> Iterator[Finding]:
    for name in PROXIES:
        address = look.env.get(name) or look.env.get(name.lower())
        if address:
            yield _proxy(name, address)
    if not look.online:
        yield ok("no provider was asked; --online asks")
        return
    hosts = _hosts(look)
    answers = at_once({url: partial(_reach, url) for url in hosts}, ALL_WITHIN)
    for url, found in answers.items():
        yield found or problem(f"{url}: no answer within {ALL_WITHIN:g} s", _MEND)


_MEND = "look at the network, DNS and HTTPS_PROXY"


def _proxy(variable: str, address: str) -> Finding:
    """Without its user and password."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        place = None
    if not place:
        return problem(f"{variable} is no address", f"unset {variable}")
    return ok(f"{variable}: providers are reached through {place}")


def _hosts(look: Look) -> list[str]:
    """The addresses of all enabled accounts, each once."""
    settings = look.settings or Settings()
    accounts = look.loaded.accounts if look.loaded else ()
    usable = [each for each in accounts if each.enabled and each.provider in KNOWN_PROVIDERS]
    return list(dict.fromkeys(url for account in usable for url in _urls(account, settings)))


def _urls(account: Account, settings: Settings) -> tuple[str, ...]:
    return provider(account.provider).hosts(account, settings.provider(account.provider))


def _reach(url: str) -> Finding:
    from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}/"
    # Loopback is never behind a proxy, whatever the variables say.
    proxies = ProxyHandler({}) if is_loopback(parts.hostname or "") else ProxyHandler()
    secure = HTTPSHandler(context=trust.authorities())
    request = Request(root, method="HEAD", headers={"User-Agent": "mcproxy"})  # noqa: S310
    started = time.monotonic()
    try:
        with build_opener(proxies, secure).open(request, timeout=ONE_WITHIN) as answer:
            date = answer.headers.get("Date")
    except HTTPError as refusal:
        date = refusal.headers.get("Date")
        refusal.close()
    except URLError as cause:
        if isinstance(cause.reason, ssl.SSLError):
            why = trust.why(cause.reason)
            return problem(f"{root}: its certificate is not accepted: {why}", trust.MENDS)
        return problem(f"{root}: cannot be reached: {cause.reason}", _MEND)
    except (OSError, ValueError) as cause:
        return problem(f"{root}: cannot be reached: {cause}", _MEND)
    took = time.monotonic() - started
    return _clock(root, date) or ok(f"{root}: answers in {took * 1000:.0f} ms")


def _clock(root: str, date: str | None) -> Finding | None:
    """A warning when this machine's clock is not the provider's."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    off = time.time() - theirs
    if abs(off) < WRONG_CLOCK:
        return None
    way = "ahead of" if off > 0 else "behind"
    return warning(f"this clock is {abs(off):.0f} s {way} {root}", "timedatectl set-ntp true")
