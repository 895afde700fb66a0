"""Which hosts can only be this machine. Looks at the text alone; resolves no names."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host, as in a URL or a bind address, can only be this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
