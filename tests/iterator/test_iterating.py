"""Runs that are iterated over outside of any block: what they give, and how their failures are raised."""

import gc
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from tests.iterator.working_agent import GUARD, bystander, working
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
    UsageError,
)
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript


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
