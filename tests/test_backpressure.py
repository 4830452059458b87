"""A consumer that stops reading stops the server: nothing in between grows."""

import json
from typing import Any

import anyio
import pytest
from tests.models.replay import Exchange, events, serving
from tests.waiting import until_blocked

from tether import Agent, MessageUpdate, ToolContext, ToolExecutionUpdate, model_from_name, tool
from tether.testing import ScriptedModel, call

WORDS = "word " * 200
CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"content": WORDS}, "finish_reason": None}]})
PIECE = events(*[CHUNK] * 50)
TOTAL = 200 * 1024 * 1024


async def test_the_bytes_a_server_can_write_stop_growing() -> None:
    """What is in flight is what the kernel's buffers hold, however long the reply is."""
    written = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal written
        await exchange.start()
        while written < TOTAL:
            await exchange.send(PIECE)
            written += len(PIECE)

    async def settled() -> int:
        before = -1
        while before != written:
            before = written
            for _ in range(10):
                await anyio.sleep(0.01)
        return before

    async with serving(handler) as server:
        agent = Agent(model_from_name("openai-chat:m", base_url=server.url))
        with anyio.fail_after(60):
            async with agent.run("go", max_buffer_size=8) as run:
                seen = 0
                async for event in run:
                    seen += isinstance(event, MessageUpdate)
                    if seen == 5:
                        break
                first = await settled()
                assert first < TOTAL / 10
                assert await settled() == first
                assert run.statistics().current_buffer_used <= 8


@pytest.mark.parametrize("size", [0, 1, 8])
async def test_a_tool_that_floods_its_updates_is_held_up(size: int) -> None:
    sent = 0

    @tool
    async def flood(context: ToolContext[Any]) -> str:
        """Report without end."""
        nonlocal sent
        while True:
            await context.update("more")
            sent += 1

    agent = Agent(ScriptedModel(call("flood")), tools=[flood])
    with anyio.fail_after(60):
        async with agent.run("go", max_buffer_size=size) as run:
            taken = 0
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    taken += 1
                    await until_blocked()
                    assert sent <= taken + size + 1
                    if taken == 20:
                        break
