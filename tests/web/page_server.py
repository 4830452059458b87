"""A server with the page, in a process of its own: `python -m tests.web.page_server PORT BACKEND FOLDER`."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from hypercorn.config import Config
from tests.web.page_agent import make_agent

from tether import Commands, UserMessage, web
from tether.host import Conversation

__all__ = ()


def commands() -> Commands:
    """Make commands that messages may begin with."""
    made = Commands(Conversation)

    @made.command(raw=True, hint="WHAT [HOW]")
    def echo(words: str = "") -> UserMessage:
        """Say it again."""
        return UserMessage(f"echo of {words}")

    @made.command("echo:twice", raw=True)
    def twice(words: str = "") -> UserMessage:
        """Say it twice."""
        return UserMessage(f"{words} {words}")

    @made.command()
    def length(talk: Conversation) -> str:
        """Say how long the conversation is."""
        return f"{len(talk.agent.messages)} messages,\n  and that is all"

    return made


async def serve(port: int, backend: str, folder: str) -> None:
    """Serve, until the process is killed."""
    if backend == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    app: Any = web.app(
        lambda talk: make_agent(talk.approve),
        store=folder,
        model="scripted-large",
        record=Path(folder) / "recordings",
        commands=commands(),
    )
    await serve(app, config)


if __name__ == "__main__":
    _, port, backend, folder = sys.argv
    anyio.run(partial(serve, int(port), backend, folder), backend=backend)
