"""Under the test kit, tasks are cancelled in the order in which they began."""

import asyncio

import anyio
import pytest

from tether.testing._order import OrderedSet, stable_order


async def _order_of_cancellation() -> list[int]:
    cancelled: list[int] = []

    async def wait(number: int, scopes: int) -> None:
        if scopes:
            with anyio.CancelScope():
                await wait(number, scopes - 1)
            return
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(wait, number, number % 3)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    return cancelled


def test_tasks_and_scopes_are_cancelled_in_order() -> None:
    with stable_order():
        first, second = (anyio.run(_order_of_cancellation) for _ in range(2))
    assert first == second == list(range(40))


def test_tasks_of_an_asyncio_task_group_are_cancelled_in_order() -> None:
    cancelled: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append(number)

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                for number in range(40):
                    tasks.create_task(wait(number))
                await asyncio.sleep(0)
                raise ValueError

    with stable_order():
        asyncio.run(main())
    assert cancelled == list(range(40))


def test_it_is_as_it_was_afterwards() -> None:
    with pytest.raises(ValueError, match="x"), stable_order():
        assert isinstance(_tasks_of_a_scope(), OrderedSet)
        raise ValueError("x")
    assert isinstance(_tasks_of_a_scope(), set)


def _tasks_of_a_scope() -> object:
    """The private name that must not move: where a scope of anyio keeps its tasks."""

    async def main() -> object:
        scope = anyio.CancelScope()
        return vars(type(scope))["_tasks"].__get__(scope)

    return anyio.run(main)


def test_an_ordered_set_is_a_set_in_order() -> None:
    ordered = OrderedSet([3, 1, 2])
    ordered.add(1)
    ordered.add(0)
    ordered.discard(3)
    ordered.discard(9)
    assert list(ordered) == [1, 2, 0]
    assert (len(ordered), 2 in ordered, 3 in ordered) == (3, True, False)
    assert list(ordered.copy()) == [1, 2, 0]
    assert set(ordered) == {0, 1, 2}
