"""openai-agents: the streamed events of a run over chat completions."""

import agents
import openai
from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner, function_tool

from benchmarks.peers import Peer, Tick

QUIET = RunConfig(tracing_disabled=True)


def agent(url: str, *tools: agents.Tool) -> "Agent[None]":
    client = openai.AsyncOpenAI(api_key="k", base_url=url)
    model = OpenAIChatCompletionsModel(model="m", openai_client=client)
    return Agent(name="a", model=model, tools=list(tools))


async def text(api: str, url: str, tick: Tick) -> None:
    run = Runner.run_streamed(agent(url), "go", run_config=QUIET)
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            tick()


async def turns(api: str, url: str) -> int:
    ran = 0

    @function_tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        nonlocal ran
        ran += 1
        return a + b

    run = Runner.run_streamed(agent(url, add), "go", run_config=QUIET, max_turns=10_000)
    async for _ in run.stream_events():
        pass
    return ran


PEER = Peer("openai-agents", text, turns)
