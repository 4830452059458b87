"""Runs that are cancelled by what asyncio has of its own: no task is left, and the event loop has no complaints."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import define, field, frozen
from tests.cancellation.waitings import (
    GUARD,
    WAITINGS,
    Waiting,
    a_child,
    described,
    nothing,
    outcome,
    task_groups_in_tasks,
)

from tether import Agent
from tether.testing import ScriptedModel

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


@frozen
class Seen:
    """What became of a task on asyncio."""

    outcome: object
    cancelled: bool
    cancelling: int


@define
class Complaints:
    """What the event loop was told that nobody else heard."""

    said: list[str] = field(factory=list)

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.said.append(f"{context['message']}: {context.get('exception')!r}")


def on_asyncio(main: Callable[[], Awaitable[object]], *, eager: bool = False) -> object:
    """Run a program, and see that nothing was left or reported."""
    complaints = Complaints()

    async def watched() -> object:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(complaints)
        if eager and sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        result = await main()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, "tasks were left"
        return result

    result = asyncio.run(watched(), debug=True)
    gc.collect()
    assert complaints.said == []
    return result


async def as_task(waiting: Waiting, act: Callable[["asyncio.Task[object]"], object]) -> Seen:
    """Wait in a task of asyncio's own, and act on it once it waits."""

    async def wait() -> object:
        return await waiting.wait()

    task = asyncio.create_task(wait())
    await waiting.reached.wait()
    await asyncio.sleep(0)
    act(task)
    async with asyncio.timeout(GUARD):
        await asyncio.wait([task])
    return _seen(task)


def _seen(task: "asyncio.Task[object]") -> Seen:
    if task.cancelled():
        try:
            task.result()
        except asyncio.CancelledError as error:
            return Seen(error.args, cancelled=True, cancelling=task.cancelling())
    failure = task.exception()
    result = task.result() if failure is None else described(failure)
    return Seen(result, cancelled=False, cancelling=task.cancelling())


async def cancel_once(waiting: Waiting) -> object:
    return await as_task(waiting, lambda task: task.cancel("enough"))


async def cancel_twice_at_once(waiting: Waiting) -> object:
    def twice(task: "asyncio.Task[object]") -> None:
        task.cancel("enough")
        task.cancel("enough")

    return await as_task(waiting, twice)


async def cancel_again_and_again(waiting: Waiting) -> object:
    """Also while tools clean up, which then have to hurry."""

    async def wait() -> object:
        return await waiting.wait()

    task = asyncio.create_task(wait())
    await waiting.reached.wait()
    for _ in range(4):
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(GUARD):
        await asyncio.wait([task])
    return _seen(task).cancelled


async def time_out(waiting: Waiting) -> object:
    async with asyncio.timeout(None) as timeout:
        task = asyncio.create_task(waiting.reached.wait())
        task.add_done_callback(lambda _: timeout.reschedule(0))
        await waiting.wait()
    return "not cancelled"


async def wait_for(waiting: Waiting) -> object:
    async def wait() -> None:
        await waiting.wait()

    await asyncio.wait_for(wait(), 0.1)
    return "not cancelled"


async def fail_beside_it(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async def wait() -> None:
        await waiting.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait())
        tasks.create_task(sibling())
    return "not cancelled"


async def fail_beside_its_host(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sibling())
        await waiting.wait()
    return "not cancelled"


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way",
    [
        cancel_once,
        cancel_twice_at_once,
        cancel_again_and_again,
        time_out,
        wait_for,
        fail_beside_it,
        fail_beside_its_host,
    ],
)
def test_by_what_asyncio_has(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting], eager: bool
) -> None:
    async def main() -> object:
        plain = task_groups_in_tasks() if make is a_child else nothing()
        expected = await outcome(way, plain)
        waiting = make()
        assert await outcome(way, waiting) == expected
        await waiting.check()
        return expected

    assert on_asyncio(main, eager=eager) is not None


@pytest.mark.parametrize("make", WAITINGS)
def test_by_the_end_of_the_event_loop(make: Callable[[], Waiting]) -> None:
    """A task that is still going when the program ends, as `asyncio.run` ends it."""
    complaints = Complaints()

    async def main() -> Waiting:
        asyncio.get_running_loop().set_exception_handler(complaints)
        waiting = make()

        async def wait() -> None:
            await waiting.wait()

        waiting.cleaned.append(asyncio.create_task(wait()))  # type: ignore[arg-type]  # keeps it alive
        await waiting.reached.wait()
        return waiting

    waiting = asyncio.run(main(), debug=True)
    waiting.cleaned.pop(0)
    gc.collect()
    assert complaints.said == []
    asyncio.run(waiting.check())


def test_a_conversation_left_open_is_no_trouble_at_the_end_of_the_event_loop() -> None:
    async def main() -> None:
        chat = Agent(ScriptedModel("Hello.", "Again.")).chat()
        assert await chat.asend("hi") == "Hello."
        async with chat.events("again") as run:
            async for _ in run:
                break
        await asyncio.get_running_loop().shutdown_asyncgens()

    on_asyncio(main)
