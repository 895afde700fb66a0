"""Which addresses secrets may be sent to. Looks at the text alone; resolves no names."""

from urllib.parse import SplitResult, urlsplit

from mcp_proxy.loopback import is_loopback
from mcp_proxy.store.checks import WrongValue, token


def checked_url(value: object) -> str:
    """The URL, without a closing slash. WrongValue unless https, or http on this very machine."""
    text = token(value)
    parts = _parts(text)
    if parts is None:
        raise WrongValue("must be a URL like https://host/path")
    if parts.username is not None or parts.password is not None:
        raise WrongValue("must not carry a user name or password")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise WrongValue("must be https:// (plain http:// is for this machine only)")
    return text.rstrip("/")


def checked_proxy(value: object) -> str:
    """The URL of an outbound proxy, which may carry a user name. WrongValue for another shape."""
    text = token(value)
    if _parts(text) is None:
        raise WrongValue("must be a URL like http://host:3128")
    return text


def _parts(text: str) -> SplitResult | None:
    """The parts of an http or https URL; None when it is not one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # brackets that are no address, a port that is no number
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname and port != 0 else None
