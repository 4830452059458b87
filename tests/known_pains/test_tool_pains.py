"""What users of other agent libraries ran into with tools: those that block, hang or exit.

Each docstring names the symptom, and where it was reported.
"""

import logging
import math
import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from tests.known_pains.hang_and_done import GUARD, hang, results
from tests.waiting import until_blocked

from tether import Agent, ToolContext, ToolExecutionUpdate, UsageError, blocking, tool
from tether.testing import ScriptedModel, call, check_transcript


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tool_that_exits_the_program_does(backend: str) -> None:
    """SystemExit and the like are not results for a model to read, and come in no group."""

    @tool
    async def leave() -> None:
        """Leave."""
        await until_blocked()
        raise SystemExit(3)

    agent = Agent(ScriptedModel([call("leave"), call("hang")]), tools=[leave, hang])
    with pytest.raises(SystemExit) as caught:
        anyio.run(agent.prompt, "go", backend=backend)
    assert caught.value.code == 3
    check_transcript(agent.messages)
    assert not agent.state.running


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What tether has logged; asyncio may log at any time what an earlier test has left to be collected."""
    return [record.getMessage() for record in caplog.records if record.name == "tether"]


class TestTools:
    async def test_a_plain_function_is_given_up_at_its_deadline_and_its_late_result_discarded(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """`timeout=` never fires for plain functions, or they pair twice (pydantic-ai#7557, adk#2425)."""
        release, gone = threading.Event(), threading.Event()

        @tool(timeout=0.05)
        def block() -> str:
            """Block a thread."""
            release.wait(GUARD)
            gone.set()
            return "late"

        agent = Agent(ScriptedModel(call("block"), "Gone on."), tools=[block])
        with caplog.at_level(logging.WARNING, "tether"), anyio.fail_after(GUARD):
            assert (await agent.prompt("go")).text == "Gone on."
            before = agent.messages
            release.set()
            await anyio.to_thread.run_sync(gone.wait)
            while not logged(caplog):  # noqa: ASYNC110 - the thread's last words come after its result
                await anyio.sleep(0.001)
        assert [result.outcome for result in results(agent)] == ["timeout"]
        assert agent.messages == before
        assert logged(caplog) == ["block came back after it was given up; its result is discarded"]

    async def test_a_plain_function_inside_one_is_waited_for(self) -> None:
        """Giving up leaks into what a plain tool calls itself (pydantic-ai#7692)."""

        @tool
        def outer() -> str:
            """Call back into the event loop, and from there a thread."""
            return anyio.from_thread.run(anyio.to_thread.run_sync, lambda: "inner")

        agent = Agent(ScriptedModel(call("outer"), "Done."), tools=[outer])
        with anyio.fail_after(GUARD):
            await agent.prompt("go")
        assert [result.text for result in results(agent)] == ["inner"]

    async def test_threads_that_were_given_up_do_not_use_up_those_of_the_program(self) -> None:
        """After enough timeouts nothing runs in threads any more (anyio#601)."""
        release = threading.Event()

        @tool(timeout=0.001)
        def block() -> None:
            """Block a thread."""
            release.wait(GUARD)

        limiter = anyio.to_thread.current_default_thread_limiter()
        before = limiter.available_tokens
        agent = Agent(ScriptedModel([call("block")] * 60, "Done."), tools=[block])
        with anyio.fail_after(GUARD):
            try:
                await agent.prompt("go")
                assert limiter.available_tokens == before
                assert await anyio.to_thread.run_sync(lambda: "free") == "free"
            finally:
                release.set()
        assert {result.outcome for result in results(agent)} == {"timeout"}

    async def test_one_that_hangs_is_stopped_at_the_agents_own_deadline(self) -> None:
        """A hung tool blocks the run for ever (earendil-works/pi#2579)."""
        agent = Agent(ScriptedModel(call("hang"), "Gone on."), tools=[hang], tool_timeout=0.01)
        with anyio.fail_after(GUARD):
            assert (await agent.prompt("go")).text == "Gone on."
        [result] = results(agent)
        assert (result.outcome, result.text) == (
            "timeout",
            "hang took longer than 0.01 s and was stopped.",
        )

    async def test_an_agent_has_such_a_deadline_unless_told_otherwise(self) -> None:
        """As above: the default is finite."""
        assert 0 < Agent(ScriptedModel()).tool_timeout < math.inf

    async def test_updates_of_calls_at_once_reach_who_follows_each(self) -> None:
        """Live output of one call is taken for another's."""

        @tool
        async def tell(name: str, context: ToolContext[Any]) -> str:
            """Tell."""
            for _ in range(3):
                await context.update(name)
                await anyio.lowlevel.checkpoint()
            return name

        agent = Agent(
            ScriptedModel([call("tell", id=name, name=name) for name in "ab"], "Done."),
            tools=[tell],
        )
        told: dict[str, list[str]] = {"a": [], "b": []}
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    told[event.call_id] += [getattr(block, "text", "") for block in event.content]
        assert told == {"a": ["a"] * 3, "b": ["b"] * 3}


async def test_blocking_within_an_event_loop_is_an_error_at_once_and_a_plain_tool_may_block() -> (
    None
):
    """A blocking call inside an event loop deadlocks (pydantic-ai#3899, openai-agents#127)."""
    agent = Agent(ScriptedModel("Said."))

    @tool
    def ask() -> str:
        """Ask another agent."""
        return blocking.prompt(agent, "hi").text

    outer = Agent(ScriptedModel(call("ask"), "Done."), tools=[ask])
    with anyio.fail_after(GUARD):
        with pytest.raises(UsageError, match=r"await agent\.prompt"):
            blocking.prompt(agent, "hi")
        await outer.prompt("go")
    [result] = results(outer)
    assert (result.outcome, result.text) == ("ok", "Said.")
