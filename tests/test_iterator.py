"""Runs that are iterated over outside of any block, in a task group that is given."""

import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from attrs import define, field
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentBusyError,
    AgentEnd,
    Event,
    ModelError,
    NothingToContinueError,
    OutputError,
    RunIterator,
    TextDelta,
    ToolExecutionStart,
    UsageError,
)
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript

GUARD = 20
"""Seconds."""


@define
class Work:
    """A tool that works until it is cancelled, and takes a moment to clean up."""

    began: anyio.Event = field(factory=anyio.Event)
    cleaned: bool = False

    async def work(self) -> None:
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(5, shield=True):
                await anyio.lowlevel.checkpoint()
                self.cleaned = True


def working() -> tuple[Agent, Work]:
    work = Work()
    return Agent(ScriptedModel(["Hm.", call("work")], "Done."), tools=[work.work]), work


async def bystander(seen: list[str], go: anyio.Event) -> None:
    """A task of the same group, which must not be touched by what becomes of a run."""
    try:
        await go.wait()
        seen.append("went on")
    except BaseException:
        seen.append("disturbed")
        raise


class TestIterating:
    async def test_gives_the_text_of_all_replies(self) -> None:
        async def look() -> str:
            return "a text of a tool"

        agent = Agent(ScriptedModel(["I will look.", call("look")], "It is there."), tools=[look])
        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            pieces = [piece async for piece in words]
            result = await words.result()
        assert "".join(pieces) == "I will look.It is there."
        assert all(pieces)
        assert len(pieces) > 2
        assert result.text == "It is there."
        assert result.messages == agent.messages

    async def test_gives_the_events_of_a_run(self) -> None:
        agent = Agent(ScriptedModel("Hello there."))
        async with anyio.create_task_group() as tasks:
            events = [event async for event in agent.stream_events("go", task_group=tasks)]
        check_events(events, complete=True)

    async def test_starts_at_the_call(self) -> None:
        agent, work = working()
        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            assert agent.state.running
            await work.began.wait()
            with pytest.raises(AgentBusyError):
                agent.stream_text("more", tasks)
            with pytest.raises(AgentBusyError):
                await agent.prompt("more")
            await words.aclose()
            with pytest.raises(UsageError, match="when_busy"):
                agent.stream_events("more", tasks, when_busy="later")  # type: ignore[arg-type]  # on purpose
            with pytest.raises(NothingToContinueError):
                Agent(ScriptedModel("x")).stream_text(None, tasks)
        assert (await agent.prompt("more")).text == "Done."

    async def test_goes_on_in_another_task(self) -> None:
        agent = Agent(ScriptedModel("one two three four"))
        pieces: list[str] = []

        async def take(words: RunIterator[str]) -> None:
            pieces.append(await anext(words))

        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            await take(words)
            async with anyio.create_task_group() as others:
                others.start_soon(take, words)
            pieces.extend([piece async for piece in words])
            with pytest.raises(StopAsyncIteration):
                await anext(words)
        assert "".join(pieces) == "one two three four"

    async def test_by_two_tasks_at_once_is_refused(self) -> None:
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
                await anext(words)
            await words.aclose()

    async def test_a_cancelled_read_takes_nothing_and_the_run_goes_on(self) -> None:
        gate = anyio.Event()
        agent = Agent(ScriptedModel(["One", Pause(gate), " two"]))
        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks)
            assert await anext(words) == "One"
            with anyio.move_on_after(0) as scope:
                await anext(words)
            assert scope.cancelled_caught
            gate.set()
            assert "".join([piece async for piece in words]) == " two"

    async def test_slowly_holds_the_run_up(self) -> None:
        said: list[int] = []

        agent = Agent(ScriptedModel([TextDelta(f"{number} ") for number in range(500)]))
        agent.subscribe(lambda _: said.append(1))
        async with anyio.create_task_group() as tasks:
            words = agent.stream_text("go", tasks, max_buffer_size=4)
            await until_blocked()
            before = len(said)
            assert before < 20
            await anext(words)
            await until_blocked()
            assert before < len(said) < before + 10
            assert len([piece async for piece in words]) == 499

    async def test_a_result_of_a_type_may_be_asked_for(self) -> None:
        agent = Agent(ScriptedModel(call("final_result", result=3)))
        async with anyio.create_task_group() as tasks:
            events = agent.stream_events("go", tasks, output=int)
            assert (await events.result()).output == 3
            agent.model = ScriptedModel("No.", "No.", "No.", "No.")
            with pytest.raises(OutputError):
                await agent.stream_text("go", tasks, output=int, output_attempts=2).result()

    async def test_an_abort_ends_it_in_order(self) -> None:
        agent, work = working()
        async with anyio.create_task_group() as tasks:
            events = agent.stream_events("go", tasks)
            await work.began.wait()
            agent.abort()
            seen = [event async for event in events]
        assert isinstance(seen[-1], AgentEnd)
        assert seen[-1].stop_reason == "aborted"
        assert work.cleaned


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


class TestFailing:
    async def test_is_raised_to_the_reader_alone(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), ModelError("gone", kind="connection")]))
        seen: list[str] = []
        go = anyio.Event()
        pieces: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bystander, seen, go)
            words = agent.stream_text("go", tasks)
            with pytest.raises(ModelError, match="gone"):
                async for piece in words:
                    pieces.append(piece)
            with pytest.raises(ModelError, match="gone"):
                await words.result()
            go.set()
        assert pieces == ["Hel"]
        assert seen == ["went on"]

    async def test_unread_disturbs_nobody(self) -> None:
        agent = Agent(ScriptedModel(ModelError("gone", kind="connection")))
        seen: list[str] = []
        go = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bystander, seen, go)
            words = agent.stream_text("go", tasks)
            await agent.wait_idle()
            await until_blocked()
            go.set()
        del words
        assert seen == ["went on"]

    async def test_of_a_hook_is_raised_as_it_is(self) -> None:
        agent = Agent(ScriptedModel("x"))
        error = LookupError("by a hook")

        @agent.hook("on_event")
        def fail(_: Event) -> None:
            raise error

        async with anyio.create_task_group() as tasks:
            with pytest.raises(LookupError) as caught:
                await agent.stream_text("go", tasks).result()
        assert caught.value is error


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


class TestInAStreamingResponse:
    async def test_of_starlette_that_is_broken_off_the_run_ends(self) -> None:
        responses = pytest.importorskip("starlette.responses", reason="starlette is not installed")
        agent, work = working()
        sent: list[bytes] = []

        async def receive() -> dict[str, str]:
            await work.began.wait()
            await until_blocked()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message.get("body", b""))
            await anyio.lowlevel.checkpoint()

        async def respond(tasks: TaskGroup) -> None:
            response = responses.StreamingResponse(agent.stream_text("go", tasks))
            await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

        gc.disable()
        try:
            with anyio.fail_after(GUARD):
                async with anyio.create_task_group() as tasks:
                    await respond(tasks)
                    await agent.wait_idle()
        finally:
            gc.enable()
        assert b"".join(sent) == b"Hm."
        assert work.cleaned
        check_transcript(agent.messages)

    async def test_of_starlette_it_arrives_whole(self) -> None:
        responses = pytest.importorskip("starlette.responses", reason="starlette is not installed")
        agent = Agent(ScriptedModel("Hello there."))
        sent: list[bytes] = []

        async def receive() -> dict[str, str]:
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message.get("body", b""))

        async with anyio.create_task_group() as tasks:
            response = responses.StreamingResponse(agent.stream_text("go", tasks))
            await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
        assert b"".join(sent) == b"Hello there."


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
            anyio.run(program, backend=backend)
            assert sys.exc_info() == (None, None, None)
