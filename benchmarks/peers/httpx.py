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
            results: dict[str, str] = {}
            async with anyio.create_task_group() as tasks:
                for call in calls:
                    tasks.start_soon(run_tool, call, results)
            messages += (chat_round if api == "chat" else messages_round)(calls, results)


async def run_tool(call: Any, results: dict[str, str]) -> None:
    results[call["id"]] = add(call["arguments"])


def add(arguments: str) -> str:
    given = json.loads(arguments)
    return str(given["a"] + given["b"])


def chat_calls(events: list[Any]) -> list[Any]:
    """Put the calls of a reply together: each has an `id`, a `name`, and `arguments` as JSON."""
    calls: dict[int, Any] = {}
    for event in events:
        for told in event["choices"][0]["delta"].get("tool_calls") or ():
            function = told["function"]
            if told["index"] not in calls:
                call = {"id": told["id"], "name": function["name"], "arguments": ""}
                calls[told["index"]] = call
            calls[told["index"]]["arguments"] += function["arguments"]
    return list(calls.values())


def chat_round(calls: list[Any], results: dict[str, str]) -> list[Any]:
    """Write calls and their results as the next request has them."""
    asked = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in calls
    ]
    answered = [
        {"role": "tool", "tool_call_id": id_, "content": content}
        for id_, content in results.items()
    ]
    return [{"role": "assistant", "content": None, "tool_calls": asked}, *answered]


def messages_calls(events: list[Any]) -> list[Any]:
    calls: dict[int, Any] = {}
    for event in events:
        if event["type"] == "content_block_start":
            block = event["content_block"]
            if block["type"] == "tool_use":
                call = {"id": block["id"], "name": block["name"], "arguments": ""}
                calls[event["index"]] = call
        elif event["type"] == "content_block_delta" and event["index"] in calls:
            calls[event["index"]]["arguments"] += event["delta"]["partial_json"]
    return list(calls.values())


def messages_round(calls: list[Any], results: dict[str, str]) -> list[Any]:
    asked = [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["name"],
            "input": json.loads(call["arguments"]),
        }
        for call in calls
    ]
    answered = [
        {"type": "tool_result", "tool_use_id": id_, "content": content}
        for id_, content in results.items()
    ]
    return [{"role": "assistant", "content": asked}, {"role": "user", "content": answered}]


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
