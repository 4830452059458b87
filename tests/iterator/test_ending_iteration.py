"""Iterators that are dropped, closed or left: their runs end, and nobody else is touched."""

import gc
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from tests.iterator.working_agent import GUARD, Work, bystander, working
from tests.waiting import until_blocked

from tether import Agent, Event, RunIterator, ToolExecutionStart
from tether.testing import ScriptedModel, check_transcript


class TestEnding:
    """Each is tried with a bystander in the same group, which goes on."""

    async def test_by_dropping_it_in_the_middle(self) -> None:
        agent, work = working()
        seen: list[str] = []
        go = anyio.Event()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bystander, seen, go)
                async for _ in agent.stream_text("go", tasks):
                    await work.began.wait()
                    break
                await agent.wait_idle()
                assert work.cleaned
                assert (await agent.prompt("more")).text == "Done."
                go.set()
        assert seen == ["went on"]
        check_transcript(agent.messages)

    async def test_by_dropping_it_unread(self) -> None:
        agent, _ = working()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                agent.stream_text("go", tasks)
                await agent.wait_idle()
        check_transcript(agent.messages)

    async def test_by_the_garbage_collector(self) -> None:
        agent, work = working()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                cycle: list[object] = [agent.stream_text("go", tasks)]
                cycle.append(cycle)
                await work.began.wait()
                del cycle
                gc.collect()
                await agent.wait_idle()
        assert work.cleaned

    async def test_by_dropping_it_in_another_thread(self) -> None:
        agent, work = working()
        seen: list[str] = []
        go = anyio.Event()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bystander, seen, go)
                held: list[object] = [agent.stream_text("go", tasks)]
                await work.began.wait()
                thread = threading.Thread(target=held.clear)
                thread.start()
                await agent.wait_idle()
                thread.join()
                go.set()
        assert work.cleaned
        assert seen == ["went on"]

    async def test_by_dropping_it_after_its_event_loop(self) -> None:
        agent = Agent(ScriptedModel("x"))
        held: list[object] = []

        async def program() -> None:
            async with anyio.create_task_group() as tasks:
                held.append(agent.stream_text("go", tasks))
                tasks.cancel_scope.cancel()

        await anyio.to_thread.run_sync(lambda: anyio.run(program))
        held.clear()
        assert not agent.state.running

    @pytest.mark.parametrize("how", ["aclose", "async with", "aclosing", "exit stack"])
    async def test_by_closing_waits_for_the_clean_up(self, how: str) -> None:
        agent, work = working()
        seen: list[str] = []
        go = anyio.Event()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bystander, seen, go)
                words = agent.stream_text("go", tasks)
                await anext(words)
                await work.began.wait()
                if how == "aclose":
                    await words.aclose()
                elif how == "async with":
                    async with words as same:
                        assert same is words
                elif how == "aclosing":
                    async with aclosing(words):
                        pass
                else:
                    async with AsyncExitStack() as stack:
                        await stack.enter_async_context(words)
                assert work.cleaned
                assert not agent.state.running
                with pytest.raises(StopAsyncIteration):
                    await anext(words)
                for _ in range(2):
                    with pytest.raises(anyio.ClosedResourceError, match="iterator was closed"):
                        await words.result()
                await words.aclose()
                go.set()
        assert seen == ["went on"]

    async def test_by_closing_ends_the_wait_of_another_task(self) -> None:
        agent, work = working()
        ends: list[str] = []

        async def read(words: RunIterator[str]) -> None:
            async for _ in words:
                pass
            ends.append("ended")

        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            tasks.start_soon(read, words)
            await work.began.wait()
            await words.aclose()
        assert ends == ["ended"]

    async def test_a_close_that_is_cancelled_ends_the_run_all_the_same(self) -> None:
        agent, work = working()
        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                words = agent.stream_text("go", tasks)
                await work.began.wait()
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await words.aclose()
                await agent.wait_idle()
        assert work.cleaned

    async def test_closed_after_its_end_it_still_has_its_result(self) -> None:
        agent = Agent(ScriptedModel("Hello."))
        async with anyio.create_task_group() as tasks:
            async with agent.stream_text("go", tasks) as words:
                await words.result()
            assert (await words.result()).text == "Hello."

    async def test_of_its_task_group_ends_it_with_an_error_to_its_reader(self) -> None:
        agent, work = working()
        told: list[str] = []

        async def read(words: RunIterator[str]) -> None:
            with pytest.raises(anyio.BrokenResourceError, match="task group of this run ended"):
                async for _ in words:
                    pass
            with pytest.raises(anyio.BrokenResourceError, match="task group of this run ended"):
                await words.result()
            told.append("told")

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as outer:
                async with anyio.create_task_group() as tasks:
                    outer.start_soon(read, agent.stream_text("go", tasks))
                    await work.began.wait()
                    await until_blocked()
                    tasks.cancel_scope.cancel()
                assert work.cleaned
                assert not agent.state.running
        assert told == ["told"]
        check_transcript(agent.messages)

    async def test_of_its_task_group_cancels_a_reader_inside(self) -> None:
        """The reader is cancelled as everything there, and not told of an error."""
        agent, work = working()
        raised: list[BaseException] = []

        async def read(words: RunIterator[str]) -> None:
            try:
                async for _ in words:
                    pass
            except BaseException as error:
                raised.append(error)
                raise

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, agent.stream_text("go", tasks))
            await work.began.wait()
            await until_blocked()
            tasks.cancel_scope.cancel()
        assert [type(error) for error in raised] == [anyio.get_cancelled_exc_class()]

    async def test_before_it_has_begun_frees_the_agent(self) -> None:
        agent = Agent(ScriptedModel("fine"))
        async with anyio.create_task_group() as tasks:
            tasks.cancel_scope.cancel()
            words = agent.stream_text("go", tasks)
        with pytest.raises(anyio.BrokenResourceError):
            await anext(words)
        assert not agent.state.running
        await agent.wait_idle()
        agent.model = ScriptedModel("fine")
        assert (await agent.prompt("more")).text == "fine"


class TestLeavingALoop:
    """It ends the run at once, whoever refers to the iterator still."""

    @pytest.mark.parametrize("how", ["break", "raise", "cancel the wait", "cancel the body"])
    async def test_ends_the_run(self, how: str) -> None:
        agent, work = working()
        kept: list[object] = []

        async def read(tasks: TaskGroup) -> None:
            words = agent.stream_text("go", tasks)
            kept.append(words)
            async for _ in words:
                await work.began.wait()
                if how == "break":
                    break
                if how == "raise":
                    raise LookupError
                if how == "cancel the body":
                    await anyio.sleep_forever()

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as others:
                        others.start_soon(stop, others, work)
                        try:
                            await read(tasks)
                        except (LookupError, anyio.get_cancelled_exc_class()) as error:
                            kept.append(error)
                        scope.cancel()
                await agent.wait_idle()
                assert work.cleaned
                with pytest.raises(anyio.ClosedResourceError, match="loop over it left"):
                    await anext(kept[0])  # type: ignore[call-overload]  # an iterator

    async def test_that_was_refused_leaves_the_run_alone(self) -> None:
        agent, work = working()

        async def read(words: RunIterator[str]) -> None:
            async for _ in words:
                pass

        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            tasks.start_soon(read, words)
            await work.began.wait()
            await until_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await read(words)
            del words
            await until_blocked()
            assert not work.cleaned
            agent.abort()

    async def test_that_has_not_begun_leaves_the_run_alone(self) -> None:
        agent = Agent(ScriptedModel("Hello."))
        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            aiter(words)
            assert (await words.result()).text == "Hello."


async def stop(others: TaskGroup, work: Work) -> None:
    """Cancel those who wait, once there is work."""
    await work.began.wait()
    await until_blocked()
    others.cancel_scope.cancel()


class TestInAGenerator:
    async def test_a_run_ends_where_the_generator_is_closed_by_aclosing(self) -> None:
        agent, work = working()

        async def words() -> AsyncIterator[Event]:
            async with agent.run("go") as run:
                async for event in run:
                    yield event  # noqa: ASYNC119 - what aclosing is for

        async with aclosing(words()) as events:  # type: ignore[type-var]  # it is a generator
            async for event in events:
                if isinstance(event, ToolExecutionStart):
                    await work.began.wait()
                    break
        assert work.cleaned
        assert not agent.state.running


def test_nothing_is_left_of_a_dropped_iterator_when_its_program_ends() -> None:
    """Also where the program is over before anything of it could be seen."""

    async def program() -> None:
        agent, _ = working()
        async with anyio.create_task_group() as tasks:
            iterator = agent.stream_text("go", tasks)
            await anext(iterator)
            threading.Thread(target=[iterator].clear).start()
            del iterator
            tasks.cancel_scope.cancel()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for backend in ("asyncio", "trio"):
            # The one that runs the tests may be handling an exception itself.
            handled = sys.exception()
            anyio.run(program, backend=backend)
            assert sys.exception() is handled
