"""What users of other agent libraries ran into as they left a run, and at its ends.

Each docstring names the symptom, and where it was reported.
"""

import contextlib
import contextvars
import gc
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.known_pains.hang_and_done import GUARD, done, hang, results
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    Event,
    Invocation,
    Limits,
    MessageUpdate,
    ModelError,
    ModelRequest,
    ToolExecutionStart,
    ToolResult,
    tool,
)
from tether.hooks import ProceedModel
from tether.model import DeltaStream
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript


class TestLeaving:
    async def test_ends_the_tools_before_the_block_is_left_and_nothing_happens_afterwards(
        self,
    ) -> None:
        """After a `break` "the agent will continue to take actions" (openai-agents#574, pydantic-ai#5132)."""
        happened: list[str] = []

        @tool
        async def act() -> None:
            """Act."""
            happened.append("started")
            try:
                await anyio.sleep_forever()
            finally:
                happened.append("ended")

        agent = Agent(ScriptedModel([call("act"), call("act")], "More."), tools=[act])
        agent.hooks.add("on_event", lambda event: happened.append(type(event).__name__))
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart):
                        await until_blocked()
                        break
            then = list(happened)
            await until_blocked()
        assert then.count("started") == then.count("ended") == 2
        assert happened == then

    async def test_leaves_a_handle_that_can_be_asked(self) -> None:
        """A `break` raises, or leaves flags that are stale (pydantic-ai#1516, #5756)."""
        agent = Agent(ScriptedModel(["Hel", Pause()]))
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    break
        assert run.partial is not None
        assert run.partial.text == "Hel"
        assert run.running_tools == ()
        assert not agent.state.running
        with pytest.raises(anyio.ClosedResourceError, match="left before"):
            await run.result()
        run.abort()
        assert agent.state.steering == ()

    async def test_may_happen_from_any_task_that_read_last(self) -> None:
        """A scope is left in a task that did not enter it, where tasks share an iterator (claude-agent-sdk#454)."""
        agent = Agent(ScriptedModel(" ".join(["word"] * 50)))
        seen: list[Event] = []
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                for _ in range(20):

                    async def read_one() -> None:
                        seen.append(await anext(run))

                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(read_one)
                iteration = aiter(run)
                seen.append(await anext(iteration))
                del iteration
                gc.collect()
                seen.append(await anext(run))
        check_events(seen, complete=False)
        check_transcript(agent.messages)

    async def test_finds_the_context_of_advice_as_it_was(self) -> None:
        """ "Token was created in a different Context" on every early exit, from tracing (adk#6559, langfuse#13590)."""
        span = contextvars.ContextVar("span", default="none")
        agent = Agent(ScriptedModel(call("hang")), tools=[hang])
        closed: list[str] = []

        @agent.around_model
        @asynccontextmanager
        async def trace_model(
            request: ModelRequest, proceed: ProceedModel
        ) -> AsyncIterator[DeltaStream]:
            token = span.set("model")
            try:
                async with proceed(request) as deltas:
                    yield deltas
            finally:
                span.reset(token)
                closed.append("model")

        @agent.around_tool
        async def trace_tool(invocation: Invocation, proceed: Any) -> ToolResult:
            token = span.set("tool")
            try:
                result: ToolResult = await proceed(invocation)
                return result
            finally:
                span.reset(token)
                closed.append("tool")

        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart):
                        await until_blocked()
                        break
        assert closed == ["model", "tool"]
        assert span.get() == "none"

    async def test_is_for_who_owns_the_run_and_not_for_who_watches_it(self) -> None:
        """A page refresh kills minutes of work (adk#4029): here viewers come and go, and the run goes on."""
        go_on, viewers = anyio.Event(), 0
        agent = Agent(ScriptedModel(["Hel", Pause(go_on), "lo."]))
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                for _ in range(2):
                    with anyio.CancelScope() as viewer:
                        async for event in run.branch(math.inf) if viewers else run:
                            viewers += 1
                            if viewers == 2 or isinstance(event, MessageUpdate):
                                viewer.cancel()
                            await anyio.lowlevel.checkpoint()
                            go_on.set()
                assert (await run.result()).text == "Hello."


class TestEnds:
    @pytest.mark.parametrize(
        ("limits", "limit"),
        [
            (Limits(turns=1), "turns"),
            (Limits(tool_calls=1), "tool_calls"),
            (Limits(seconds=0.5), "seconds"),
        ],
    )
    async def test_every_limit_leaves_what_was_done(self, limits: Limits, limit: str) -> None:
        """`MaxTurnsExceeded` loses the work (openai-agents#719): a limit is an end, and can be gone on from."""
        model = ScriptedModel(call("done"), call("hang"), "Gone on.")
        agent = Agent(model, tools=[done, hang], limits=limits)
        with anyio.fail_after(GUARD):
            result = await agent.prompt("go")
        assert (result.stop_reason, result.limit) == ("limit", limit)
        assert [r.text for r in results(agent)][:1] == ["real"]
        check_transcript(agent.messages)
        agent.limits = Limits()
        agent.model = ScriptedModel("Gone on.")
        assert (await agent.prompt("Go on.")).text == "Gone on."

    async def test_an_error_is_one_end_and_one_exception(self) -> None:
        """A run that failed looks as if it had ended well, or raises twice (openai-agents#2929)."""
        agent = Agent(ScriptedModel(["Hel", ModelError("gone", kind="connection")]))
        seen: list[Event] = []
        caught: list[ModelError] = []
        with anyio.fail_after(GUARD), contextlib.suppress(AssertionError):
            async with agent.run("go") as run:
                try:
                    async for event in run:
                        seen.append(event)
                except ModelError as error:
                    caught.append(error)
                async for event in run:
                    raise AssertionError(event)
        assert [error.kind for error in caught] == ["connection"]
        assert [type(event) for event in seen].count(AgentEnd) == 1
        assert isinstance(seen[-1], AgentEnd)
        check_events(seen)
