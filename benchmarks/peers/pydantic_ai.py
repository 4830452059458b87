"""pydantic-ai: an agent's nodes and the events of its replies."""

import pydantic_ai
from pydantic_ai import Agent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

from benchmarks.peers import Peer, Tick


def agent(url: str) -> "Agent[None, str]":
    provider = OpenAIProvider(base_url=url, api_key="k")
    return Agent(OpenAIChatModel("m", provider=provider))


async def text(api: str, url: str, tick: Tick) -> None:
    own = agent(url)
    async with own.iter("go") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        match event:
                            case PartDeltaEvent(delta=TextPartDelta()):
                                tick()
                            case PartStartEvent(part=TextPart(content=content)) if content:
                                tick()


async def turns(api: str, url: str) -> int:
    ran = 0
    own = agent(url)

    @own.tool_plain
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        nonlocal ran
        ran += 1
        return a + b

    async with own.iter("go", usage_limits=UsageLimits(request_limit=None)) as run:
        async for node in run:
            if Agent.is_model_request_node(node) or Agent.is_call_tools_node(node):
                async with node.stream(run.ctx) as stream:
                    async for _ in stream:
                        pass
    return ran


assert pydantic_ai
PEER = Peer("pydantic-ai-slim", text, turns)
