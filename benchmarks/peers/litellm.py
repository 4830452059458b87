"""litellm: completions of any provider in OpenAI's form, and no agent; the loop is by hand."""

import os
from typing import Any

from benchmarks.peers import Peer, Tick
from benchmarks.peers.httpx import TOOLS, add

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would ask a server for prices

import litellm

litellm.suppress_debug_info = True


async def text(api: str, url: str, tick: Tick) -> None:
    chunks: Any = await litellm.acompletion(
        "openai/m",
        [{"role": "user", "content": "go"}],
        api_base=url,
        api_key="k",
        stream=True,
        timeout=600,
    )
    async for chunk in chunks:
        if chunk.choices[0].delta.content:
            tick()


async def turns(api: str, url: str) -> int:
    messages: list[Any] = [{"role": "user", "content": "go"}]
    ran = 0
    while True:
        chunks: Any = await litellm.acompletion(
            "openai/m",
            messages,
            api_base=url,
            api_key="k",
            stream=True,
            tools=[TOOLS["chat"]],
            timeout=600,
        )
        kept = [chunk async for chunk in chunks]
        whole: Any = litellm.stream_chunk_builder(kept, messages=messages)
        message = whole.choices[0].message
        if not message.tool_calls:
            return ran
        messages.append(message.model_dump())
        for call in message.tool_calls:
            ran += 1
            result = add(call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


PEER = Peer("litellm", text, turns)
