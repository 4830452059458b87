"""Three agents in a trio nursery: the first to answer wins, the others are cancelled.

python -m tests.embedding.race
"""

import trio

import tether
from tether.testing import Pause, ScriptedModel, check_transcript


async def ask(agent: tether.Agent, question: str, answers: "trio.MemorySendChannel[str]") -> None:
    result = await agent.prompt(question)
    await answers.send(f"{agent.name}: {result.text}")


async def first_answer(agents: list[tether.Agent], question: str) -> str:
    """Ask all, and return what the first says; the others are cancelled."""
    send, receive = trio.open_memory_channel[str](len(agents))
    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(ask, agent, question, send)
        answer = await receive.receive()
        nursery.cancel_scope.cancel()
    return answer


async def main() -> None:
    agents = [
        tether.Agent(ScriptedModel(["Let me think", Pause()]), name="tortoise"),
        tether.Agent(ScriptedModel("42."), name="hare"),
        tether.Agent(ScriptedModel([Pause()]), name="snail"),
    ]
    print(await first_answer(agents, "What is the answer?"))
    for agent in agents:
        check_transcript(agent.messages)
        last = agent.messages[-1]
        print(agent.name, repr(last.text), getattr(last, "stop_reason", ""))


if __name__ == "__main__":
    trio.run(main)
