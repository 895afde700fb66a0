"""When a client shall try again."""

import pytest

from mcp_proxy.dialects.retry_headers import retry_headers
from mcp_proxy.errors import RETRY_IS_POINTLESS, ErrorKind, ProxyError


@pytest.mark.parametrize(
    ("wait", "header"),
    [(None, "1"), (0.0, "1"), (-3.0, "1"), (0.2, "1"), (41.0, "41"), (41.01, "42")],
)
def test_limited_always_says_how_long_in_whole_seconds(wait, header):
    error = ProxyError(ErrorKind.LIMITED, "limited", retry_after=wait)
    assert retry_headers(error) == {"retry-after": header}


@pytest.mark.parametrize("kind", sorted(RETRY_IS_POINTLESS))
def test_what_no_retry_mends_says_so(kind):
    assert retry_headers(ProxyError(kind, "no")) == {"x-should-retry": "false"}


@pytest.mark.parametrize(
    "kind", [ErrorKind.UPSTREAM, ErrorKind.OVERLOADED, ErrorKind.SLOW, ErrorKind.INTERNAL]
)
def test_what_a_retry_may_mend_leaves_the_client_to_itself(kind):
    assert retry_headers(ProxyError(kind, "later")) == {}


def test_overload_with_a_known_end_says_how_long():
    error = ProxyError(ErrorKind.OVERLOADED, "busy", retry_after=7.5)
    assert retry_headers(error) == {"retry-after": "8"}


@pytest.mark.parametrize(("wait", "pointless"), [(60.0, False), (60.1, True), (10800.0, True)])
def test_a_wait_over_a_minute_is_not_worth_sleeping_through(wait, pointless):
    headers = retry_headers(ProxyError(ErrorKind.LIMITED, "limited", retry_after=wait))
    assert ("x-should-retry" in headers) is pointless
    assert "retry-after" in headers
