"""A file of answers, a line each. Prompts that it has answers to are not asked again."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import anyio
from anyio.to_thread import run_sync

from tether import Agent, TetherError
from tether.many.answer import Answer, Job
from tether.messages import as_message
from tether.serialize import to_builtins

__all__ = ("Known", "NoResults", "Results", "ResultsFile", "described", "digest_of")


Known: TypeAlias = Literal["new", "begun", "answered"]
"""What is known of a prompt."""


class Results(Protocol):
    """What knows which prompts have been answered, and keeps further answers."""

    def asking(self, job: Job, agent: Agent) -> AbstractAsyncContextManager[Known]:
        """Make ready for a prompt, for the length of a block.

        Returns:
            A context manager that gives what is known of the prompt. One that is `answered` is not asked; where it is
            `begun`, the agent has its conversation so far, and goes on with that.
        """
        ...

    async def keep(self, answer: Answer) -> None:
        """Keep an answer, before it is announced; called within the block."""
        ...


class NoResults:
    """Nothing was answered before, and nothing is kept."""

    @asynccontextmanager
    async def asking(self, job: Job, agent: Agent) -> AsyncIterator[Known]:
        """Have every prompt asked."""
        del job, agent
        yield "new"

    async def keep(self, answer: Answer) -> None:
        """Do nothing."""


class ResultsFile:
    """Answers in a file, an object in JSON a line: `place`, `digest` of the prompt, `ok`, `text` and more.

    A prompt that was answered, and is the same still, is not asked again. One that has failed is. A line that a crash
    left half written is passed over.

    Args:
        path: the file, made where there is none, for its owner alone.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._answered: dict[int, str] = {}
        self._turns = anyio.Lock()
        self._is_torn = False
        if self._path.exists():
            self._read(self._path.read_bytes())

    @asynccontextmanager
    async def asking(self, job: Job, agent: Agent) -> AsyncIterator[Known]:
        """Say whether the prompt was answered."""
        del agent
        yield "answered" if self._answered.get(job.place) == digest_of(job) else "new"

    async def keep(self, answer: Answer) -> None:
        """Append an answer.

        Raises:
            OSError: it cannot be written.

        Cancellation:
            While it waits for its turn. A line that is being written is written.
        """
        line = json.dumps(described(answer), ensure_ascii=False, default=str).encode() + b"\n"
        async with self._turns:
            await run_sync(partial(self._append, line))
        if answer.ok:
            self._answered[answer.place] = digest_of(answer.job)

    def _read(self, content: bytes) -> None:
        self._is_torn = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            try:
                match json.loads(line):
                    case {"place": int(place), "digest": str(digest), "ok": True}:
                        self._answered[place] = digest
                    case _:
                        pass
            except ValueError:
                pass

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"\n" + line if self._is_torn else line)
        self._is_torn = False


def digest_of(job: Job) -> str:
    """Make a short name for what a prompt says."""
    try:
        said: Any = to_builtins(as_message(job.prompt))
    except (TypeError, ValueError, OSError, TetherError):
        return ""  # the run says what is wrong with it
    content = json.dumps(said.get("content", said), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def described(answer: Answer) -> dict[str, Any]:
    """Say in JSON what came of a prompt."""
    about: dict[str, Any] = {
        "place": answer.place,
        "digest": digest_of(answer.job),
        "prompt": answer.job.prompt if isinstance(answer.job.prompt, str) else None,
        "ok": answer.ok,
        "text": answer.text,
    }
    if answer.error is not None:
        about["error"] = f"{type(answer.error).__name__}: {answer.error}"
    if (result := answer.result) is not None:
        about |= {
            "stop_reason": result.stop_reason,
            "limit": result.limit,
            "output": result.output,
            "usage": to_builtins(result.usage),
            "cost": result.cost,
        }
    return {name: value for name, value in about.items() if value is not None}
