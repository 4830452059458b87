"""Runs that are cancelled by what trio has of its own."""

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.cancellation.waitings import WAITINGS, Waiting, nothing, outcome

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


async def trio_move_on(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(math.inf) as scope:

            async def end() -> None:
                await waiting.reached.wait()
                scope.deadline = trio.current_time()

            nursery.start_soon(end)
            await waiting.wait()
    return scope.cancelled_caught


async def trio_fail(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(math.inf) as scope:

            async def end() -> None:
                await waiting.reached.wait()
                scope.deadline = trio.current_time()

            nursery.start_soon(end)
            await waiting.wait()
    return "not cancelled"


async def trio_fail_beside_it(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.wait)
        nursery.start_soon(sibling)
    return "not cancelled"


async def trio_cancel_the_nursery(waiting: Waiting) -> object:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.wait)
        await waiting.reached.wait()
        nursery.cancel_scope.cancel()
    return nursery.cancel_scope.cancelled_caught


@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way", [trio_move_on, trio_fail, trio_fail_beside_it, trio_cancel_the_nursery]
)
def test_by_what_trio_has(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting]
) -> None:
    async def main() -> None:
        expected = await outcome(way, nothing())
        waiting = make()
        assert await outcome(way, waiting) == expected
        await waiting.check()

    trio.run(main)
