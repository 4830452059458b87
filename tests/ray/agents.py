"""Agents that the tests have made on workers. Workers import this module."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from tether import Agent, ModelError, ToolContext, model_from_name, tool
from tether.testing import Pause, ScriptedModel, call


@tool
def echo(text: str) -> str:
    """Say it again."""
    return text


@tool
async def wait() -> str:
    """Wait without end."""
    await anyio.sleep_forever()
    return "never"


@tool
def pid() -> str:
    """Say which process this is."""
    return str(os.getpid())


@tool
async def block(seconds: float) -> str:
    """Hold up the event loop, as a tool should not."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for
    return "done"


@tool
async def report(context: ToolContext[Any]) -> str:
    """Report, and say what it is given."""
    await context.update("half way", details={"done": 0.5})
    return f"{context.deps} at depth {context.depth}"


TOOLS = [echo, wait, pid, block, report]


def scripted(*replies: Any, **options: Any) -> Callable[[], Agent]:
    """A function that makes an agent with a script."""

    def make() -> Agent:
        return Agent(ScriptedModel(*replies), **{"tools": TOOLS, **options})

    return make


def scripted_by_turn(*replies: Any) -> Callable[[], Agent]:
    """A function that makes an agent whose replies depend on how many calls were answered."""

    def make() -> Agent:
        return Agent(ScriptedModel(*_on_turn([*replies[:-1]], replies[-1])), tools=TOOLS)

    return make


def counting() -> Agent:
    """An agent that says how many messages it was sent."""
    return Agent(ScriptedModel(*[lambda request: f"{len(request.messages)}"] * 20), system="Count.")


def over_http(url: str) -> Callable[[], Agent]:
    """A function that makes an agent whose model is at an address."""

    def make() -> Agent:
        return Agent(model_from_name("openai-chat:m", base_url=url), tools=TOOLS)

    return make


def with_child(mark: str) -> Callable[[], Agent]:
    """A function that makes an agent whose tool starts a process, in a session of its own, and waits."""

    @tool
    async def child() -> str:
        """Start a process, and wait for it."""
        program = [sys.executable, "-c", "import time; time.sleep(600)", mark]
        process = subprocess.Popen(program, start_new_session=True)  # noqa: ASYNC220 - as tools of others do
        try:
            await anyio.sleep_forever()
        finally:
            process.kill()
            process.wait()  # noqa: ASYNC222
        return "never"

    return lambda: Agent(ScriptedModel(call("child")), tools=[child])


def noting(folder: Path, calls: int) -> Callable[[], Agent]:
    """A function that makes an agent whose tool notes each time that it is begun."""

    @tool
    async def work(place: int) -> str:
        """Note that it was begun, and take a moment."""
        with (folder / str(place)).open("a") as notes:
            notes.write("begun\n")
        await anyio.sleep(0.05)
        return f"done {place}"

    def make() -> Agent:
        replies = [call("work", place=place) for place in range(calls)]
        return Agent(ScriptedModel(*(_on_turn(replies, "all done"))), tools=[work])

    return make


def _on_turn(replies: list[Any], last: str) -> list[Any]:
    """Replies that depend on how many calls were answered: a script that may be begun anywhere."""

    def reply(request: Any) -> Any:
        answered = sum(message.role == "tool" for message in request.messages)
        return replies[answered] if answered < len(replies) else last

    return [reply] * (len(replies) + 1)


def failing() -> Agent:
    """Fail to make one."""
    raise ModelError("no key", kind="authentication", hint="set it")


def slowly() -> Agent:
    """An agent whose reply does not end."""
    return Agent(ScriptedModel(["Well", Pause(seconds=3600), " then"]), tools=TOOLS)
