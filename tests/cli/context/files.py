"""Write the files of tests, and make an app that knows them."""

from collections.abc import Sequence
from pathlib import Path

import anyio
from tests.waiting import until_blocked

from tether.cli.assembly import extend, new_app
from tether.cli.conversation import Closed, Conversation, Input, Typed
from tether.cli.extensions import App

__all__ = ("allowed", "app_of", "holding", "refused", "written")


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def allowed(_: Sequence[Path]) -> bool:
    return True


def refused(_: Sequence[Path]) -> bool:
    return False


def app_of(*, is_allowed: bool = True, system: str | None = None) -> App:
    """Make an app in the working folder, whose files a person has allowed."""
    app = new_app(system=system, append_system=None, max_turns=None, session=None)
    extend(app, allowed if is_allowed else refused)
    return app


async def holding(conversation: Conversation, *lines: str) -> None:
    """Hold a conversation in which a person types lines, each when the one before it is answered."""
    send, inputs = anyio.create_memory_object_stream[Input](10)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks, send, inputs:
            tasks.start_soon(conversation.hold, inputs)
            for line in lines:
                await send.send(Typed(line))
                await until_blocked()
            await send.send(Closed())
