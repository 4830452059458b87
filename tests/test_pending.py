"""Runs that have not begun: those whose block was forgotten, and those that wait until the agent is free."""

import gc
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentBusyError,
    AgentEnd,
    AgentStart,
    NothingToContinueError,
    PendingRun,
    UsageError,
    blocking,
)
from tether._engine.line import Line
from tether.testing import Pause, ScriptedModel, call, check_transcript

GUARD = 60
"""Seconds."""


class TestAForgottenBlock:
    async def test_is_told_what_to_write(self) -> None:
        agent = Agent(ScriptedModel("x"))
        pending: Any = agent.run("go")

        async def iterate() -> None:
            async for _ in pending:
                pass

        async def wait() -> None:
            await pending

        async def wait_for_next() -> None:
            await anext(pending)

        for misuse in (iterate, wait, wait_for_next):
            with pytest.raises(
                UsageError, match=r"write `async with agent\.run\(\.\.\.\) as run:`"
            ):
                await misuse()
        assert not agent.state.running
        assert (await agent.prompt("go")).text == "x"

    @pytest.mark.parametrize(
        "misuse",
        [
            lambda pending: pending.__enter__(),
            lambda pending: pending.__exit__(None, None, None),
            lambda pending: ExitStack().enter_context(pending),
            lambda pending: next(pending),
            list,
        ],
        ids=["enter", "exit", "exit stack", "next", "list"],
    )
    def test_is_told_so_in_plain_functions(self, misuse: Callable[[Any], object]) -> None:
        with pytest.raises(UsageError, match=r"`async with agent\.run.*tether\.blocking"):
            misuse(Agent(ScriptedModel("x")).run("go"))

    def test_is_told_so_where_a_run_is_taken_for_begun(self) -> None:
        pending: Any = Agent(ScriptedModel("x")).run("go")
        for name in ("steer", "abort", "result", "usage"):
            with pytest.raises(AttributeError, match=rf"`{name}`.*async with"):
                getattr(pending, name)
        with pytest.raises(AttributeError, match="no attribute 'colour'"):
            _ = pending.colour
        assert not hasattr(pending, "steer")
        assert "async with" in repr(pending)

    async def test_leaves_nothing(self) -> None:
        agent = Agent(ScriptedModel("x"))
        agent.run("never entered")
        agent.run("nor this", when_busy="wait")
        gc.collect()
        await agent.wait_idle()
        assert (await agent.prompt("go")).text == "x"

    async def test_is_none_where_an_exit_stack_enters_it(self) -> None:
        agent = Agent(ScriptedModel("x", "y"))
        async with AsyncExitStack() as stack:
            pending = agent.run("go")
            assert isinstance(pending, PendingRun)
            run = await stack.enter_async_context(pending)
            assert (await run.result()).text == "x"
            with pytest.raises(UsageError, match=r"entered already: call agent\.run"):
                await stack.enter_async_context(pending)
        with pytest.raises(UsageError, match="left before it was entered"):
            await agent.run("go").__aexit__(None, None, None)


class TestWaitingInLine:
    async def test_a_hundred_starts_run_one_after_the_other_as_they_came(self) -> None:
        agent = Agent(ScriptedModel(*(f"{n}" for n in range(100))))
        order: list[str] = []
        ends: list[type] = []
        agent.subscribe(
            lambda event: (
                ends.append(type(event)) if isinstance(event, AgentStart | AgentEnd) else None
            )
        )

        async def start(number: int) -> None:
            async with agent.run(f"{number}", when_busy="wait") as run:
                order.append((await run.result()).messages[0].text)

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(start, number)
                    await until_in_line()
        assert order == [f"{number}" for number in range(100)]
        assert ends == [AgentStart, AgentEnd] * 100
        assert len(agent.messages) == 200
        check_transcript(agent.messages)

    async def test_nobody_enters_before_those_in_line(self) -> None:
        """Also while who is next has not been woken yet."""
        line = Line()
        first, second = line.join(), line.join()
        assert (first.is_first, second.is_first) == (True, False)
        first.leave()
        assert second.is_first
        assert line.join_nowait() is None
        await second.wait_first()
        second.leave()
        second.leave()
        assert not line.occupied
        assert line.join_nowait() is not None

    async def test_cancelled_in_line_it_is_as_if_it_had_never_come(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["one", Pause(gate)], "three"))
        answers: list[str] = []

        async def ask(prompt: str, scope: anyio.CancelScope) -> None:
            with scope:
                answers.append((await agent.prompt(prompt, when_busy="wait")).text)

        scopes = [anyio.CancelScope() for _ in range(3)]
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                for number, scope in enumerate(scopes, 1):
                    tasks.start_soon(ask, f"{number}", scope)
                    await until_blocked()
                scopes[1].cancel()
                await until_blocked()
                gate.set()
        assert answers == ["one", "three"]
        assert [message.text for message in agent.messages[::2]] == ["1", "3"]

    async def test_cancelled_as_its_turn_comes_it_passes_the_turn_on(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["one", Pause(gate)], "x", "x"))

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                await agent.prompt("go", when_busy="wait")

        second, third = anyio.CancelScope(), anyio.CancelScope()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks, agent.run("1") as run:
                tasks.start_soon(ask, second)
                await until_blocked()
                tasks.start_soon(ask, third)
                await until_blocked()
                gate.set()
                await run.result()
                second.cancel()
        assert second.cancelled_caught
        assert not third.cancel_called
        assert not agent.state.running
        assert agent.messages[-1].text == "x"

    async def test_what_fails_to_begin_passes_the_turn_on(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["one", Pause(gate)], "three"))
        refused: list[BaseException] = []

        async def go_on() -> None:
            try:
                await agent.prompt(when_busy="wait")
            except NothingToContinueError as error:
                refused.append(error)

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks, agent.run("1") as run:
                tasks.start_soon(go_on)
                await until_blocked()
                tasks.start_soon(lambda: agent.prompt("3", when_busy="wait"))
                await until_blocked()
                gate.set()
                await run.result()
        assert len(refused) == 1
        assert agent.messages[-1].text == "three"

    async def test_cancel_then_start_again_at_once(self) -> None:
        cleaned: list[str] = []

        async def work() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.move_on_after(5, shield=True):
                    for _ in range(5):
                        await anyio.lowlevel.checkpoint()
                    cleaned.append("work")

        agent = Agent(ScriptedModel(call("work"), call("work"), "Again."), tools=[work])
        scopes: list[anyio.CancelScope] = []

        async def first() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await agent.prompt("go")

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first)
                await until_blocked()
                scopes[-1].cancel()
                with pytest.raises(
                    AgentBusyError, match=r"`await agent\.wait_idle\(\)`.*when_busy"
                ):
                    await agent.prompt("again")
                await agent.wait_idle()
                assert cleaned == ["work"]
                tasks.start_soon(first)
                await until_blocked()
                scopes[-1].cancel()
                assert (await agent.prompt("again", when_busy="wait")).text == "Again."
        assert cleaned == ["work", "work"]

    async def test_a_chat_may_wait(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["one", Pause(gate)], "two", "three"))
        async with anyio.create_task_group() as tasks, agent.run("1") as run:
            tasks.start_soon(agent.chat(when_busy="wait").asend, "2")
            await until_blocked()
            gate.set()
            await run.result()
        assert agent.messages[-1].text == "two"
        async with agent.chat(when_busy="wait").events("3") as run:
            assert (await run.result()).text == "three"

    @pytest.mark.parametrize("when_busy", ["later", None, True, ""])
    async def test_nothing_else_may_be_asked_for(self, when_busy: Any) -> None:
        agent = Agent(ScriptedModel("x"))
        async with anyio.create_task_group() as tasks:
            for start in (
                lambda: agent.run("go", when_busy=when_busy),
                lambda: agent.stream_text("go", tasks, when_busy=when_busy),
                lambda: agent.stream_events("go", tasks, when_busy=when_busy),
                lambda: agent.chat(when_busy=when_busy),
                lambda: blocking.chat(agent, when_busy=when_busy),
            ):
                with pytest.raises(UsageError, match='"raise" or "wait", not'):
                    start()
            with pytest.raises(UsageError, match='"raise" or "wait", not'):
                await agent.prompt("go", when_busy=when_busy)
        assert not agent.state.running

    async def test_threads_and_event_loops_stand_in_one_line(self) -> None:
        """An agent may be used by an application, and by its plain functions in threads of their own."""
        agent = Agent(ScriptedModel(*(f"{n}" for n in range(40))))

        def ask() -> None:
            blocking.prompt(agent, "go", when_busy="wait")

        async def ask_here() -> None:
            await agent.prompt("go", when_busy="wait")

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(anyio.to_thread.run_sync, ask)
                    tasks.start_soon(ask_here)
                    tasks.start_soon(ask_here)
                    thread = threading.Thread(target=ask)
                    thread.start()
                    tasks.start_soon(anyio.to_thread.run_sync, partial(thread.join))
            await agent.wait_idle()
        assert len(agent.messages) == 80
        check_transcript(agent.messages)


async def until_in_line() -> None:
    """Let a task that was just started come to where it waits."""
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
