"""Commands that run in the background: each is a task of the conversation that started it, and ends with that."""

import secrets
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from anyio.abc import TaskStatus
from attrs import define, field, frozen

from tether import ToolContext
from tether.toolbox.kept_output import KeptOutput
from tether.toolbox.supervised import Supervised

__all__ = ("Job", "Jobs")


@define(eq=False)
class Job:
    """A command in the background."""

    id: str
    command: Supervised
    _output: KeptOutput = field(factory=KeptOutput, init=False)
    _news: anyio.Event = field(factory=anyio.Event, init=False)
    _over: anyio.Event = field(factory=anyio.Event, init=False)

    async def follow(self) -> None:
        """Keep what it prints until it is over."""
        try:
            await self.command.follow(self._add)
        finally:
            self._over.set()
            self._news.set()

    async def _add(self, piece: bytes) -> None:
        self._output.add(piece)
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Wait until it has printed what was not taken yet, or is over; for some time at most."""
        with anyio.move_on_after(seconds):
            await self._news.wait()

    async def wait_over(self, seconds: float) -> None:
        """Wait until it is over; for some time at most."""
        with anyio.move_on_after(seconds):
            await self._over.wait()

    async def stop(self) -> None:
        """End it, and wait for that."""
        self.command.stop()
        await self._over.wait()

    def take(self) -> str:
        """What it has printed since the last time, cut in the middle where that is much."""
        if self._news.is_set() and not self._over.is_set():
            self._news = anyio.Event()
        return self._output.take()


@frozen(eq=False)
class Jobs:
    """The commands in the background of those who share a set of tools. Who knows the id of one may use it."""

    _jobs: dict[str, Job] = field(factory=dict, init=False)

    async def start(
        self, context: ToolContext[Any], running: AbstractAsyncContextManager[Supervised]
    ) -> Job:
        """Start a command, and keep it until the conversation is over.

        Args:
            context: that of the call.
            running: what starts the command when it is entered, and ends it when it is left.

        Raises:
            UsageError: the call is not part of a run.
            Exception: the command cannot be started.
        """
        job: Job = await context.start(self._keep, running)
        return job

    async def _keep(  # noqa: ASYNC114 - a name of the linter, for code that opens task groups by hand
        self,
        running: AbstractAsyncContextManager[Supervised],
        *,
        task_status: TaskStatus[Job],
    ) -> None:
        # Random, so that nobody finds the command of another conversation, or takes one for that of an older one.
        job_id = secrets.token_hex(4)
        try:
            async with running as command:
                self._jobs[job_id] = job = Job(job_id, command)
                task_status.started(job)
                await job.follow()
            # What it has printed can be read as long as the conversation goes on.
            await anyio.sleep_forever()
        finally:
            self._jobs.pop(job_id, None)

    def find(self, job_id: str) -> Job:
        """Find a command.

        Raises:
            LookupError: there is none of that id.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise LookupError(
                f"no command runs in the background with the id {job_id!r}: ids come from "
                "run_command with background=true, and end with the conversation"
            )
        return job
