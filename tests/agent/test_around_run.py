"""Hooks around a run: what they see of it, however it ends, and what they leave behind."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.agent.checked_runs import GUARD, add, events_of, kinds

from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    AssistantMessage,
    Limits,
    ModelError,
    RunContext,
    Session,
    ToolContext,
    Usage,
    UserMessage,
    tool,
)
from tether.testing import ScriptedModel, call, cancel_at_every_step, check_events, check_transcript

LABEL: ContextVar[str] = ContextVar("LABEL", default="outside")


def watched(agent: Agent) -> list[str]:
    """What a hook has seen of the agent's runs."""
    seen: list[str] = []

    @agent.around_run
    @asynccontextmanager
    async def watch(run: RunContext) -> AsyncIterator[None]:
        seen.append(f"start {run.agent}")
        try:
            yield
        except BaseException as error:
            seen.append(f"{type(error).__name__} {run.agent}")
            raise
        assert run.result is not None
        seen.append(f"{run.result.stop_reason} {run.agent}")

    return seen


async def test_it_sees_what_the_run_is_and_how_it_ends() -> None:
    seen: list[RunContext] = []
    spent = Usage(input_tokens=5, output_tokens=2)
    agent = Agent(
        ScriptedModel(AssistantMessage("Hi.", usage=spent), "Again."),
        name="clerk",
        system="Be brief.",
    )

    @agent.around_run
    @contextmanager
    def watch(run: RunContext) -> Iterator[None]:
        assert run.result is None
        yield
        seen.append(run)

    result = await agent.prompt("hello")
    [run] = seen
    assert run.result is result
    assert (run.agent, run.system, run.model.name) == ("clerk", "Be brief.", "scripted")
    assert [prompt.text for prompt in run.prompts if isinstance(prompt, UserMessage)] == ["hello"]
    assert (run.usage, run.cost, run.depth, run.call_id) == (spent, 0.0, 0, None)
    await agent.prompt("and?")
    assert seen[1].conversation_id == run.conversation_id == agent.messages[0].id != ""


async def test_a_conversation_that_comes_back_has_the_id_it_had(tmp_path: Any) -> None:
    ids: list[str] = []

    def watch(run: RunContext) -> Any:
        ids.append(run.conversation_id)
        return nullcontext()

    for _ in range(2):
        with Session(tmp_path / "log") as session:
            agent = Agent(ScriptedModel("Hi."), session=session)
            agent.around_run(watch)
            await agent.prompt("hello")
    assert ids[0] == ids[1] != ""


async def test_it_is_around_all_tasks_of_the_run() -> None:
    """Also those that a tool has started to outlive its call."""
    seen: list[str] = []
    agent = Agent(ScriptedModel(call("begin"), "ok"))

    @agent.tool
    async def begin(context: ToolContext[None]) -> str:
        """Begin."""

        async def outlives(*, task_status: Any) -> None:
            task_status.started()
            try:
                await anyio.sleep_forever()
            finally:
                seen.append("background over")

        await context.start(outlives)
        return "begun"

    @agent.around_run
    @contextmanager
    def watch(_: RunContext) -> Iterator[None]:
        seen.append("start")
        yield
        seen.append("end")

    agent.subscribe(lambda event: seen.append("first") if event == AgentStart() else None)
    await events_of(agent)
    assert seen == ["start", "first", "background over", "end"]


class BrokenError(Exception):
    pass


def _fail(*_: object) -> None:
    raise BrokenError


async def test_it_sees_a_failing_model() -> None:
    agent = Agent(ScriptedModel(ModelError("gone", kind="authentication")))
    seen = watched(agent)
    with pytest.raises(ModelError):
        await agent.prompt("go")
    assert seen == ["start agent", "ModelError agent"]


async def test_it_sees_a_failing_hook_an_abort_and_a_limit() -> None:
    agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add], limits=Limits(turns=1))
    seen = watched(agent)
    await agent.prompt("go")
    agent.hooks.add("after_model", _fail)
    with pytest.raises(BrokenError):
        await agent.prompt("go")
    agent.hooks.remove("after_model", _fail)
    agent.hooks.add("before_model", lambda _: agent.abort())
    await agent.prompt("go")
    assert seen == [
        "start agent",
        "limit agent",
        "start agent",
        "BrokenError agent",
        "start agent",
        "aborted agent",
    ]


class Ended(BaseException):
    pass


async def test_it_sees_cancellation_and_the_end_of_the_program() -> None:
    agent = Agent(ScriptedModel(call("hang"), call("end")))
    seen = watched(agent)
    hanging = anyio.Event()

    @agent.tool
    async def hang() -> None:
        """Hang."""
        hanging.set()
        await anyio.sleep_forever()

    @agent.tool
    async def end() -> None:
        """End."""
        raise Ended

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await hanging.wait()
            tasks.cancel_scope.cancel()
        assert seen == ["start agent", f"{anyio.get_cancelled_exc_class().__name__} agent"]
        with pytest.raises((Ended, BaseExceptionGroup)):
            await agent.prompt("go")
    assert seen[2:] == ["start agent", "Ended agent"] or seen[3].endswith("Group agent"), seen


def _early(reader: Callable[[Agent], Any]) -> Any:
    return pytest.param(reader, id=reader.__name__)


async def _left_block(agent: Agent) -> None:
    async with agent.run("go") as run:
        async for _ in run:
            break


async def _broken_off_text(agent: Agent) -> None:
    async with anyio.create_task_group() as tasks:
        async for _ in agent.stream_text("go", tasks):
            break


async def _chat(agent: Agent) -> None:
    with anyio.move_on_after(0):
        await agent.chat().asend("go")


@pytest.mark.parametrize("reader", [_early(_left_block), _early(_broken_off_text), _early(_chat)])
async def test_it_is_left_when_the_consumer_leaves_early(reader: Callable[[Agent], Any]) -> None:
    agent = Agent(ScriptedModel("a long reply, of which only the first words are read"))
    seen = watched(agent)
    await reader(agent)
    assert len(seen) in {0, 2}
    assert not agent.state.running


@pytest.mark.parametrize("kind", [contextmanager, asynccontextmanager])
async def test_what_it_sets_is_seen_by_the_run_and_by_nobody_else(kind: Any) -> None:
    labels: dict[str, str] = {}

    @tool
    async def in_task() -> str:
        """Look."""
        labels["tool"] = LABEL.get()
        return "seen"

    @tool
    def in_thread() -> str:
        """Look."""
        labels["thread"] = LABEL.get()
        return "seen"

    calls = [call("in_task"), call("in_thread"), call("ask", request="?")]
    child = Agent(ScriptedModel(call("in_task"), "ok"), tools=[in_task])
    child.subscribe(lambda _: labels.update(child=LABEL.get()))
    agent = Agent(
        ScriptedModel(calls, "ok"), tools=[in_task, in_thread, child.as_tool("ask", "Ask.")]
    )

    def plain(_: RunContext) -> Iterator[None]:
        token = LABEL.set("inside")
        yield
        LABEL.reset(token)

    async def patient(_: RunContext) -> AsyncIterator[None]:
        await anyio.lowlevel.checkpoint()
        token = LABEL.set("inside")
        yield
        LABEL.reset(token)

    agent.around_run(kind(plain if kind is contextmanager else patient))
    async with agent.run("go") as run:
        async for _ in run:
            assert LABEL.get() == "outside"
    assert labels == {"tool": "inside", "thread": "inside", "child": "inside"}
    async with anyio.create_task_group() as tasks:
        async for _ in agent.stream_events("more", tasks):
            assert LABEL.get() == "outside"
            break


async def test_it_sees_the_runs_of_children_and_of_their_children() -> None:
    leaf = Agent(ScriptedModel("leaf", "leaf"), name="leaf")
    middle = Agent(
        ScriptedModel(call("ask_leaf", request="?"), "middle"),
        name="middle",
        tools=[leaf.as_tool("ask_leaf", "Ask.")],
    )
    agent = Agent(
        ScriptedModel(call("ask", id="c", request="?"), "top"),
        name="top",
        tools=[middle.as_tool("ask", "Ask.")],
    )
    seen = watched(agent)
    places: list[tuple[str, int, str | None]] = []

    def place(run: RunContext) -> Any:
        places.append((run.agent, run.depth, run.call_id))
        return nullcontext()

    agent.around_run(place)
    middle.around_run(place)  # the same function is around a run once
    await events_of(agent)
    assert seen == [
        "start top",
        "start middle",
        "start leaf",
        "stop leaf",
        "stop middle",
        "stop top",
    ]
    assert places == [("top", 0, None), ("middle", 1, "c"), ("leaf", 2, "call_1")]


async def test_hooks_added_to_a_childs_run_are_in_force_for_that_run_alone() -> None:
    child = Agent(ScriptedModel("a", "b"), name="child")
    ask = call("ask", request="?")
    agent = Agent(ScriptedModel(ask, ask, "ok"), tools=[child.as_tool("ask", "Ask.")])
    requests: list[int] = []

    def watch(run: RunContext) -> Any:
        if run.depth:
            run.hooks.add("before_model", lambda _: requests.append(run.depth))
        return nullcontext()

    agent.around_run(watch)
    await events_of(agent)
    assert requests == [1, 1]
    assert list(child.hooks) == []


async def test_they_nest_by_depth() -> None:
    seen: list[str] = []

    def named(name: str) -> Any:
        @contextmanager
        def watch(_: RunContext) -> Iterator[None]:
            seen.append(f"{name} in")
            yield
            seen.append(f"{name} out")

        return watch

    agent = Agent(ScriptedModel("ok"))
    for name, depth in (("inner", 5), ("middle", 0), ("outer", -5)):
        agent.hook("around_run", name=name, depth=depth)(named(name))
    await agent.prompt("go")
    assert seen == ["outer in", "middle in", "inner in", "inner out", "middle out", "outer out"]


async def test_none_of_them_can_hold_an_exception_back() -> None:
    agent = Agent(ScriptedModel(ModelError("gone", kind="server"), "ok"))
    agent.around_run(lambda _: suppress(BaseException))
    agent.around_run(lambda _: suppress(BaseException))
    with pytest.raises(ModelError, match="gone"):
        await agent.prompt("go")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await agent.prompt("go")
    assert scope.cancelled_caught


@pytest.mark.parametrize("enters", [True, False], ids=["enters", "leaves"])
async def test_one_that_raises_ends_the_run_with_that(enters: bool) -> None:
    agent = Agent(ScriptedModel("ok", "ok"))

    @agent.around_run
    @contextmanager
    def watch(_: RunContext) -> Iterator[None]:
        if enters:
            raise BrokenError
        yield
        raise BrokenError

    events = []
    with pytest.raises(BrokenError):
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
    check_events(events)
    check_transcript(agent.messages)
    assert kinds(events)[0] is AgentStart
    end = events[-1]
    assert isinstance(end, AgentEnd)
    assert end.stop_reason == ("error" if enters else "stop")
    assert not agent.state.running
    assert agent.messages[0].text == "go", "the prompt is not lost"


async def test_a_run_that_waits_for_its_hook_may_be_aborted_or_cancelled() -> None:
    agent = Agent(ScriptedModel("never"))
    entered, go_on = anyio.Event(), anyio.Event()

    @agent.around_run
    @asynccontextmanager
    async def wait(_: RunContext) -> AsyncIterator[None]:
        entered.set()
        await go_on.wait()
        yield

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await entered.wait()
            tasks.cancel_scope.cancel()
        check_transcript(agent.messages)
        assert not agent.state.running
        async with agent.run("again") as run:
            run.abort()
            go_on.set()
            assert (await run.result()).stop_reason == "aborted"
    assert [m.text for m in agent.messages if m.role == "user"] == ["go", "again"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_is_left_once_wherever_the_run_is_cancelled(backend: Any) -> None:
    open_now: list[str] = []

    def setup() -> Agent:
        open_now.clear()
        agent = Agent(ScriptedModel(call("add", a=1, b=2), "Done."), tools=[add])

        @agent.around_run
        @asynccontextmanager
        async def watch(run: RunContext) -> AsyncIterator[None]:
            await anyio.lowlevel.checkpoint()
            open_now.append(run.agent)
            try:
                yield
            finally:
                open_now.remove(run.agent)

        return agent

    async def program(agent: Agent) -> None:
        await agent.prompt("go")

    def check(agent: Agent) -> None:
        assert open_now == []
        check_transcript(agent.messages)

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5
