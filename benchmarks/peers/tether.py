"""tether: events of an agent's run."""

import anyio

import tether
from benchmarks.peers import Peer, Tick
from benchmarks.peers.httpx import Silent, all_asked

NAMES = {"chat": "openai-chat:m", "responses": "openai:m", "messages": "anthropic:m"}


def agent(api: str, url: str, *tools: tether.Tool) -> tether.Agent:
    return tether.Agent(
        tether.model_from_name(NAMES[api], base_url=url, api_key="k"), tools=list(tools)
    )


async def text(api: str, url: str, tick: Tick) -> None:
    async with agent(api, url).run("go") as run:
        async for event in run:
            match event:
                case tether.MessageUpdate(tether.TextDelta()):
                    tick()


async def turns(api: str, url: str) -> int:
    ran = 0

    @tether.tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        nonlocal ran
        ran += 1
        return a + b

    async with agent(api, url, add).run("go") as run:
        async for _ in run:
            pass
    return ran


async def idle(runs: int, tick: Tick) -> None:
    asked, waiting = all_asked(runs, tick)
    model = tether.model_from_name(
        "openai-chat:m", base_url="http://x", api_key="k", transport=lambda: Silent(asked)
    )

    async def one() -> None:
        async with tether.Agent(model).run("go") as run:
            async for _ in run:
                pass

    async with anyio.create_task_group() as tasks:
        for _ in range(runs):
            tasks.start_soon(one)
        await waiting.wait()
        tasks.cancel_scope.cancel()


async def stream(count: int) -> None:
    async def produce(sink: tether.stream.EventSink[int]) -> int:
        for number in range(count):
            await sink.send(number)
        return count

    async with tether.open_event_stream(produce, max_buffer_size=64) as events:
        async for _ in events:
            pass
        assert await events.result() == count


PEER = Peer(
    "tether",
    text,
    turns,
    idle,
    stream,
    apis=("chat", "responses", "messages"),
    loops=("asyncio", "uvloop", "trio"),
)
