"""What users of other agent libraries ran into, where no other test covers it already.

Each docstring names the symptom, and where it was reported.
"""

import contextlib
import contextvars
import gc
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Deny,
    Event,
    Invocation,
    Limits,
    MessageUpdate,
    ModelError,
    ModelRequest,
    Session,
    TextDelta,
    ToolContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResult,
    ToolResultMessage,
    UsageError,
    blocking,
    to_json,
    tool,
)
from tether.deltas import ToolCallDelta, ToolCallStart
from tether.hooks import ProceedModel
from tether.model import DeltaStream
from tether.testing import (
    Part,
    Pause,
    ScriptedModel,
    call,
    check_events,
    check_transcript,
)

GUARD = 10


@tool
async def hang() -> None:
    """Hang."""
    await anyio.sleep_forever()


@tool
async def done() -> str:
    """Be done."""
    return "real"


def results(agent: Agent) -> list[ToolResultMessage]:
    return [message for message in agent.messages if isinstance(message, ToolResultMessage)]


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
        with pytest.raises(anyio.ClosedResourceError, match="left before its producer was done"):
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


class TestTranscripts:
    @pytest.mark.parametrize("finished", [0, 1, 2])
    async def test_keep_the_results_there_are_when_cancelled(self, finished: int) -> None:
        """A cancellation in the first tool makes the history unresumable (pydantic-ai#7977); finished siblings' results
        are lost when one stalls (earendil-works/pi#7053)."""
        calls = [call("done")] * finished + [call("hang")] * (3 - finished)
        agent = Agent(ScriptedModel(calls, "Gone on."), tools=[done, hang])
        with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
            async with agent.run("go"):
                await until_blocked()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert [result.outcome for result in results(agent)] == ["ok"] * finished + [
            "interrupted"
        ] * (3 - finished)
        assert [r.text for r in results(agent)[:finished]] == ["real"] * finished
        check_transcript(agent.messages)
        assert (await agent.prompt("Go on.")).text == "Gone on."

    async def test_tell_what_did_not_run_from_what_may_have_run(self) -> None:
        """The model is told that a tool "did not run" though it ran (anthropics/claude-code#86001)."""

        @tool
        async def fail() -> None:
            """Fail."""
            raise ValueError("no luck")

        agent = Agent(
            ScriptedModel([call(name) for name in ("done", "fail", "denied", "hang")]),
            tools=[done, fail, hang, tool(name="denied")(done.function)],
        )
        agent.hooks.add("before_tool", _deny_the_denied)
        seen: dict[str, str] = {}
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    match event:
                        case ToolExecutionEnd(name=name, result=result):
                            seen[name] = result.outcome
                            if len(seen) == 3:
                                await until_blocked()
                                agent.abort()
        assert seen == {
            "done": "ok",
            "fail": "error",
            "denied": "denied",
            "hang": "interrupted",
        }
        assert [r.outcome for r in results(agent)] == ["ok", "error", "denied", "interrupted"]
        texts = [result.text for result in results(agent)]
        assert len(set(texts)) == 4
        assert "may have run" in texts[3]

    @pytest.mark.parametrize("count", [0, 1, 7])
    async def test_hold_what_was_on_the_screen_when_it_was_stopped(self, count: int) -> None:
        """Text on the screen is forgotten after Stop (openai/codex#2943)."""
        deltas: list[Part] = [TextDelta(f"{number} ") for number in range(count)]
        stop = anyio.Event()
        agent = Agent(ScriptedModel([*deltas, Pause(reached=stop)]))
        seen = ""
        with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
            async with agent.run("go") as run:
                await stop.wait()
                await until_blocked()
                with anyio.move_on_after(0):
                    async for event in run:
                        match event:
                            case MessageUpdate(delta=TextDelta(text)):
                                seen += text
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert last.stop_reason == "aborted"
        assert last.text == "".join(f"{number} " for number in range(count))
        assert last.text.startswith(seen)

    async def test_never_replay_a_call_that_was_cut_off(self) -> None:
        """Cut-off arguments are sent back as a call, and refused for good (smolagents#1569)."""
        reply: list[Part] = [
            ToolCallStart("c", "done", 0),
            ToolCallDelta('{"path": "/', 0),
            Pause(),
        ]
        model = ScriptedModel(reply, "Gone on.")
        agent = Agent(model, tools=[done])
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageUpdate) and isinstance(event.delta, ToolCallDelta):
                    break
        assert results(agent) == []
        await agent.prompt("Go on.")
        sent = model.requests[-1].messages
        assert not any(m.tool_calls for m in sent if isinstance(m, AssistantMessage))

    async def test_are_the_same_however_the_calls_finish(self) -> None:
        """Results in the order in which they finish: prompt caches miss, models mispair (vercel/ai#16567)."""
        transcripts: list[Sequence[bytes]] = []
        for order in ("abc", "cba", "bca"):
            turns = {name: anyio.Event() for name in order}

            @tool
            async def act(
                name: str, order: str = order, turns: dict[str, Any] = turns
            ) -> str:  # each loop its own
                """Act in turn."""
                place = order.index(name)
                if place:
                    await turns[order[place - 1]].wait()
                turns[name].set()
                return name

            numbers = iter(range(100))
            agent = Agent(
                ScriptedModel([call("act", name=name) for name in "abc"], "Done."),
                tools=[tool(name="act")(_only_name(act.function))],
                clock=lambda: 0.0,
                new_id=lambda numbers=numbers: str(next(numbers)),  # type: ignore[misc]  # bound now
            )
            await agent.prompt("go")
            transcripts.append([to_json(message) for message in agent.messages])
        assert transcripts[0] == transcripts[1] == transcripts[2]


def _deny_the_denied(invocation: Invocation) -> Any:
    return Deny("no") if invocation.call.name == "denied" else None


def _only_name(function: Callable[..., Any]) -> Callable[..., Any]:
    async def act(name: str) -> Any:
        return await function(name)

    return act


class TestQueues:
    @pytest.mark.parametrize("size", [0, 1])
    async def test_with_no_room_and_nobody_reading_a_run_can_be_steered_and_ends(
        self, size: int
    ) -> None:
        """Control waits behind a full queue, and everything hangs (claude-agent-sdk#779)."""
        agent = Agent(
            ScriptedModel([call("hang"), call("done")], "Steered.", "Followed."),
            tools=[hang, done],
        )
        with anyio.fail_after(GUARD):
            async with (
                agent.run("go", max_buffer_size=size) as run,
                anyio.create_task_group() as tasks,
            ):

                async def control() -> None:
                    while not run.running_tools:
                        await until_blocked()
                    await until_blocked()
                    agent.steer("Now this.")
                    agent.follow_up("Then that.")
                    run.cancel_tool(run.running_tools[0])

                tasks.start_soon(control)
                result = await run.result()
        assert (result.text, result.stop_reason, result.undelivered) == ("Followed.", "stop", ())

    async def test_hold_no_more_than_they_may_while_the_consumer_sleeps(self) -> None:
        """Memory grows with a slow consumer, 107 MB at 6,400 events (inspect_ai#3962)."""
        pulled = 0

        def flood() -> list[Part]:
            return [TextDelta("x") for _ in range(20_000)]

        agent = Agent(ScriptedModel(flood()))

        @agent.around_model
        @asynccontextmanager
        async def counted(
            request: ModelRequest, proceed: ProceedModel
        ) -> AsyncIterator[DeltaStream]:
            async with proceed(request) as deltas:
                yield _Counted(deltas)

        class _Counted:
            def __init__(self, deltas: DeltaStream) -> None:
                self._deltas = deltas

            def __aiter__(self) -> "_Counted":
                return self

            async def __anext__(self) -> Any:
                nonlocal pulled
                pulled += 1
                return await anext(self._deltas)

        with anyio.fail_after(GUARD):
            async with agent.run("go", max_buffer_size=16) as run:
                async for event in run:
                    if isinstance(event, MessageUpdate):
                        break
                await until_blocked()
                assert pulled <= 16 + 4
                assert run.statistics().current_buffer_used <= 16

    @pytest.mark.parametrize("point", ["on_event", "transform_context", "before_model"])
    async def test_end_with_the_error_where_a_run_cannot_begin(self, point: Any) -> None:
        """A stream hangs, or ends as if all were well, when its producer fails (openai-agents#2130)."""
        agent = Agent(ScriptedModel("Never said.", "Gone on."))
        error = LookupError("hook")

        @agent.hook(point)
        def fail(_: object) -> None:
            raise error

        with anyio.fail_after(GUARD), pytest.raises(LookupError) as caught:
            async with agent.run("go") as run:
                async for _ in run:
                    pass
        assert caught.value is error
        assert not agent.state.running
        check_transcript(agent.messages)

    async def test_end_with_the_error_where_a_message_cannot_be_kept(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As above, for a disk that is full."""
        with Session.open(tmp_path / "s.jsonl") as session:
            agent = Agent(ScriptedModel("Hello.", "Gone on."), session=session)

            def full(_: object) -> None:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patched:
                patched.setattr(Session, "append", lambda *_, **__: full(None))
                with anyio.fail_after(GUARD), pytest.raises(OSError, match="No space left"):
                    await agent.prompt("go")
            check_transcript(agent.messages)
            assert not agent.state.running

    async def test_a_hook_that_raises_cancels_the_other_calls_and_waits_for_them(self) -> None:
        """One failing call drops the others' output, or leaves them running (openai-agents#2584, adk#7172)."""
        ended: list[str] = []

        @tool
        async def slow() -> None:
            """Be slow, also to stop."""
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                    ended.append("slow")

        agent = Agent(ScriptedModel([call("slow"), call("done")]), tools=[slow, done])

        @agent.hook("after_tool")
        def fail(_: Invocation, __: ToolResult) -> None:
            raise LookupError("hook")

        with anyio.fail_after(GUARD), pytest.raises(LookupError, match="hook"):
            await agent.prompt("go")
        assert ended == ["slow"]
        check_transcript(agent.messages)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tool_that_exits_the_program_does(backend: str) -> None:
    """SystemExit and the like are no results for a model to read, and come in no group."""

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
            while not caplog.messages:  # noqa: ASYNC110 - the thread's last words come after its result
                await anyio.sleep(0.001)
        assert [result.outcome for result in results(agent)] == ["timeout"]
        assert agent.messages == before
        assert caplog.messages == ["block came back after it was given up; its result is discarded"]

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
