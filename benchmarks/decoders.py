"""Each decoder beside its vendor's SDK, which accumulates the same stream in the same run.

Both read a reply of many small events from memory, through httpx and asyncio; what is counted is the CPU time of the
process for each event. The SDKs are those of the extra `bench`; one that is not installed is left out.

    python benchmarks/decoders.py [EVENTS]
"""

import asyncio
import gc
import importlib.metadata
import importlib.util
import json
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from attrs import frozen

from tether import ModelRequest, PartialReply, UserMessage, model_from_name

REPETITIONS = 5
WORD = "word "
REQUEST = ModelRequest(messages=[UserMessage("go")])


@frozen
class Api:
    """A wire API: a stream of it, and how its vendor's SDK reads that."""

    model: str
    package: str
    distribution: str
    body: Callable[[int], bytes]
    """A number of events, to a body with that many pieces of text."""
    sdk: Callable[[Any], Awaitable[str]]
    """Reads a reply, and returns its text."""


def events(*data: Any, named: bool = False) -> bytes:
    """Write server-sent events."""
    lines = []
    for item in data:
        name = f"event: {item['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(item)}\n\n")
    return "".join(lines).encode()


# Chat completions.


def chat_body(count: int) -> bytes:
    def chunk(delta: Any, reason: str | None = None) -> Any:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        about = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return {**about, "choices": [choice]}

    first = chunk({"role": "assistant", "content": ""})
    return events(first, *[chunk({"content": WORD})] * count, chunk({}, "stop")) + (
        b"data: [DONE]\n\n"
    )


async def chat_sdk(client: Any) -> str:
    import openai

    sdk = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=client)
    messages: Any = [{"role": "user", "content": "go"}]
    async with sdk.chat.completions.stream(model="m", messages=messages) as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_completion()).choices[0].message.content or ""


# Responses.


def responses_body(count: int) -> bytes:
    part = {"type": "output_text", "text": WORD * count, "annotations": []}
    item = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    response = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", **at, "delta": WORD, "logprobs": []}] * count
    data: list[Any] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *deltas,
        {"type": "response.output_text.done", **at, "text": WORD * count, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "content": [part]},
        },
        {
            "type": "response.completed",
            "response": {**response, "output": [{**item, "content": [part]}]},
        },
    ]
    return events(*({**one, "sequence_number": n} for n, one in enumerate(data)), named=True)


async def responses_sdk(client: Any) -> str:
    import openai

    sdk = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=client)
    async with sdk.responses.stream(model="m", input="go") as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_response()).output_text


# Anthropic.


def anthropic_body(count: int) -> bytes:
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    block = {"type": "text", "text": ""}
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": WORD},
    }
    return events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *[delta] * count,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": count},
        },
        {"type": "message_stop"},
        named=True,
    )


async def anthropic_sdk(client: Any) -> str:
    import anthropic

    sdk = anthropic.AsyncAnthropic(api_key="k", base_url="http://x", http_client=client)
    messages: Any = [{"role": "user", "content": "go"}]
    async with sdk.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        async for _ in stream:
            pass
        return await stream.get_final_text()


# Google.


def google_body(count: int) -> bytes:
    def chunk(text: str, **more: Any) -> Any:
        content = {"role": "model", "parts": [{"text": text}]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
        about = {"modelVersion": "m", "responseId": "r", "usageMetadata": usage}
        return {"candidates": [{"content": content, "index": 0, **more}], **about}

    return events(*[chunk(WORD)] * count, chunk("", finishReason="STOP"))


async def google_sdk(client: Any) -> str:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url="http://x", httpx_async_client=client)
    sdk = genai.Client(api_key="k", http_options=options)
    # This SDK has no accumulator: whoever uses it puts the pieces together.
    stream = await sdk.aio.models.generate_content_stream(model="m", contents="go")
    return "".join([chunk.text or "" async for chunk in stream])


APIS = {
    "openai-chat": Api("openai-chat:m", "openai", "openai", chat_body, chat_sdk),
    "openai-responses": Api("openai:m", "openai", "openai", responses_body, responses_sdk),
    "anthropic-messages": Api(
        "anthropic:m", "anthropic", "anthropic", anthropic_body, anthropic_sdk
    ),
    "google-generate": Api("google:m", "google.genai", "google-genai", google_body, google_sdk),
}


def transport(body: bytes, http: Any = httpx) -> Any:
    """Answer every request with the same stream, in pieces as a socket would give them."""
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]

    async def stream() -> Any:
        for piece in pieces:
            yield piece

    headers = {"content-type": "text/event-stream"}
    return http.MockTransport(lambda _: http.Response(200, headers=headers, content=stream()))


async def ours(api: Api, body: bytes) -> str:
    model = model_from_name(
        api.model, base_url="http://x", api_key="k", transport=lambda: transport(body)
    )
    partial = PartialReply()
    async with model.stream(REQUEST) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    return partial.complete.text


async def theirs(api: Api, body: bytes) -> str:
    # Some SDKs have moved to the successor of httpx, and take no client of the other.
    wanted = importlib.metadata.requires(api.distribution) or ()
    successor = any(re.match(r"httpx2\b", one) for one in wanted)
    http: Any = importlib.import_module("httpx2" if successor else "httpx")
    async with http.AsyncClient(transport=transport(body, http)) as client:
        return await api.sdk(client)


def cost(program: Callable[[Api, bytes], Any], api: Api, count: int) -> float:
    """Return the microseconds of CPU for each event."""
    body = api.body(count)
    gc.collect()
    start = time.process_time()
    text = asyncio.run(program(api, body))
    took = time.process_time() - start
    assert text == WORD * count
    return took / count * 1e6


def installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def shown(name: str, figures: Sequence[float | None]) -> str:
    columns = ("-" if figure is None else f"{figure:.2f}" for figure in figures)
    return f"{name:22}" + "".join(f"{column:>12}" for column in columns)


def main(count: int = 5000) -> None:
    print(f"{'us per event':22}{'tether':>12}{'SDK':>12}{'ratio':>12}")
    for name, api in APIS.items():
        programs = [ours, theirs] if installed(api.package) else [ours]
        seen: dict[Any, list[float]] = {program: [] for program in programs}
        for program in programs:
            cost(program, api, 100)  # what is imported and made once
        for _ in range(REPETITIONS):
            for program in programs:
                seen[program].append(cost(program, api, count))
        own, *sdk = (statistics.median(figures) for figures in seen.values())
        if not sdk:
            print(f"{shown(name, [own, None, None])}   {api.package} is not installed")
            continue
        print(shown(name, [own, sdk[0], own / sdk[0]]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
