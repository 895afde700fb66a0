"""The gate of an account: so many and no more, first come, first served, no place lost."""

import asyncio

import pytest

from mcp_proxy.engine.gates import Gates


async def test_places_are_given_in_the_order_of_arrival():
    gates = Gates(limit=1)
    inside: list[int] = []

    async def visit(number: int) -> None:
        async with gates.entered("a"):
            inside.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(visit(number) for number in range(20)))
    assert inside == list(range(20))
    assert gates.load("a") == 0


async def test_accounts_do_not_wait_for_each_other():
    gates = Gates(limit=1)
    await gates.enter("a")
    async with asyncio.timeout(1), gates.entered("b"):
        assert (gates.load("a"), gates.load("b")) == (1, 1)


async def test_who_leaves_the_queue_takes_no_place_along():
    gates = Gates(limit=1)
    await gates.enter("a")
    waiting = [asyncio.create_task(gates.enter("a")) for _ in range(3)]
    await asyncio.sleep(0)
    assert gates.load("a") == 4
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    gates.leave("a")
    # Cancelled in the very moment in which the place is given to it.
    waiting[1].cancel()
    async with asyncio.timeout(1):
        await waiting[2]
    gates.leave("a")
    assert gates.load("a") == 0
    async with asyncio.timeout(1), gates.entered("a"):
        pass
