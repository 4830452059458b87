"""The usual tutorial's agent: an EventStream of a queue without a bound and a future, and a task that pushes into it.

Written out as its text describes it, over plain httpx and json.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from benchmarks.peers import Peer, Tick
from benchmarks.peers.httpx import TOOLS, chat_calls, chat_round

__all__ = ("PEER", "EventStream")


class EventStream:
    """Pushed into by whoever produces, iterated by whoever consumes; `result` is what the producer ends with."""

    _END = object()

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def push(self, event: Any) -> None:
        self._queue.put_nowait(event)

    def end(self, result: Any = None) -> None:
        if not self._result.done():
            self._result.set_result(result)
        self._queue.put_nowait(self._END)

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Any:
        event = await self._queue.get()
        if event is self._END:
            raise StopAsyncIteration
        return event

    async def result(self) -> Any:
        return await self._result


Tool = Callable[[Any], Awaitable[str]]


def agent_loop(url: str, tool: Tool | None = None) -> tuple[EventStream, "asyncio.Task[None]"]:
    stream = EventStream()
    return stream, asyncio.create_task(run_loop(url, tool, stream))


async def run_loop(url: str, tool: Tool | None, stream: EventStream) -> None:
    messages: list[Any] = [{"role": "user", "content": "go"}]
    stream.push({"type": "agent_start"})
    async with httpx.AsyncClient(verify=False, timeout=600) as client:
        while True:
            stream.push({"type": "turn_start"})
            text, events = await ask(client, url, messages, stream)
            calls = chat_calls(events)
            stream.push({"type": "message_end", "text": text})
            if not calls:
                break
            results = await asyncio.gather(*(run_tool(call, tool, stream) for call in calls))
            messages += chat_round(calls, dict(results))
            stream.push({"type": "turn_end"})
    stream.push({"type": "agent_end"})
    stream.end(messages)


async def ask(
    client: httpx.AsyncClient, url: str, messages: list[Any], stream: EventStream
) -> tuple[str, list[Any]]:
    body = {"model": "m", "messages": messages, "tools": [TOOLS["chat"]], "stream": True}
    text, kept = "", []
    async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            delta = event["choices"][0]["delta"]
            if content := delta.get("content"):
                text += content
                stream.push({"type": "message_update", "delta": content})
            else:
                kept.append(event)
    return text, kept


async def run_tool(call: Any, tool: Tool | None, stream: EventStream) -> tuple[str, str]:
    assert tool is not None
    stream.push({"type": "tool_execution_start", "call": call})
    result = await tool(json.loads(call["arguments"]))
    stream.push({"type": "tool_execution_end", "result": result})
    return call["id"], result


async def text(api: str, url: str, tick: Tick) -> None:
    stream, task = agent_loop(url)
    async for event in stream:
        if event["type"] == "message_update":
            tick()
    await stream.result()
    await task


async def turns(api: str, url: str) -> int:
    ran = 0

    async def add(given: Any) -> str:
        nonlocal ran
        ran += 1
        return str(given["a"] + given["b"])

    stream, task = agent_loop(url, add)
    async for _ in stream:
        pass
    await stream.result()
    await task
    return ran


async def stream(count: int) -> None:
    events = EventStream()

    async def produce() -> None:
        for number in range(count):
            events.push(number)
        events.end(count)

    task = asyncio.create_task(produce())
    async for _ in events:
        pass
    assert await events.result() == count
    await task


PEER = Peer("httpx", text, turns, stream=stream)
