"""Programs with threads, processes and sockets, to be cancelled at every one of their steps."""

import json
import os
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from tests.cancellation.programs import Program, State, add, agent, follow
from tests.models.replay import Exchange, events, serving

from tether import Agent, RunResult, ToolContext, blocking, model_from_name, tool
from tether.model import RetryPolicy
from tether.testing import ScriptedModel, call, check_transcript
from tether.toolbox.coding import changing_tools


@tool
def multiply(a: int, b: int) -> int:
    """Multiply, in a thread."""
    return a * b


async def a_thread(state: State) -> None:
    agent(state, [call("multiply", a=2, b=3)], "six", tools=[multiply])
    await follow(state)


async def a_run_started_from_a_thread(state: State) -> None:
    inner = Agent(ScriptedModel([call("add", a=1, b=1), call("multiply", a=2, b=2)], "two"))
    inner.tools = [add, multiply]

    @tool
    def ask() -> str:
        """Ask another agent, from a thread."""
        return anyio.from_thread.run(run_inner).text

    async def run_inner() -> RunResult:
        state.begun.append("inner")
        try:
            return await inner.prompt("?")
        finally:
            # A thread that was given up is not waited for; what it runs in the event loop is.
            state.cleaned.append("inner")

    agent(state, call("ask"), "done", tools=[ask])
    try:
        await follow(state)
    finally:
        assert not inner.state.running
        check_transcript(inner.messages)


async def a_thread_that_reports(state: State) -> None:
    @tool
    def work(context: ToolContext[Any]) -> str:
        """Report, from a thread, more than the channel holds."""
        for number in range(3):
            anyio.from_thread.run(context.update, f"{number}")
        return "reported"

    agent(state, [call("work"), call("work")], "done", tools=[work])
    await follow(state, max_buffer_size=0)


async def a_blocking_run_in_a_thread(state: State) -> None:
    state.complete = False
    agent(state, call("add", a=1, b=2), "done", tools=[add])

    def work() -> None:
        with blocking.run(state.agent, "go") as run:
            state.events.extend(run)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, work)
        for _ in range(20):  # steps beside those of the thread's own event loop
            await anyio.sleep(0.001)


async def a_subprocess(state: State) -> None:
    command = "echo begun; sleep 0.01 & wait; echo done"
    agent(state, call("run_command", command=command), "done", tools=changing_tools(os.curdir))
    await follow(state)


CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]})

END = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


async def over_http(state: State) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(events(CHUNK), events(CHUNK), events(END, "[DONE]"))

    async with serving(handler) as server:
        state.agent = Agent(model_from_name("openai-chat:m", base_url=server.url))
        await follow(state)


async def a_retry_that_waits(state: State) -> None:
    answers = iter([503, 503, 200])

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(events(CHUNK, END, "[DONE]"), status=next(answers))

    async with serving(handler) as server:
        policy = RetryPolicy(attempts=3, wait_initial=0.001)
        model = model_from_name("openai-chat:m", base_url=server.url, retry=policy)
        state.agent = Agent(model)
        await follow(state)


REAL: list[Program] = [
    a_thread,
    a_thread_that_reports,
    a_run_started_from_a_thread,
    a_blocking_run_in_a_thread,
    a_subprocess,
    over_http,
    a_retry_that_waits,
]
"""Those with threads, processes and sockets, whose steps take longer."""
