"""Runs that end before the model is done: by its errors, aborts, limits and cancellation."""

import anyio
import pytest
from tests.agent.checked_runs import GUARD, add, events_of, results
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Event,
    Limits,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolExecutionStart,
    tool,
)
from tether.testing import Part, Pause, ScriptedModel, call, check_events, check_transcript


class TestModelErrors:
    async def test_end_the_run_keep_what_arrived_and_may_be_tried_again(self) -> None:
        broken: list[Part] = [TextDelta("Hel"), ModelError("gone", kind="connection")]
        agent = Agent(ScriptedModel(broken, "Hello."))
        seen: list[Event] = []
        with pytest.raises(ModelError, match="gone") as caught:
            async with agent.run("go") as run:
                async for event in run:
                    seen.append(event)
        check_events(seen)
        assert seen[-1].stop_reason == "error"  # type: ignore[union-attr]
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason, last.error) == ("Hel", "error", caught.value.failure)
        assert (await agent.prompt()).text == "Hello."
        assert [message.role for message in agent.messages] == ["user", "assistant", "assistant"]

    async def test_nobody_saw_are_raised_at_the_end_of_the_block(self) -> None:
        agent = Agent(ScriptedModel(ModelError("gone", kind="connection")))
        with pytest.raises(ModelError, match="gone"):
            async with agent.run("go"):
                await agent.wait_idle()

    async def test_that_were_seen_are_not_raised_again(self) -> None:
        agent = Agent(ScriptedModel(ModelError("gone", kind="connection")))
        async with agent.run("go") as run:
            for _ in range(2):
                with pytest.raises(ModelError):
                    await run.result()


class TestEndingEarly:
    async def test_an_abort_delivers_the_closing_events_and_raises_nothing(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]))
        events: list[Event] = []
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
                if isinstance(event, MessageUpdate):
                    assert run.partial is not None
                    assert run.partial.text == "Hel"
                    agent.abort()
        check_events(events)
        assert isinstance(events[-1], AgentEnd)
        assert (events[-1].stop_reason, events[-1].error) == ("aborted", None)
        assert (await run.result()).stop_reason == "aborted"
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason) == ("Hel", "aborted")

    async def test_a_cut_keeps_what_there_is_and_goes_on_where_there_is_something_to_go_on_with(
        self,
    ) -> None:
        @tool
        async def hang() -> None:
            """Hang."""
            await anyio.sleep_forever()

        agent = Agent(ScriptedModel(call("hang"), ["Hel", Pause()]), tools=[hang])
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart):
                        await until_blocked()
                        run.interrupt()
                    if isinstance(event, MessageUpdate) and isinstance(event.delta, TextDelta):
                        run.interrupt()
                result = await run.result()
        assert [r.outcome for r in results(agent)] == ["interrupted"]
        assert (result.text, result.stop_reason) == ("Hel", "aborted")

    async def test_an_abort_works_with_a_buffer_of_zero_and_nobody_reading(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]))
        with anyio.fail_after(GUARD):
            async with agent.run("go", max_buffer_size=0) as run:
                await until_blocked()
                agent.abort()
                agent.steer("unheard")
                result = await run.result()
        assert result.stop_reason == "aborted"
        assert len(result.undelivered) == 1

    async def test_an_abort_answers_every_call(self) -> None:
        @tool
        async def hang() -> str:
            """Hang."""
            agent.abort()
            await anyio.sleep_forever()
            return "never"

        model = ScriptedModel([call("add", a=1, b=1), call("hang")])
        agent = Agent(model, tools=[hang, add], sequential=True)
        model_2 = ScriptedModel([call("hang"), call("add", a=1, b=1)])
        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["ok", "interrupted"]
        agent.reset()
        agent.model = model_2
        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["interrupted", "skipped"]

    async def test_leaving_the_block_ends_the_run(self) -> None:
        ended: list[str] = []

        @tool
        async def hang() -> str:
            """Hang."""
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("hang")
            return "never"

        agent = Agent(ScriptedModel(call("hang")), tools=[hang])
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionStart):
                    await until_blocked()
                    break
        assert ended == ["hang"]
        assert [result.outcome for result in results(agent)] == ["interrupted"]
        check_transcript(agent.messages)

    async def test_the_time_limit_cuts_off_what_is_in_flight(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]), limits=Limits(seconds=0.2))
        result = await agent.prompt("go")
        assert (result.stop_reason, result.limit, result.text) == ("limit", "seconds", "Hel")

    async def test_a_cancelled_run_can_be_continued(self) -> None:
        reached = anyio.Event()
        model = ScriptedModel([TextDelta("Hel"), Pause(reached=reached)], "Hello.")
        agent = Agent(model)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await reached.wait()
            tasks.cancel_scope.cancel()
        check_transcript(agent.messages)
        assert (await agent.prompt()).text == "Hello."
