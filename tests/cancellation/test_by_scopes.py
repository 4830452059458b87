"""Runs that are cancelled by scopes of anyio: their caller sees what it would see around a plain `await`."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from tests.cancellation.waitings import (
    GUARD,
    WAITINGS,
    Waiting,
    a_reply,
    described,
    nothing,
    outcome,
)
from tests.waiting import until_blocked

from tether import Agent, AssistantMessage, Text
from tether.testing import Pause, ScriptedModel, check_transcript

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


async def move_on(waiting: Waiting) -> object:
    async with when_reached(waiting) as reached:
        with anyio.move_on_after(math.inf) as scope:
            reached(lambda: setattr(scope, "deadline", anyio.current_time()))
            await waiting.wait()
    return scope.cancelled_caught


async def fail(waiting: Waiting) -> object:
    async with when_reached(waiting) as reached:
        with anyio.fail_after(math.inf) as scope:
            reached(lambda: setattr(scope, "deadline", anyio.current_time()))
            await waiting.wait()
    return "not cancelled"


async def cancel_a_scope_further_out(waiting: Waiting) -> object:
    seen: list[object] = []
    async with when_reached(waiting) as reached:
        with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
            reached(outer.cancel)
            try:
                await waiting.wait()
            except anyio.get_cancelled_exc_class() as error:
                seen.append(described(error))
                raise
    return (seen, outer.cancelled_caught, inner.cancelled_caught)


async def let_a_sibling_fail(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sibling)
        await waiting.wait()
    return "not cancelled"


async def let_a_sibling_fail_beside_a_child_task(waiting: Waiting) -> object:
    async def sibling() -> None:
        await waiting.reached.wait()
        raise LookupError("sibling")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.wait)
        tasks.start_soon(sibling)
    return "not cancelled"


async def cancel_before_it_starts(waiting: Waiting) -> object:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiting.wait()
    return scope.cancelled_caught


@asynccontextmanager
async def when_reached(waiting: Waiting) -> AsyncIterator[Callable[[Callable[[], object]], None]]:
    """Do something once the waiting has begun, from a task that is not cancelled with it."""
    async with anyio.create_task_group() as tasks:

        def then(act: Callable[[], object]) -> None:
            async def wait() -> None:
                await waiting.reached.wait()
                act()

            tasks.start_soon(wait)

        yield then
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("make", WAITINGS)
@pytest.mark.parametrize(
    "way",
    [
        move_on,
        fail,
        cancel_a_scope_further_out,
        let_a_sibling_fail,
        let_a_sibling_fail_beside_a_child_task,
        cancel_before_it_starts,
    ],
)
async def test_by_a_scope(
    way: Callable[[Waiting], Awaitable[object]], make: Callable[[], Waiting]
) -> None:
    expected = await outcome(way, nothing())
    waiting = make()
    assert await outcome(way, waiting) == expected
    if waiting.agent is not None and not waiting.reached.is_set():
        waiting.agent.model = ScriptedModel("Gone on.")  # the first request was never made
    await waiting.check()


@pytest.mark.parametrize("how", ["prompt", "run"])
async def test_after_the_end_a_cancellation_changes_nothing(how: str) -> None:
    agent = Agent(ScriptedModel("Hello.", "Gone on."))
    with anyio.CancelScope() as scope:
        if how == "prompt":
            text = (await agent.prompt("hi")).text
        else:
            async with agent.run("hi") as run:
                text = (await run.result()).text
        before = agent.messages
        scope.cancel()
        assert text == "Hello."
        assert agent.messages == before
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert (await agent.prompt("Go on.")).text == "Gone on."


async def test_one_of_a_hundred_is_cancelled_and_the_others_go_on() -> None:
    release, waiting = anyio.Event(), anyio.Event()
    texts: dict[int, str] = {}
    scopes: dict[int, anyio.CancelScope] = {}
    agents = [Agent(ScriptedModel(["Hel", Pause(release), f"lo {n}."])) for n in range(100)]

    async def run(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            if len(scopes) == len(agents):
                waiting.set()
            texts[number] = (await agents[number].prompt("hi")).text

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(run, number)
            await waiting.wait()
            await until_blocked()
            scopes[42].cancel()
            await until_blocked()
            assert [n for n, agent in enumerate(agents) if not agent.state.running] == [42]
            release.set()
    assert texts == {n: f"Hello {n}." for n in range(100) if n != 42}
    assert [message.text for message in agents[42].messages] == ["hi", "Hel"]
    for agent in agents:
        check_transcript(agent.messages)


async def test_a_text_that_had_arrived_is_kept() -> None:
    waiting = a_reply()
    assert waiting.agent is not None
    await outcome(move_on, waiting)
    last = waiting.agent.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert (last.content, last.stop_reason) == ((Text("Hel"),), "aborted")
