"""OpenAI's SDK: the stream of its raw events, and no agent."""

from typing import Any

import openai

from benchmarks.peers import Peer, Tick

MESSAGES: Any = [{"role": "user", "content": "go"}]


async def text(api: str, url: str, tick: Tick) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
        if api == "chat":
            chunks = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            async for chunk in chunks:
                if chunk.choices[0].delta.content:
                    tick()
        else:
            events = await client.responses.create(model="m", input="go", stream=True)
            async for event in events:
                if event.type == "response.output_text.delta":
                    tick()


PEER = Peer("openai", text, apis=("chat", "responses"))
