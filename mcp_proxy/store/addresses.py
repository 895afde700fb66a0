"""Which addresses secrets may be sent to. Looks at the text alone; resolves no names."""

from urllib.parse import urlsplit

from mcp_proxy.loopback import is_loopback
from mcp_proxy.store.checks import WrongValue, token


def checked_url(value: object) -> str:
    """The URL, without a closing slash. WrongValue unless https, or http on this very machine."""
    text = token(value)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or _port_is_bad(text):
        raise WrongValue("must be a URL like https://host/path")
    if parts.username is not None or parts.password is not None:
        raise WrongValue("must not carry a user name or password")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise WrongValue("must be https:// (plain http:// is for this machine only)")
    return text.rstrip("/")


def checked_proxy(value: object) -> str:
    """The URL of an outbound proxy, which may carry a user name. WrongValue for another shape."""
    text = token(value)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or _port_is_bad(text):
        raise WrongValue("must be a URL like http://host:3128")
    return text


def _port_is_bad(text: str) -> bool:
    try:
        return urlsplit(text).port == 0
    except ValueError:
        return True
