"""Runs that are cancelled by Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Literal

import anyio
import pytest
from tests.cancellation.waitings import WAITINGS, Waiting

from tether import Agent, blocking, tool
from tether.testing import ScriptedModel, call, check_transcript

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")


@pytest.fixture
def default_sigint() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("make", WAITINGS)
def test_by_ctrl_c(make: Callable[[], Waiting], backend: str) -> None:
    waiting: list[Waiting] = []

    async def main() -> None:
        waiting.append(make())

        async def interrupt() -> None:
            await waiting[0].reached.wait()
            signal.raise_signal(signal.SIGINT)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await waiting[0].wait()

    def leaves(error: BaseException) -> list[BaseException]:
        if isinstance(error, BaseExceptionGroup):
            return [leaf for inner in error.exceptions for leaf in leaves(inner)]
        return [error]

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of it, where the caller has a task group
        anyio.run(main, backend=backend)
    assert [type(leaf) for leaf in leaves(caught.value)] == [KeyboardInterrupt]
    anyio.run(waiting[0].check, backend=backend)


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("place", ["hook", "tool", "block"])
def test_ctrl_c_within_our_own_code_comes_out_plain(place: str, backend: str) -> None:
    agent = Agent(ScriptedModel(call("press"), "Gone on.", "Gone on."))
    pressed: list[bool] = []

    def press() -> None:
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    @agent.hook("on_event")
    def on_event(_: object) -> None:
        if place == "hook":
            press()

    @tool(name="press")
    async def press_in_tool() -> str:
        """Press it."""
        if place == "tool":
            press()
            await anyio.lowlevel.checkpoint()
        return "pressed"

    agent.tools = [press_in_tool]

    async def main() -> None:
        async with agent.run("go") as run:
            async for _ in run:
                if place == "block":
                    press()
                    await anyio.lowlevel.checkpoint()

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert pressed
    assert not agent.state.running
    check_transcript(agent.messages)


@pytest.mark.usefixtures("default_sigint")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_that_wakes_nobody_ends_a_blocking_run(backend: Literal["asyncio", "trio"]) -> None:
    """A signal that comes just before a thread waits does not wake it: as here, where another thread gets it."""

    def main_thread_waits() -> bool:
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        return frame.f_code.co_name == "wait"

    async def press() -> None:
        """Press Ctrl-C."""
        for _ in range(5):  # seen a few times, it has got to where it waits
            while not main_thread_waits():
                await anyio.sleep(0.001)
            await anyio.sleep(0.01)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        await anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("press")), tools=[press])
    with pytest.raises(KeyboardInterrupt):
        blocking.prompt(agent, "go", backend=backend)
    check_transcript(agent.messages)
    assert [message.role for message in agent.messages] == ["user", "assistant", "tool"]
