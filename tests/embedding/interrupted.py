"""An agent at work, waiting for Ctrl-C: it ends the program, and leaves nothing behind.

python -m tests.embedding.interrupted asyncio.run|trio.run|anyio.run reply|tool|thread|command|clean-up
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import trio

import tether
from tether.testing import Pause, Reply, ScriptedModel, call, check_transcript
from tether.toolbox.coding import changing_tools

RUNNERS: dict[str, Callable[[Any], Any]] = {
    "asyncio.run": lambda main: asyncio.run(main()),
    "trio.run": trio.run,
    "anyio.run": anyio.run,
}


@tether.tool
async def tool() -> None:
    """Wait, and say when it is over."""
    try:
        print("ready", flush=True)
        await anyio.sleep_forever()
    finally:
        print("cleaned up", flush=True)


@tether.tool(name="clean-up")
async def clean_up() -> None:
    """Wait, and take a while to stop."""
    try:
        print("ready", flush=True)
        await anyio.sleep_forever()
    finally:
        with anyio.move_on_after(5, shield=True):
            await anyio.sleep(0.05)
            print("cleaned up", flush=True)


@tether.tool
def thread() -> None:
    """Wait in a thread, which nobody can stop."""
    print("ready", flush=True)
    threading.Event().wait(1)


async def main() -> None:
    place = sys.argv[2]
    replies: dict[str, Reply] = {
        "reply": ["Hm", Pause()],
        "command": call("run_command", command="sleep 1000 & echo $$ $!; wait"),
    }
    tools = [tool, clean_up, thread, *changing_tools(".")]
    agent = tether.Agent(ScriptedModel(replies.get(place, call(place))), tools=tools)
    try:
        async with agent.run("Work.") as run:
            async for event in run:
                match event:
                    case tether.MessageUpdate() if place == "reply":
                        print("ready", flush=True)
                    case tether.ToolExecutionUpdate(content=[tether.Text(text)]):
                        print("ready", text.strip(), flush=True)
    finally:
        check_transcript(agent.messages)
        print("valid", agent.messages[-1].text, flush=True)


if __name__ == "__main__":
    RUNNERS[sys.argv[1]](main)
