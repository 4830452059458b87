"""Textual: a run in a worker, into a widget; Escape cancels it, and so does the next question.

python -m tests.embedding.textual_app
"""

import asyncio
import signal
from typing import ClassVar

from tests.embedding.agents import new_agent
from textual import work
from textual.app import App, ComposeResult
from textual.widgets import Input, Log

import tether


class Chat(App[None]):
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar = [("escape", "stop", "Stop")]

    def __init__(self) -> None:
        super().__init__()
        self.agent = new_agent()

    def compose(self) -> ComposeResult:
        yield Log()
        yield Input(placeholder="Ask something")

    def on_mount(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    async def on_unmount(self) -> None:
        self.workers.cancel_all()
        await self.agent.wait_idle()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.input.clear()
        self.ask(message.value)

    @work(exclusive=True)
    async def ask(self, prompt: str) -> None:
        # The worker before this one was cancelled, and may still be cleaning up.
        await self.agent.wait_idle()
        log = self.query_one(Log)
        async with self.agent.run(prompt) as run:
            async for event in run:
                match event:
                    case tether.MessageUpdate(delta=tether.TextDelta(text)):
                        log.write(text)
                    case tether.ToolExecutionUpdate(content=[tether.Text(text)]):
                        log.write(text)

    def action_stop(self) -> None:
        self.workers.cancel_all()


if __name__ == "__main__":
    Chat().run()
