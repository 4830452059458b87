"""Plain functions that an event loop runs in a worker thread, and that ask an agent there."""

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import define, field

from tether import (
    Agent,
    AgentEnd,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolContext,
    ToolExecutionStart,
    blocking,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, check_transcript

GUARD = 60
"""Seconds."""


@define
class Work:
    """A tool that works until it is cancelled, and says so across threads."""

    began: threading.Event = field(factory=threading.Event)
    cleaned: bool = False

    async def work(self) -> None:
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(5, shield=True):
                await anyio.lowlevel.checkpoint()
                self.cleaned = True

    async def wait(self) -> None:
        """Wait, on the side of the event loop, until the tool works."""
        while not self.began.is_set():
            await anyio.sleep(0.001)


def working() -> tuple[Agent, Work]:
    work = Work()
    return Agent(ScriptedModel(["Hm.", call("work")], "Done."), tools=[work.work]), work


def ask(agent: Agent) -> str:
    return blocking.prompt(agent, "go").text


def follow(agent: Agent) -> str:
    with blocking.run(agent, "go") as run:
        return "".join(
            event.delta.text
            for event in run
            if isinstance(event, MessageUpdate) and isinstance(event.delta, TextDelta)
        )


def chat(agent: Agent) -> str:
    return blocking.chat(agent).send("go")


WAYS: list[Callable[[Agent], str]] = [ask, follow, chat]


@pytest.mark.parametrize("way", WAYS)
async def test_it_answers(way: Callable[[Agent], str]) -> None:
    assert (
        await anyio.to_thread.run_sync(way, Agent(ScriptedModel("Hello there."))) == "Hello there."
    )


async def test_it_uses_the_backend_of_its_caller() -> None:
    seen: list[type] = []

    async def look() -> None:
        seen.append(anyio.get_cancelled_exc_class())

    agent = Agent(ScriptedModel(call("look"), "ok"), tools=[look])
    await anyio.to_thread.run_sync(ask, agent)
    assert seen == [anyio.get_cancelled_exc_class()]


@pytest.mark.parametrize("way", WAYS)
async def test_it_raises_what_the_run_raises(way: Callable[[Agent], str]) -> None:
    agent = Agent(ScriptedModel(ModelError("gone", kind="server")))
    with pytest.raises(ModelError, match="gone"):
        await anyio.to_thread.run_sync(way, agent)


@pytest.mark.parametrize("abandon", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_it_ends_with_its_caller(way: Callable[[Agent], str], abandon: bool) -> None:
    agent, work = working()
    ended = threading.Event()
    raised: list[type[BaseException]] = []

    def function() -> None:
        try:
            way(agent)
        except BaseException as error:
            raised.append(type(error))
            raise
        finally:
            ended.set()

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(anyio.to_thread.run_sync, function, abandon_on_cancel=abandon))
            await work.wait()
            tasks.cancel_scope.cancel()
        if not abandon:
            assert ended.is_set()
        while not ended.is_set():
            await anyio.sleep(0.001)
    assert raised == [anyio.get_cancelled_exc_class()]
    assert work.cleaned
    assert not agent.state.running
    check_transcript(agent.messages)
    assert blocking_free(agent) == "Done."


def blocking_free(agent: Agent) -> str:
    """Ask from a thread that works for nobody, whatever runs in this one."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(ask(agent)))
    thread.start()
    thread.join(GUARD)
    return answers[0]


async def test_its_block_is_left_with_the_cancellation() -> None:
    """What the run or its block fails with meanwhile does not stand for it."""
    agent, work = working()

    @agent.hook("on_event")
    def fail_at_the_end(event: object) -> None:
        if isinstance(event, AgentEnd):
            raise LookupError

    def function() -> None:
        with blocking.run(agent, "go") as run:
            for _ in run:
                pass

    with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, function)
            await work.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert work.cleaned


async def test_a_plain_tool_may_ask_another_agent() -> None:
    inner, work = working()
    helper = Agent(ScriptedModel("Four."))

    @tool
    def nested(context: ToolContext[None]) -> str:
        """Ask."""
        return blocking.prompt(helper, "2 + 2?").text

    @tool
    def endless() -> str:
        """Ask, and wait for ever."""
        return blocking.prompt(inner, "go").text

    agent = Agent(
        ScriptedModel(call("nested"), "ok", call("endless"), "ok"), tools=[nested, endless]
    )
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
        assert agent.messages[2].text == "Four."
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionStart):
                    await work.wait()
                    run.cancel_tool(event.call_id)
        # The thread is given up, and ends soon after.
        while inner.state.running:
            await anyio.sleep(0.001)
    assert work.cleaned
    assert agent.messages[-1].text == "ok"


async def test_more_at_once_than_there_are_worker_threads_all_end() -> None:
    limiter = anyio.CapacityLimiter(3)
    answers: list[str] = []

    async def one(number: int) -> None:
        agent = Agent(ScriptedModel(call("add"), f"{number}"), tools=[add])
        answers.append(await anyio.to_thread.run_sync(ask, agent, limiter=limiter))

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(one, number)
    assert sorted(answers, key=int) == [f"{number}" for number in range(12)]


@tool
def add() -> int:
    """Add, in a further thread."""
    return 1 + 1


async def test_it_may_be_read_by_a_generator_in_whichever_thread() -> None:
    """As a streaming response reads a plain generator: each step in a worker thread of its own."""

    def words(agent: Agent) -> Iterator[str]:
        with blocking.run(agent, "go") as run:
            for event in run:
                if isinstance(event, MessageUpdate) and isinstance(event.delta, TextDelta):
                    yield event.delta.text

    generator = words(Agent(ScriptedModel("Hello there.")))
    pieces: list[str] = []
    while piece := await anyio.to_thread.run_sync(next, generator, ""):
        pieces.append(piece)
    assert "".join(pieces) == "Hello there."

    agent, work = working()
    generator = words(agent)
    steps: list[int] = []

    def step() -> str:
        steps.append(1)
        return next(generator)

    with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
        assert await anyio.to_thread.run_sync(step) == "Hm."
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, step)
            await work.wait()
            while len(steps) < 2:
                await anyio.sleep(0.001)
            scope.cancel()
    assert scope.cancelled_caught
    assert work.cleaned
    assert not agent.state.running


async def test_a_generator_dropped_in_the_event_loop_ends_its_run() -> None:
    def words(agent: Agent) -> Iterator[str]:
        with blocking.run(agent, "go") as run:
            for event in run:
                if isinstance(event, MessageUpdate) and isinstance(event.delta, TextDelta):
                    yield event.delta.text

    agent, work = working()
    generator = words(agent)
    with anyio.fail_after(GUARD):
        assert await anyio.to_thread.run_sync(next, generator) == "Hm."
        await work.wait()
        del generator
        gc.collect()
        # The worker thread that made the last step may refer to it for a moment still.
        while agent.state.running:
            await anyio.sleep(0.001)
    assert work.cleaned


async def test_cancelled_while_it_waits_in_line_it_does_not_begin() -> None:
    agent = Agent(ScriptedModel(["One", Pause()]))
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        blocking.prompt(agent, "never", when_busy="wait")

    with anyio.fail_after(GUARD):
        async with agent.run("go"), anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, wait)
            while not waits.is_set():
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        await agent.wait_idle()
    assert [message.text for message in agent.messages] == ["go", "One"]


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="an exception that is set from outside may be raised in the wrong thread",
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_interrupted_while_it_waits_in_line_it_does_not_begin(backend: Any) -> None:
    agent = Agent(ScriptedModel(["One", Pause()]))
    waits = threading.Event()
    raised: list[type[BaseException]] = []

    def wait() -> None:
        waits.set()
        try:
            blocking.prompt(agent, "never", backend=backend, when_busy="wait")
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(type(error))

    with blocking.run(agent, "go", backend=backend) as run:
        next(run)
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert waits.wait(GUARD)
        assert thread.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
        )
        thread.join(GUARD)
        assert not thread.is_alive()
        assert raised == [KeyboardInterrupt]
    assert [message.text for message in agent.messages][:1] == ["go"]
    assert len(agent.messages) <= 2
