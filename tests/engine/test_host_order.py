"""Which host is asked first after one could not be reached."""

from mcp_proxy.engine.host_order import DOWN_FOR, HostOrder

HOSTS = ("one", "two", "three")


def test_hosts_are_asked_in_their_order_as_long_as_they_can_be_reached() -> None:
    order = HostOrder()
    order.reached("one")
    assert order.of(HOSTS, 0.0) == HOSTS


def test_a_host_that_cannot_be_reached_comes_last_for_a_while() -> None:
    order = HostOrder()
    order.unreachable("one", 0.0)
    assert order.of(HOSTS, DOWN_FOR - 1) == ("two", "three", "one")
    assert order.of(("one",), 1.0) == ("one",)
    assert order.of(("two", "three"), 1.0) == ("two", "three")


def test_then_one_request_finds_out_for_all() -> None:
    order = HostOrder()
    order.unreachable("one", 0.0)
    assert order.of(HOSTS, DOWN_FOR) == HOSTS
    assert order.of(HOSTS, DOWN_FOR + 1) == ("two", "three", "one")
    order.reached("one")
    assert order.of(HOSTS, DOWN_FOR + 2) == HOSTS


def test_when_all_are_down_the_order_stays() -> None:
    order = HostOrder()
    for host in HOSTS:
        order.unreachable(host, 0.0)
    assert order.of(HOSTS, 1.0) == HOSTS
