"""Agents in an asyncio program that uses nothing but asyncio.

python -m tests.embedding.asyncio_only
"""

import asyncio

import tether
from tether.testing import Pause, ScriptedModel, call, check_transcript


@tether.tool
async def look_up(word: str) -> str:
    """Look a word up."""
    await asyncio.sleep(0)  # any asyncio library will do
    return f"{word}: a rope"


async def main() -> None:
    quick = tether.Agent(ScriptedModel(call("look_up", word="tether"), "A rope."), tools=[look_up])
    slow = tether.Agent(ScriptedModel(["Well,", Pause()], "A rope."), tools=[look_up])

    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(quick.prompt("What is a tether?"))
    print(answer.result().text)

    try:
        async with asyncio.timeout(1):
            async with slow.run("What is a tether?") as run:
                async for event in run:
                    match event:
                        case tether.MessageUpdate(delta=tether.TextDelta(text)):
                            print(text)
    except TimeoutError:
        print("too slow:", repr(slow.messages[-1].text))
    check_transcript(slow.messages)

    task = asyncio.create_task(slow.prompt("In a word?"))
    print((await asyncio.wait_for(task, 5)).text)


if __name__ == "__main__":
    asyncio.run(main())
