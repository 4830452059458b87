"""A process does not wait for a thread that was given up."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio
import pytest

from tether import Agent, ToolResultMessage, tool
from tether.advice.approval import approval_by_person
from tether.testing import ScriptedModel, call

GUARD = 60

PROGRAM = """
import asyncio, threading
from tether import Agent, tool
from tether.testing import ScriptedModel, call

@tool(timeout=0.01)
def hang() -> None:
    '''Hang.'''
    threading.Event().wait()

print(asyncio.run(Agent(ScriptedModel(call("hang"), "Gone on."), tools=[hang]).prompt("go")).text)
"""


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_process_ends_while_a_thread_that_was_given_up_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("Gone on.\n", "")


@pytest.mark.parametrize("kind", ["tool", "approval"])
async def test_the_threads_that_call_tools_are_none_that_a_process_waits_for(
    kind: str, release: threading.Event
) -> None:
    threads: list[threading.Thread] = []

    def wait(question: str = "") -> str:
        threads.append(threading.current_thread())
        release.wait()
        return question

    @tool
    def hang() -> None:
        """Hang."""
        wait()

    agent = Agent(ScriptedModel(call("hang", id="hang"), "Gone on."), tools=[hang])
    if kind == "approval":
        agent.around_tool(approval_by_person(ask=wait))
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            while not threads:
                await anyio.sleep(0.001)
            run.cancel_tool("hang")
            assert (await run.result()).text == "Gone on."
    assert threads[0].is_alive()
    assert threads[0].daemon
    [answer] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert answer.outcome == ("interrupted" if kind == "tool" else "skipped")
