"""The task group in which a run is iterated over, and the line in which it may wait."""

import asyncio
import warnings
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from attrs import define
from tests.iterator.working_agent import GUARD
from tests.waiting import until_blocked

from tether import Agent, NothingToContinueError, UsageError
from tether.testing import Pause, ScriptedModel


class TestTheScope:
    @pytest.mark.parametrize("scope", [None, "tasks", object(), anyio.CancelScope])
    async def test_that_is_none_is_refused_with_what_to_write(self, scope: Any) -> None:
        agent = Agent(ScriptedModel("x"))
        with pytest.raises(UsageError, match=r"create_task_group.*agent\.stream_text\(prompt"):
            agent.stream_text("go", scope)
        with pytest.raises(UsageError, match=r"create_task_group.*agent\.stream_events\(prompt"):
            agent.stream_events("go", task_group=scope)
        assert not agent.state.running

    async def test_that_was_left_is_refused(self) -> None:
        agent = Agent(ScriptedModel("x"))
        async with anyio.create_task_group() as tasks:
            pass
        with pytest.raises(UsageError, match="cannot be started"):
            agent.stream_text("go", tasks)
        with pytest.raises(ValueError, match="max_buffer_size"):
            agent.stream_text("go", tasks, max_buffer_size=-1)
        assert not agent.state.running
        await agent.prompt("go")

    async def test_of_another_thread_is_refused(self) -> None:
        agent = Agent(ScriptedModel("x"))
        async with anyio.create_task_group() as tasks:
            with pytest.raises(UsageError, match="in its event loop"):
                await anyio.to_thread.run_sync(agent.stream_text, "go", tasks)
        assert not agent.state.running

    async def test_may_be_a_host_that_starts_tasks_in_a_group_of_its_own(self) -> None:
        @define
        class Host:
            tasks: TaskGroup

            def start_soon(self, func: Any, /) -> None:
                self.tasks.start_soon(func)

        agent = Agent(ScriptedModel("Hello."))
        async with anyio.create_task_group() as tasks:
            assert (await agent.stream_text("go", Host(tasks)).result()).text == "Hello."

    async def test_may_be_one_of_the_backend(self) -> None:
        agent = Agent(ScriptedModel("Hello.", ["Hm", Pause()], "Still."))
        if "trio" in str(anyio.get_cancelled_exc_class()):
            import trio

            async with trio.open_nursery() as nursery:
                assert (await agent.stream_text("go", nursery).result()).text == "Hello."
                assert await anext(agent.stream_text("go", nursery)) == "Hm"
                await agent.wait_idle()
                nursery.cancel_scope.cancel()
                agent.stream_text("go", nursery)
        else:
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    assert (await agent.stream_text("go", tasks).result()).text == "Hello."
                    assert await anext(agent.stream_text("go", tasks)) == "Hm"
                    await agent.wait_idle()
                    # Its tasks are cancelled before they have begun, where they do not start eagerly.
                    words = agent.stream_text("go", tasks)
                    raise LookupError
            del words
            with pytest.raises(UsageError, match="cannot be started"), warnings.catch_warnings():
                agent.stream_text("go", tasks)
        await agent.wait_idle()
        assert not agent.state.running


class TestWaitingInLine:
    async def test_runs_of_iterators_go_one_after_the_other(self) -> None:
        agent = Agent(ScriptedModel("one", "two", "three"))
        async with anyio.create_task_group() as tasks:
            streams = [agent.stream_text(f"{n}", tasks, when_busy="wait") for n in range(3)]
            texts = ["".join([piece async for piece in words]) for words in streams]
        assert texts == ["one", "two", "three"]

    async def test_one_that_is_dropped_leaves_the_line(self) -> None:
        agent = Agent(ScriptedModel(["one", Pause()], "three"))
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                first = agent.stream_text("1", tasks)
                second = agent.stream_text("2", tasks, when_busy="wait")
                third = agent.stream_text("3", tasks, when_busy="wait")
                del second
                await until_blocked()
                await first.aclose()
                assert "".join([piece async for piece in third]) == "three"

    async def test_one_that_has_nothing_to_continue_tells_its_reader(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["one", Pause(gate)], "three"))
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                first = agent.stream_text("1", tasks)
                second = agent.stream_text(None, tasks, when_busy="wait")
                third = agent.stream_text("3", tasks, when_busy="wait")
                gate.set()
                await first.result()
                with pytest.raises(NothingToContinueError):
                    await anext(second)
                assert (await third.result()).text == "three"
