"""pi-agent-core, the PyPI port: an agent over its adapter for Anthropic, whose SDK it uses."""

import os
from typing import Any

from pi_agent_core import (
    Agent,
    AgentOptions,
    AgentTool,
    AgentToolResult,
    AgentToolSchema,
    Model,
    TextContent,
    stream_anthropic,
)

from benchmarks.peers import Peer, Tick


def prepare(url: str) -> None:
    os.environ.update(ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY="k")


def agent() -> Agent:
    made = Agent(AgentOptions(stream_fn=stream_anthropic))
    made.set_model(Model(api="anthropic", provider="anthropic", id="m"))
    return made


async def text(api: str, url: str, tick: Tick) -> None:
    own = agent()

    def hear(event: Any) -> None:
        if event.type == "message_update" and event.assistant_message_event.type == "text_delta":
            tick()

    own.subscribe(hear)
    await own.prompt("go")


async def turns(api: str, url: str) -> int:
    ran = 0

    async def add(
        call_id: str, given: Any, cancel_event: Any = None, on_update: Any = None
    ) -> AgentToolResult:
        nonlocal ran
        ran += 1
        return AgentToolResult(content=[TextContent(text=str(given["a"] + given["b"]))])

    own = agent()
    schema = AgentToolSchema(properties={"a": {}, "b": {}}, required=["a", "b"])
    own.set_tools([AgentTool(name="add", description="Add.", parameters=schema, execute=add)])
    await own.prompt("go")
    return ran


PEER = Peer("pi-agent-core", text, turns, apis=("messages",), prepare=prepare)
