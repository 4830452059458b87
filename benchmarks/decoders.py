"""Each decoder against its provider's SDK, which accumulates the same stream in the same run.

Both read a reply of many small events from memory, through httpx and asyncio; what is counted is the CPU time of the
process for each event. The SDKs are those of the extra `bench`; one that is not installed is left out.

    python -m benchmarks.decoders [EVENTS]
"""

import asyncio
import gc
import importlib.metadata
import importlib.util
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from attrs import frozen

from benchmarks.replies import APIS, words
from tether import ModelRequest, UserMessage, model_from_name
from tether.deltas import PartialReply

REPETITIONS = 5
REQUEST = ModelRequest(messages=[UserMessage("go")])


@frozen
class Case:
    """A wire API: a stream of it, and how its provider's SDK reads that."""

    model: str
    package: str
    distribution: str
    events: Callable[[int], Sequence[bytes]]
    """A number, to a reply with that many pieces of text."""
    sdk: Callable[[Any], Awaitable[str]]
    """Reads a reply, and returns its text."""


async def chat_sdk(client: Any) -> str:
    import openai

    sdk = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=client)
    messages: Any = [{"role": "user", "content": "go"}]
    async with sdk.chat.completions.stream(model="m", messages=messages) as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_completion()).choices[0].message.content or ""


async def responses_sdk(client: Any) -> str:
    import openai

    sdk = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=client)
    async with sdk.responses.stream(model="m", input="go") as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_response()).output_text


async def anthropic_sdk(client: Any) -> str:
    import anthropic

    sdk = anthropic.AsyncAnthropic(api_key="k", base_url="http://x", http_client=client)
    messages: Any = [{"role": "user", "content": "go"}]
    async with sdk.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        async for _ in stream:
            pass
        return await stream.get_final_text()


async def google_sdk(client: Any) -> str:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(base_url="http://x", httpx_async_client=client)
    sdk = genai.Client(api_key="k", http_options=options)
    # This SDK has no accumulator: whoever uses it puts the pieces together.
    stream = await sdk.aio.models.generate_content_stream(model="m", contents="go")
    return "".join([chunk.text or "" async for chunk in stream])


CASES = {
    "openai-chat": Case("openai-chat:m", "openai", "openai", APIS["chat"].text, chat_sdk),
    "openai-responses": Case("openai:m", "openai", "openai", APIS["responses"].text, responses_sdk),
    "anthropic-messages": Case(
        "anthropic:m", "anthropic", "anthropic", APIS["messages"].text, anthropic_sdk
    ),
    "google-generate": Case(
        "google:m", "google.genai", "google-genai", APIS["google"].text, google_sdk
    ),
}


def transport(body: bytes, http: Any = httpx) -> Any:
    """Answer every request with the same stream, in pieces as a socket would give them."""
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]

    async def stream() -> Any:
        for piece in pieces:
            yield piece

    headers = {"content-type": "text/event-stream"}
    return http.MockTransport(lambda _: http.Response(200, headers=headers, content=stream()))


async def ours(api: Case, body: bytes) -> str:
    model = model_from_name(
        api.model, base_url="http://x", api_key="k", transport=lambda: transport(body)
    )
    partial = PartialReply()
    async with model.stream(REQUEST) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    return partial.complete.text


async def theirs(api: Case, body: bytes) -> str:
    # Some SDKs have moved to the successor of httpx, and take no client of the other.
    wanted = importlib.metadata.requires(api.distribution) or ()
    successor = any(re.match(r"httpx2\b", one) for one in wanted)
    http: Any = importlib.import_module("httpx2" if successor else "httpx")
    async with http.AsyncClient(transport=transport(body, http)) as client:
        return await api.sdk(client)


def cost(program: Callable[[Case, bytes], Any], api: Case, count: int) -> float:
    """Return the microseconds of CPU for each event."""
    body = b"".join(api.events(count))
    gc.collect()
    start = time.process_time()
    text = asyncio.run(program(api, body))
    took = time.process_time() - start
    assert text == "".join(words(count))
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
    for name, api in CASES.items():
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
