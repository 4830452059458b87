"""Anthropic's SDK: the stream of its raw events, and no agent."""

from typing import Any

import anthropic

from benchmarks.peers import Peer, Tick

MESSAGES: Any = [{"role": "user", "content": "go"}]


async def text(api: str, url: str, tick: Tick) -> None:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=url) as client:
        events = await client.messages.create(
            model="m", max_tokens=9, messages=MESSAGES, stream=True
        )
        async for event in events:
            if event.type == "content_block_delta":
                tick()


PEER = Peer("anthropic", text, apis=("messages",))
