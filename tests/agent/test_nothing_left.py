"""What a run leaves behind when it is over: nothing that only the garbage collector finds, which may come late."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.models._http.test_client import GUARD, chunk, model_at
from tests.models.replay import Exchange, events, serving

from tether import Agent, MessageUpdate, TextDelta, Tool, tool
from tether.testing import Pause, ScriptedModel

CALL = {"index": 0, "id": "c", "function": {"name": "double", "arguments": '{"number": 2}'}}
CALLING = events(chunk(delta={"tool_calls": [CALL]}), chunk(finish_reason="tool_calls"), "[DONE]")
WHOLE = events(chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"), "[DONE]")


@tool
async def double(number: int) -> int:
    """Double a number."""
    await checkpoint()
    return 2 * number


async def answer(exchange: Exchange) -> None:
    asks = b'"tools"' in exchange.body and b'"tool"' not in exchange.body
    await exchange.answer(CALLING if asks else WHOLE)


async def follow(agent: Agent, *, abort: bool = False) -> None:
    async with agent.run("go") as run:
        async for event in run:
            if abort and isinstance(event, MessageUpdate):
                run.abort()


@contextmanager
def collected(found: list[str]) -> Iterator[None]:
    """Note what of ours the garbage collector has to find after the block."""
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
    finally:
        gc.set_debug(0)
        gc.enable()
        found += [repr(type(one)) for one in gc.garbage if is_ours(one)]
        gc.garbage.clear()


def is_ours(one: object) -> bool:
    named = one if callable(one) else type(one)
    return str(getattr(named, "__module__", "")).partition(".")[0] == "tether"


@pytest.mark.parametrize("tools", [(), (double,)])
async def test_a_run_is_gone_when_it_is_over(tools: tuple[Tool, ...]) -> None:
    found: list[str] = []
    async with serving(answer) as server:
        with anyio.fail_after(GUARD):
            await follow(Agent(model_at(server), tools=tools))  # leaves what is made once
            with collected(found):
                await follow(Agent(model_at(server), tools=tools))
    assert found == []


async def test_a_run_is_gone_when_it_was_aborted() -> None:
    found: list[str] = []
    with anyio.fail_after(GUARD):
        await follow(Agent(ScriptedModel("Hello")))  # leaves what is made once
        with collected(found):
            await follow(Agent(ScriptedModel([TextDelta("Hel"), Pause()])), abort=True)
    assert found == []
