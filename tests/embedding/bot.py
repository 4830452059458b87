"""A bot: a task group, an agent for each chat, and a run that its user can cancel.

python -m tests.embedding.bot asyncio|trio
"""

import signal
import sys
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup
from attrs import define, field
from tests.embedding.agents import new_agent

import tether
from tether.embedding.stop import until_signal

Say = Callable[[str, str], Awaitable[None]]
"""Sends text to a chat, as the client of some network does."""


@define
class Chat:
    agent: tether.Agent = field(factory=new_agent)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)


@define
class Bot:
    tasks: TaskGroup
    say: Say
    chats: dict[str, Chat] = field(factory=dict)

    def hear(self, name: str, text: str) -> None:
        """Take what was said in a chat: /stop, or something for its agent."""
        chat = self.chats.setdefault(name, Chat())
        if text == "/stop":
            chat.scope.cancel()
        elif chat.agent.state.running:
            chat.agent.steer(text)
        else:
            chat.scope = anyio.CancelScope()
            self.tasks.start_soon(self.answer, name, chat, text)

    async def answer(self, name: str, chat: Chat, text: str) -> None:
        with chat.scope:
            try:
                result = await chat.agent.prompt(text, when_busy="wait")
                await self.say(name, result.text)
            except tether.ModelError as error:
                await self.say(name, f"Sorry: {error}")
        if chat.scope.cancelled_caught:
            await self.say(name, "Stopped.")


async def main() -> None:
    async def say(name: str, text: str) -> None:
        print(f"{name}: {text}", flush=True)

    async with until_signal(signal.SIGTERM), anyio.create_task_group() as tasks:
        bot = Bot(tasks, say)
        while True:
            await anyio.wait_readable(sys.stdin)
            if not (line := sys.stdin.readline()):
                break
            name, _, text = line.strip().partition(" ")
            bot.hear(name, text)


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1])
