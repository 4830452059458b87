"""The same for plain functions: `prompt`, and `run` as a context manager to loop over.

Each call starts an event loop in a thread of its own and stops it at the end; nothing is kept between
calls, so any number of threads may use this module at once. There is no second implementation: the
functions here wait for those of the agent.

Ctrl-C, in the thread that waits, ends the run as leaving its block would, and is raised when that is done.

Plain functions that an event loop runs in a worker thread (`anyio.to_thread`, `def` endpoints of Starlette and FastAPI,
Gradio's functions, plain tools) may use it as well. The run ends with their caller: its cancellation is seen where the
thread waits for the run, ends the run, and is raised when its tools have cleaned up. The call of a plain tool that is
given up ends when that is done. Such a run has an event loop of its own too. For tools that need what lives in the
caller's, such as a pool of connections, there is `anyio.from_thread.run(agent.prompt, ...)`.

In the event loop's own thread it is refused: there it would stop the event loop.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar, overload

import anyio

from tether.agent import Agent
from tether.blocking._thread_bridge import Backend, backend_of_caller, entered
from tether.blocking.handles import BlockingRun
from tether.errors import NothingToContinueError, UsageError
from tether.limits import Limits
from tether.messages import Prompt
from tether.pending import WhenBusy, check_when_busy
from tether.result import OutputResult, RunResult

__all__ = ("BlockingChat", "chat", "prompt", "run")

T = TypeVar("T")


@overload
def prompt(
    agent: Agent,
    request: Prompt | None = None,
    *,
    deps: Any = None,
    limits: Limits | None = None,
    backend: Backend | None = None,
    when_busy: WhenBusy = "raise",
) -> RunResult: ...
@overload
def prompt(
    agent: Agent,
    request: Prompt | None = None,
    *,
    output: type[T],
    output_attempts: int = 3,
    deps: Any = None,
    limits: Limits | None = None,
    backend: Backend | None = None,
    when_busy: WhenBusy = "raise",
) -> OutputResult[T]: ...
@overload
def prompt(
    agent: Agent,
    request: Prompt | None = None,
    *,
    output: Any,
    output_attempts: int = 3,
    deps: Any = None,
    limits: Limits | None = None,
    backend: Backend | None = None,
    when_busy: WhenBusy = "raise",
) -> OutputResult[Any]: ...
def prompt(
    agent: Agent,
    request: Prompt | None = None,
    *,
    output: Any = None,
    output_attempts: int = 3,
    deps: Any = None,
    limits: Limits | None = None,
    backend: Backend | None = None,
    when_busy: WhenBusy = "raise",
) -> RunResult:
    """Run an agent to the end, and return just the result.

    Args:
        agent: whom to ask.
        request: what to say; None to continue from the conversation as it stands.
        output: the type of the result; see `Agent.run`.
        output_attempts: how often the model may try.
        deps: what the tools need in this run; the agent's own if None.
        limits: what this run may spend; the agent's own if None.
        backend: the event loop to use; if None, the one this thread works for, else asyncio.
        when_busy: whether to wait while a run of the agent is going; see `Agent.run`.

    Returns:
        How the run ended, and what it added to the conversation.

    Raises:
        UsageError: called in the thread of an event loop.
        Exception: what `Agent.prompt` raises.

    Cancellation:
        KeyboardInterrupt ends the run, waits until its tools have cleaned up, and is raised. So does the cancellation
        of the caller, where this is a worker thread of anyio's.
    """
    with run(
        agent,
        request,
        output=output,
        output_attempts=output_attempts,
        deps=deps,
        limits=limits,
        backend=backend,
        when_busy=when_busy,
    ) as going:
        return going.result()


@contextmanager
def run(
    agent: Agent,
    request: Prompt | None = None,
    *,
    output: Any = None,
    output_attempts: int = 3,
    deps: Any = None,
    limits: Limits | None = None,
    backend: Backend | None = None,
    when_busy: WhenBusy = "raise",
    max_buffer_size: float = 64,
) -> Iterator[BlockingRun]:
    """Start a run, tied to the block it is used in.

    Args:
        agent: whom to ask.
        request: what to say; None to continue from the conversation as it stands.
        output: the type of the result; see `Agent.run`.
        output_attempts: how often the model may try.
        deps: what the tools need in this run; the agent's own if None.
        limits: what this run may spend; the agent's own if None.
        backend: the event loop to use; if None, the one this thread works for, else asyncio.
        when_busy: whether to wait while a run of the agent is going; see `Agent.run`.
        max_buffer_size: how many events the run may be ahead of who reads them.

    Returns:
        A context manager that gives the run. Leaving the block ends it, if it still goes, and waits until
        its tools have cleaned up.

    Raises:
        UsageError: called in the thread of an event loop.
        Exception: what `Agent.run` raises.

    Cancellation:
        KeyboardInterrupt ends the run, waits until its tools have cleaned up, and is raised. So does the cancellation
        of the caller, where this is a worker thread of anyio's.
    """
    _refuse_in_event_loop()
    manager = agent.run(
        request,
        output=output,
        output_attempts=output_attempts,
        deps=deps,
        limits=limits,
        max_buffer_size=max_buffer_size,
        when_busy=when_busy,
    )
    with entered(manager, backend=backend or backend_of_caller()) as (going, portal):
        yield BlockingRun(portal, going)


class BlockingChat(Generator[str, Prompt | None, None]):
    """A conversation as a generator to send prompts to. Made by `chat`.

    `send(None)` is not needed first, and does no harm. Iterating it gives the answers to messages that wait in the
    agent's queues, until none waits: `next()` raises StopIteration then. No connection is held between two sends.
    """

    __slots__ = ("_agent", "_backend", "_closed", "_when_busy")

    def __init__(self, agent: Agent, backend: Backend | None, when_busy: WhenBusy) -> None:
        self._agent = agent
        self._backend: Backend | None = backend
        self._when_busy: WhenBusy = when_busy
        self._closed = False

    def send(self, value: Prompt | None, /) -> str:
        """Say something, and return what is answered.

        Args:
            value: what to say; None continues the conversation, if there is something to continue.

        Returns:
            The text of the last reply; "" for None where there is nothing to continue.

        Raises:
            StopIteration: the chat was closed.
            Exception: what `Agent.prompt` raises; the conversation may go on.

        Cancellation:
            KeyboardInterrupt ends the run, and is raised; the conversation stays valid.
        """
        if self._closed:
            raise StopIteration
        try:
            return self._prompt(value)
        except NothingToContinueError:
            return ""

    def __next__(self) -> str:
        """Answer what waits in the agent's queues.

        Raises:
            StopIteration: nothing waits, or the chat was closed.
        """
        if self._closed:
            raise StopIteration
        try:
            return self._prompt(None)
        except NothingToContinueError:
            raise StopIteration from None

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> str:
        """Close the chat and raise, as a generator does that handles nothing."""
        self._closed = True
        if isinstance(val, BaseException):
            raise val.with_traceback(tb)
        raise typ() if isinstance(typ, type) else typ

    def close(self) -> None:
        """Close the chat: the next send raises StopIteration. The agent is not touched."""
        self._closed = True

    def _prompt(self, value: Prompt | None) -> str:
        return prompt(self._agent, value, backend=self._backend, when_busy=self._when_busy).text


def chat(
    agent: Agent, *, backend: Backend | None = None, when_busy: WhenBusy = "raise"
) -> BlockingChat:
    """Make a conversation of an agent's: a generator to send prompts to.

    Args:
        agent: whom to speak to.
        backend: the event loop to use; if None, the one this thread works for, else asyncio.
        when_busy: whether to wait while a run of the agent is going; see `Agent.run`.

    Returns:
        The generator.
    """
    check_when_busy(when_busy)
    return BlockingChat(agent, backend, when_busy)


def _refuse_in_event_loop() -> None:
    """Refuse to block where that would stop an event loop, and say what to do instead."""
    with suppress(RuntimeError):
        anyio.get_current_task()
        if not _in_notebook():
            raise UsageError(
                "an event loop is running in this thread, and would stop: write `await agent.prompt(...)` or "
                "`async with agent.run(...) as run:`; or leave the plain function to a worker thread, by "
                "`await anyio.to_thread.run_sync(function)`"
            )


def _in_notebook() -> bool:
    """A notebook's cells run inside its kernel's event loop, and expect to block it."""
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None
