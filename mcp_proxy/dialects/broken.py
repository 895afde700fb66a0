"""Answers of upstreams that cannot be read to their end, in the same words for every dialect."""

from mcp_proxy.errors import Failure, FailureKind
from mcp_proxy.events import UpstreamBroke


def broken(detail: str, kind: FailureKind = FailureKind.UPSTREAM) -> UpstreamBroke:
    """An answer with something wrong in it."""
    return UpstreamBroke(Failure(kind, detail))


def unreadable() -> UpstreamBroke:
    """A record of a shape that no parser knows; better no answer than one with a gap."""
    return broken("a stream record has an unknown shape")


def cut_off() -> UpstreamBroke:
    """An answer without its end."""
    return broken("the upstream's answer ended before it was complete")


def bad_arguments(kind: FailureKind = FailureKind.UPSTREAM) -> UpstreamBroke:
    """A tool call that no client could carry out."""
    return broken("the upstream's tool call has arguments that are no JSON object", kind)


def empty() -> UpstreamBroke:
    """An answer that ended well and says nothing."""
    return broken("the upstream's answer has no content", FailureKind.EMPTY)
