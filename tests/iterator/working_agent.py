"""An agent whose tool works until it is cancelled, and a task beside it that must not be touched."""

import anyio
import anyio.lowlevel
from attrs import define, field

from tether import Agent
from tether.testing import ScriptedModel, call

GUARD = 60
"""Seconds."""


@define
class Work:
    """A tool that works until it is cancelled, and takes a moment to clean up."""

    began: anyio.Event = field(factory=anyio.Event)
    cleaned: bool = False

    async def work(self) -> None:
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(5, shield=True):
                await anyio.lowlevel.checkpoint()
                self.cleaned = True


def working() -> tuple[Agent, Work]:
    work = Work()
    return Agent(ScriptedModel(["Hm.", call("work")], "Done."), tools=[work.work]), work


async def bystander(seen: list[str], go: anyio.Event) -> None:
    """A task of the same group, which must not be touched by what becomes of a run."""
    try:
        await go.wait()
        seen.append("went on")
    except BaseException:
        seen.append("disturbed")
        raise
