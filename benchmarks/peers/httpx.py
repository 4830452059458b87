"""No library at all: httpx reads lines, json decodes them, and a loop by hand does the rest."""

import json
from typing import Any

import anyio
import httpx

from benchmarks.peers import Peer, Tick

PATHS = {"chat": "chat/completions", "responses": "responses", "messages": "v1/messages"}
TOOLS = {
    "chat": {"type": "function", "function": {"name": "add", "parameters": {}}},
    "messages": {"name": "add", "input_schema": {}},
}


async def text(api: str, url: str, tick: Tick) -> None:
    async with (
        httpx.AsyncClient(verify=False, timeout=600) as client,
        client.stream("POST", f"{url}/{PATHS[api]}", json={"model": "m"}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {") and piece(api, json.loads(line[6:])):
                tick()


def piece(api: str, data: Any) -> Any:
    """Return the text that an event brings, if it brings any."""
    if api == "chat":
        return data["choices"][0]["delta"].get("content")
    if data["type"] in {"response.output_text.delta", "content_block_delta"}:
        delta = data["delta"]
        return delta if api == "responses" else delta.get("text")
    return None


async def turns(api: str, url: str) -> int:
    messages: list[Any] = [{"role": "user", "content": "go"}]
    ran = 0
    async with httpx.AsyncClient(verify=False, timeout=600) as client:
        while True:
            body = {"model": "m", "messages": messages, "tools": [TOOLS[api]], "stream": True}
            async with client.stream("POST", f"{url}/{PATHS[api]}", json=body) as response:
                lines = [line[6:] async for line in response.aiter_lines() if line[:7] == "data: {"]
            events = [json.loads(line) for line in lines]
            calls = chat_calls(events) if api == "chat" else messages_calls(events)
            if not calls:
                return ran
            ran += len(calls)
            messages += (chat_round if api == "chat" else messages_round)(calls)


def chat_calls(events: list[Any]) -> list[Any]:
    deltas = [event["choices"][0]["delta"] for event in events]
    return [call for delta in deltas for call in delta.get("tool_calls") or ()]


def chat_round(calls: list[Any]) -> list[Any]:
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": add(call["function"]["arguments"])}
        for call in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


def messages_calls(events: list[Any]) -> list[Any]:
    blocks: dict[int, Any] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            blocks[event["index"]]["json"] += event["delta"].get("partial_json", "")
    return [block for block in blocks.values() if block["type"] == "tool_use"]


def messages_round(calls: list[Any]) -> list[Any]:
    uses, results = [], []
    for call in calls:
        about = {"type": "tool_use", "id": call["id"], "name": call["name"]}
        uses.append({**about, "input": json.loads(call["json"])})
        content = add(call["json"])
        results.append({"type": "tool_result", "tool_use_id": call["id"], "content": content})
    return [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]


def add(arguments: str) -> str:
    given = json.loads(arguments)
    return str(given["a"] + given["b"])


class Silent(httpx.AsyncBaseTransport):
    """Takes requests, and never answers."""

    def __init__(self, asked: Tick) -> None:
        self._asked = asked

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._asked()
        await anyio.sleep_forever()
        raise AssertionError


def all_asked(runs: int, tick: Tick) -> tuple[Tick, anyio.Event]:
    """Make what each request calls when it waits, and an event for when all have."""
    waiting = anyio.Event()
    left = runs

    def asked() -> None:
        nonlocal left
        left -= 1
        if not left:
            tick()
            waiting.set()

    return asked, waiting


async def idle(runs: int, tick: Tick) -> None:
    asked, waiting = all_asked(runs, tick)

    async def one() -> None:
        async with (
            httpx.AsyncClient(transport=Silent(asked), timeout=None) as client,
            client.stream("POST", "http://x/chat/completions", json={"model": "m"}),
        ):
            pass

    async with anyio.create_task_group() as tasks:
        for _ in range(runs):
            tasks.start_soon(one)
        await waiting.wait()
        tasks.cancel_scope.cancel()


PEER = Peer(
    "httpx",
    text,
    turns,
    idle,
    apis=("chat", "responses", "messages"),
    loops=("asyncio", "uvloop", "trio"),
)
