"""The gate of an account: so many and no more, first come, first served, no place lost."""

import asyncio

import pytest

from mcp_proxy.engine.gates import Gates


async def queue(gates: Gates, size: int) -> list[asyncio.Task[bool]]:
    """So many who have asked for a place at "a"."""
    tasks = [asyncio.create_task(gates.enter("a")) for _ in range(size)]
    await asyncio.sleep(0)
    return tasks


def inside(tasks: list[asyncio.Task[bool]]) -> list[bool]:
    return [task.done() for task in tasks]


async def test_places_are_given_in_the_order_of_arrival():
    gates = Gates(limit=2)
    tasks = await queue(gates, 5)
    for number in (2, 3, 4, 5):
        await asyncio.sleep(0)
        assert inside(tasks) == [True] * number + [False] * (5 - number)
        assert gates.load("a") == 7 - number
        gates.leave("a")


async def test_nobody_overtakes_those_who_wait():
    gates = Gates(limit=1)
    first, second = await queue(gates, 2)
    gates.leave("a")
    # The place is promised to the second before it has woken up.
    [third] = await queue(gates, 1)
    assert inside([first, second, third]) == [True, True, False]
    third.cancel()


async def test_accounts_do_not_wait_for_each_other():
    gates = Gates(limit=1)
    await gates.enter("a")
    async with asyncio.timeout(1):
        await gates.enter("b")
    assert (gates.load("a"), gates.load("b"), gates.load("c")) == (1, 1, 0)


async def test_who_leaves_the_queue_takes_no_place_along():
    gates = Gates(limit=1)
    _, leaving, unlucky, last = await queue(gates, 4)
    leaving.cancel()
    await asyncio.sleep(0)
    assert gates.load("a") == 3
    gates.leave("a")
    # Cancelled in the very moment in which the place is given to it.
    unlucky.cancel()
    async with asyncio.timeout(1):
        await last
    assert gates.load("a") == 1
    with pytest.raises(asyncio.CancelledError):
        await unlucky


async def test_a_new_limit_counts_at_once_and_sends_nobody_away():
    gates = Gates(limit=1)
    tasks = await queue(gates, 4)
    gates.set_limit(3)
    await asyncio.sleep(0)
    assert inside(tasks) == [True, True, True, False]
    gates.set_limit(1)
    for _ in range(2):
        gates.leave("a")
        await asyncio.sleep(0)
        assert inside(tasks) == [True, True, True, False]
    gates.leave("a")
    await asyncio.sleep(0)
    assert inside(tasks) == [True] * 4


async def test_who_leaves_the_queue_as_its_turn_comes_just_leaves():
    gates = Gates(limit=1)
    _, leaving = await queue(gates, 2)
    leaving.cancel()
    gates.leave("a")
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert gates.load("a") == 0


async def test_who_is_sent_away_has_no_place_and_who_is_inside_keeps_it():
    gates = Gates(limit=1)
    inside_already, waiting, leaving = await queue(gates, 3)
    gates.dismiss("a")
    # Cancelled in the very moment in which it is sent away.
    leaving.cancel()
    async with asyncio.timeout(1):
        assert (await inside_already, await waiting) == (True, False)
    await asyncio.gather(leaving, return_exceptions=True)
    assert gates.load("a") == 1
    gates.leave("a")
    assert gates.enter_now("a")
    gates.dismiss("nobody")
