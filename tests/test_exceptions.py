"""What comes out of a run that fails, and what its transcript says of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Event,
    Invocation,
    MessageUpdate,
    ModelError,
    ModelRequest,
    ModelRetry,
    ProceedTool,
    Session,
    TextDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolResult,
    UserMessage,
    fallback,
    tool,
)
from tether.hooks import ProceedModel
from tether.model import DeltaStream, RetryPolicy
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript

GUARD = 60


class UploadErrors(ExceptionGroup[Exception]):
    """A group of somebody's own."""


def upload_errors() -> UploadErrors:
    error = UploadErrors("2 failed", [OSError("a"), ValueError("b")])
    error.add_note("of 7")
    return error


@tool
async def act() -> str:
    """Act."""
    await anyio.lowlevel.checkpoint()
    return "done"


def acting(*more: Any, **options: Any) -> Agent:
    calls = [call("act"), call("act")]
    return Agent(ScriptedModel(calls, *more, "Gone on."), tools=[act], **options)


# A group that the block or a hook has raised.


async def in_the_block(error: Exception) -> None:
    agent = Agent(ScriptedModel(["Hel", Pause()]))
    async with agent.run("go") as run:
        async for event in run:
            if isinstance(event, MessageUpdate):
                raise error


async def in_the_block_beside_tools(error: Exception) -> None:
    async with acting().run("go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                raise error


def hooked(point: Any, *, when: Any = object, later: bool = False) -> Any:
    async def in_a_hook(error: Exception) -> None:
        agent = acting()

        @agent.hook(point)
        async def fail(given: object, *_: object) -> None:
            if isinstance(given, when):
                if later:
                    await anyio.lowlevel.checkpoint()
                raise error

        await agent.prompt("go")

    in_a_hook.__name__ = f"{point} {when.__name__} {later}"
    return in_a_hook


async def in_advice_round_a_tool(error: Exception) -> None:
    agent = acting()

    @agent.around_tool
    async def fail(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        await proceed(invocation)
        raise error

    await agent.prompt("go")


async def in_an_approval(error: Exception) -> None:
    async def ask(_: Invocation) -> bool:
        await anyio.lowlevel.checkpoint()
        raise error

    await acting(approve=ask).prompt("go")


async def in_advice_round_the_model(error: Exception) -> None:
    agent = acting()

    @agent.around_model
    @asynccontextmanager
    async def fail(request: ModelRequest, proceed: ProceedModel) -> AsyncIterator[DeltaStream]:
        async with proceed(request) as deltas:
            yield deltas
        raise error

    await agent.prompt("go")


async def in_a_hook_as_the_run_is_aborted(error: Exception) -> None:
    agent = acting()

    @agent.hook("before_tool")
    async def fail(_: Invocation) -> None:
        agent.abort()
        raise error

    await agent.prompt("go")


async def in_a_hook_as_the_call_is_cancelled(error: Exception) -> None:
    agent = acting()
    async with agent.run("go") as run:

        @agent.hook("before_tool")
        async def fail(_: Invocation) -> None:
            for id_ in run.running_tools:
                run.cancel_tool(id_)
            raise error

        await run.result()


async def while_events_are_read(error: Exception) -> None:
    agent = acting()

    @agent.hook("on_event")
    def fail(event: Event) -> None:
        if isinstance(event, ToolExecutionEnd):
            raise error

    async with agent.run("go") as run:
        async for _ in run:
            pass


PLACES = [
    in_the_block,
    in_the_block_beside_tools,
    *(
        hooked(point, later=later)
        for point in (
            "transform_context",
            "before_model",
            "after_model",
            "before_tool",
            "after_tool",
            "should_stop",
        )
        for later in (False, True)
    ),
    *(
        hooked("on_event", when=when, later=True)
        for when in (object, MessageUpdate, ToolExecutionStart, ToolExecutionEnd, AgentEnd)
    ),
    in_advice_round_a_tool,
    in_an_approval,
    in_advice_round_the_model,
    in_a_hook_as_the_run_is_aborted,
    in_a_hook_as_the_call_is_cancelled,
    while_events_are_read,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_a_group_of_somebody_elses_comes_out_as_that_very_object(
    place: Callable[[Exception], Awaitable[None]],
) -> None:
    error = upload_errors()
    with anyio.fail_after(GUARD), pytest.raises(UploadErrors) as caught:
        await place(error)
    assert caught.value is error
    assert error.__notes__ == ["of 7"]


@pytest.mark.parametrize("how", ["plain", "run"])
async def test_a_scope_round_a_run_that_fails_sees_what_it_sees_of_a_plain_await(how: str) -> None:
    """The block fails, and the scope is cancelled while the run's tools clean up."""
    cleaning = anyio.Event()
    error = ValueError("block")

    async def clean_up() -> None:
        with anyio.CancelScope(shield=True):
            cleaning.set()
            for _ in range(10):
                await anyio.lowlevel.checkpoint()

    @tool
    async def slow() -> None:
        """Take a while to stop."""
        try:
            await anyio.sleep_forever()
        finally:
            await clean_up()

    agent = Agent(ScriptedModel(call("slow")), tools=[slow])
    scope = anyio.CancelScope()

    async def fail() -> None:
        if how == "plain":
            try:
                raise error
            finally:
                await clean_up()
        async with agent.run("go") as run:
            while not run.running_tools:
                await anyio.lowlevel.checkpoint()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            raise error

    async def cancel() -> None:
        await cleaning.wait()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        with pytest.raises(ValueError, match="block") as caught, scope:
            await fail()
    assert caught.value is error
    assert (scope.cancel_called, scope.cancelled_caught) == (True, False)


# Models that fail inside somebody's task group.


class Retried(ScriptedModel):
    """A model whose failures are retried."""

    retry = RetryPolicy(attempts=2, wait_initial=0.001)


def overloaded(text: str = "busy") -> ModelError:
    return ModelError(text, kind="overloaded")


def with_a_task_group(agent: Agent) -> None:
    """Put advice around the model that has a task group round `proceed`."""

    @agent.around_model
    @asynccontextmanager
    async def beside(request: ModelRequest, proceed: ProceedModel) -> AsyncIterator[DeltaStream]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            async with proceed(request) as deltas:
                yield deltas
            tasks.cancel_scope.cancel()


class Grouped(Retried):
    """A model that is written with a task group itself."""

    @asynccontextmanager
    async def _streamed(self, request: ModelRequest) -> AsyncIterator[DeltaStream]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            async with super().stream(request) as deltas:
                yield deltas
            tasks.cancel_scope.cancel()

    def stream(self, request: ModelRequest) -> Any:
        return self._streamed(request)


def by_advice(*script: Any) -> Agent:
    agent = Agent(Retried(*script))
    with_a_task_group(agent)
    return agent


def by_the_model(*script: Any) -> Agent:
    return Agent(Grouped(*script))


MAKERS = [by_advice, by_the_model]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
class TestInATaskGroup:
    async def test_a_failure_is_retried(self, make: Callable[..., Agent]) -> None:
        agent = make(overloaded(), "Hello.")
        events: list[Event] = []
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    events.append(event)
                assert (await run.result()).text == "Hello."
        assert sum(isinstance(event, ModelRetry) for event in events) == 1
        check_events(events)

    @pytest.mark.parametrize("kind", ["overloaded", "authentication"])
    async def test_a_failure_is_recorded_and_raised_as_itself(
        self, make: Callable[..., Agent], kind: Any
    ) -> None:
        errors = [ModelError("no", kind=kind), ModelError("no", kind=kind)]
        agent = make(*errors)
        with anyio.fail_after(GUARD), pytest.raises(ModelError) as caught:
            await agent.prompt("go")
        assert caught.value is errors[kind == "overloaded"]
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.stop_reason, last.error) == ("error", caught.value.failure)

    async def test_a_failure_in_the_middle_keeps_what_arrived(
        self, make: Callable[..., Agent]
    ) -> None:
        agent = make([TextDelta("Hel"), overloaded()])
        with anyio.fail_after(GUARD), pytest.raises(ModelError):
            await agent.prompt("go")
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason) == ("Hel", "error")

    async def test_another_model_takes_over(self, make: Callable[..., Agent]) -> None:
        agent = make(overloaded(), overloaded())
        agent.model = fallback(agent.model, ScriptedModel("Hello."))
        with anyio.fail_after(GUARD):
            assert (await agent.prompt("go")).text == "Hello."

    async def test_what_else_fails_comes_out_as_a_group(self, make: Callable[..., Agent]) -> None:
        agent = make(ValueError("bug"))
        with anyio.fail_after(GUARD), pytest.raises(ExceptionGroup) as caught:
            await agent.prompt("go")
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('bug')"]
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert last.stop_reason == "error"


async def test_a_model_alone_takes_over_for_one_with_a_task_group() -> None:
    model = fallback(Grouped(overloaded()), ScriptedModel("Hello."))
    async with model.stream(ModelRequest(messages=[UserMessage("go")])) as deltas:
        texts = [delta.text async for delta in deltas if isinstance(delta, TextDelta)]
    assert texts == ["Hello."]


async def test_a_hook_that_asks_a_model_with_a_task_group_sees_its_failure() -> None:
    agent = Agent(Grouped(overloaded(), "Hello."))
    seen: list[ModelError] = []

    @agent.hook("transform_context")
    async def ask(messages: Any, turn: Any) -> None:
        try:
            await turn.ask(ModelRequest(messages=messages))
        except ModelError as error:
            seen.append(error)

    with anyio.fail_after(GUARD):
        assert (await agent.prompt("go")).text == "Hello."
    assert [error.kind for error in seen] == ["overloaded"]


# Models with a bug.


class Buggy(ScriptedModel):
    """A model that fails as no model should."""

    def __init__(self, *script: Any, error: Exception) -> None:
        super().__init__(*script)
        self._error = error

    def stream(self, request: ModelRequest) -> Any:
        raise self._error


BUGS = {
    "on entering": lambda error: Buggy(error=error),
    "before anything arrives": lambda error: ScriptedModel([error]),
    "in the middle": lambda error: ScriptedModel([TextDelta("Hel"), error]),
}


@pytest.mark.parametrize("make", BUGS.values(), ids=BUGS)
@pytest.mark.parametrize("error", [ValueError("bug"), UploadErrors("bugs", [KeyError("a")])])
async def test_a_model_with_a_bug(error: Exception, make: Callable[[Exception], Any]) -> None:
    agent = Agent(make(error))
    events: list[Event] = []
    with anyio.fail_after(GUARD), pytest.raises(type(error)) as caught:
        async with agent.run("go", max_buffer_size=100) as run:
            async for event in run:
                events.append(event)
    assert caught.value is error
    last = agent.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert last.stop_reason == "error"
    assert last.error is not None
    assert (last.error.kind, last.error.message) == ("internal", f"{type(error).__name__}: {error}")
    check_events(events)
    check_transcript(agent.messages)
    agent.model = ScriptedModel("Fine.")
    assert (await agent.prompt("Go on.")).text == "Fine."


@pytest.mark.parametrize("error", [LookupError("price"), UploadErrors("prices", [KeyError("a")])])
async def test_a_price_that_fails_ends_the_run_with_that_and_loses_nothing(
    error: Exception, tmp_path: Path
) -> None:
    def price(reply: AssistantMessage) -> float:
        raise error

    with Session.open(tmp_path / "log") as session:
        agent = Agent(
            ScriptedModel([call("act", id="act")]), tools=[act], price=price, session=session
        )
        with anyio.fail_after(GUARD), pytest.raises(type(error)) as caught:
            await agent.prompt("go")
        assert caught.value is error
        assert error.__context__ is None
        check_transcript(agent.messages)
        assert agent.messages[1].role == "assistant"
        assert [message.id for message in session.messages[:2]] == [
            message.id for message in agent.messages[:2]
        ]


async def test_a_listener_that_fails_is_no_fault_of_the_model() -> None:
    agent = Agent(ScriptedModel("Hello."))

    @agent.hook("on_event")
    def fail(event: Event) -> None:
        if isinstance(event, MessageUpdate):
            raise LookupError("listener")

    with pytest.raises(LookupError):
        await agent.prompt("go")
    last = agent.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert (last.stop_reason, last.error) == ("aborted", None)


# Tools and hooks whose own task groups fail while they are cancelled.


async def fail_in_clean_up(error: BaseException, begun: anyio.Event | None = None) -> None:
    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(child)
        await anyio.lowlevel.checkpoint()
        if begun is not None:
            begun.set()
        await anyio.sleep_forever()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_ends_the_program_goes_on_from_a_clean_up(
    backend: str, kind: type[BaseException]
) -> None:
    async def main() -> None:
        begun = anyio.Event()

        @tool
        async def leave() -> None:
            """Leave."""
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fail_in_clean_up, ValueError("beside it"), begun)
                try:
                    await anyio.sleep_forever()
                finally:
                    raise kind

        agent = Agent(ScriptedModel([call("leave", id="leave"), call("act")]), tools=[leave, act])
        async with agent.run("go") as run:
            await begun.wait()
            run.cancel_tool("leave")
            await run.result()

    with pytest.raises(kind):
        anyio.run(main, backend=backend)


@pytest.mark.parametrize("point", ["before_tool", "around_tool", "approve", "transform_context"])
async def test_a_hook_whose_clean_up_fails_ends_the_run_with_that(
    point: str, anyio_backend_name: str
) -> None:
    begun = anyio.Event()
    error = ValueError("could not clean up")

    async def hook(*_: Any) -> Any:
        await fail_in_clean_up(error, begun)

    agent = acting(approve=hook if point == "approve" else None)
    if point != "approve":
        agent.hooks.add(point, hook)  # type: ignore[arg-type]  # a name from the list above
    with anyio.fail_after(GUARD), pytest.raises(ExceptionGroup) as caught:
        async with agent.run("go") as run:
            await begun.wait()
            run.interrupt()
            await run.result()
    found = set()
    for member in caught.value.exceptions:
        found |= {*member.exceptions} if isinstance(member, ExceptionGroup) else {member}
    assert found == {error}, anyio_backend_name
    check_transcript(agent.messages)
    assert not agent.state.running
