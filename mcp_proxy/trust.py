"""The authorities whose certificates this machine trusts, and what is said of those it does not.

They are read when the first certificate has to be checked. aiohttp would read them as it is
imported, and twice, the second time for connections whose certificates it is told not to check:
55 ms of a start and 2 MB (3.14, `connector.py`); urllib reads them again for each connection.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

MENDS = "look at the clock, and at what stands between here and there; SSL_CERT_FILE names own CAs"

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks in place of its own directory; SSL_CTX_set_default_verify_paths(3)."""


class NotTrusted(OSError):
    """The certificate of a host is not accepted. The text says which, why and what mends it."""


def not_trusted(host: str, cause: Exception) -> NotTrusted:
    return NotTrusted(f"the certificate of {host} is not accepted: {why(cause)}; {MENDS}")


def why(cause: Exception) -> str:
    """In OpenSSL's words, without the place in its source."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    return str(getattr(cause, "reason", None) or cause)


@cache
def authorities() -> ssl.SSLContext:
    """For every connection that leaves this machine. The first call takes some 30 ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context


def bundle() -> str | bool:
    """The same for `requests`, which by itself trusts a list of its own and no `SSL_CERT_FILE`.

    True is that list; it has to do where the system keeps no file.
    """
    return ssl.get_default_verify_paths().cafile or True


@contextmanager
def not_yet_read() -> Iterator[None]:
    """While aiohttp is imported: it finds no certificates, and by itself trusts nobody."""
    kept = {name: os.environ[name] for name in _PLACES if name in os.environ}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name in _PLACES:
            del os.environ[name]
        os.environ.update(kept)
