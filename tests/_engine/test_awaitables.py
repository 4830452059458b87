"""What a tool returns is awaited if it is awaitable, whichever way it was made."""

import functools
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tether import Agent, ToolResultMessage, tool
from tether.testing import ScriptedModel, call, cancel_at_every_step, check_transcript

GUARD = 60


async def greet(name: str) -> str:
    """Greet."""
    await anyio.lowlevel.checkpoint()
    return f"hello {name}"


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Promise:
    """An awaitable that is not a coroutine."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __await__(self) -> Generator[Any, Any, str]:
        return greet(self.name).__await__()


def promise(name: str) -> Promise:
    """Promise a greeting."""
    return Promise(name)


def late(name: str) -> Awaitable[str]:
    """Return a coroutine."""
    return greet(name)


async def later(name: str) -> Awaitable[str]:
    """Return a coroutine, from a coroutine."""
    return greet(name)


class Caller:
    async def __call__(self, name: str) -> str:
        """Greet."""
        return await greet(name)


class Heir(Caller):
    """Calls as its base does."""


@pytest.mark.parametrize(
    "function",
    [
        timed(greet),
        timed(timed(greet)),
        functools.partial(greet),
        functools.partial(timed(greet)),
        promise,
        late,
        later,
        Caller(),
        Heir(),
    ],
    ids=[
        "wrapped",
        "wrapped twice",
        "partial",
        "partial of wrapped",
        "no coroutine",
        "plain",
        "async",
        "object",
        "heir",
    ],
)
async def test_what_is_awaitable_is_awaited(function: Any) -> None:
    made = tool(name="greet")(function)
    agent = Agent(ScriptedModel(call("greet", name="Ada"), "Done."), tools=[made])
    await agent.prompt("go")
    result = agent.messages[2]
    assert isinstance(result, ToolResultMessage)
    assert (result.text, result.outcome) == ("hello Ada", "ok")


async def test_a_lambda_may_return_a_coroutine() -> None:
    made = tool(
        name="greet", parameters={"type": "object", "properties": {"name": {"type": "string"}}}
    )(lambda name: greet(name))
    agent = Agent(ScriptedModel(call("greet", name="Ada"), "Done."), tools=[made])
    await agent.prompt("go")
    assert agent.messages[2].text == "hello Ada"


async def test_what_is_awaited_stops_at_the_timeout_of_its_tool() -> None:
    @tool(timeout=0.2)
    def wait() -> Awaitable[None]:
        """Wait for ever."""
        return anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("wait"), "Done."), tools=[wait])
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    result = agent.messages[2]
    assert isinstance(result, ToolResultMessage)
    assert result.outcome == "timeout"


async def test_a_coroutine_of_a_thread_that_was_given_up_is_closed() -> None:
    """One that is never awaited would be a warning, which is an error here."""
    begun, released, over = anyio.Event(), threading.Event(), threading.Event()

    @tool
    def wait() -> Awaitable[str]:
        """Wait to be released."""
        try:
            anyio.from_thread.run_sync(begun.set)
            released.wait(GUARD)
            return greet("nobody")
        finally:
            over.set()

    agent = Agent(ScriptedModel(call("wait"), "Done."), tools=[wait])
    with anyio.fail_after(GUARD):
        async with agent.run("go"):
            await begun.wait()
        released.set()
        await anyio.to_thread.run_sync(over.wait, GUARD)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_that_awaits_what_a_thread_returned_can_be_cancelled_anywhere(backend: Any) -> None:
    async def program(agent: Agent) -> None:
        await agent.prompt("go")

    report = cancel_at_every_step(
        program,
        setup=lambda: Agent(ScriptedModel(call("late", name="Ada"), "Done."), tools=[tool(late)]),
        check=lambda agent: check_transcript(agent.messages),
        backend=backend,
    )
    assert report.points > 5
