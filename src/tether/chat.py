"""A conversation as an async generator: send what you say, get what is answered.

    chat = agent.chat()
    while True:
        print(await chat.asend(input("> ")))

Between two sends nothing is open: no task group, no cancel scope, no connection. So a chat can be
closed, dropped or cancelled anywhere. A send that is cancelled leaves the conversation valid; the
next one goes on from there.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import overload

from tether.errors import NothingToContinueError
from tether.messages import Prompt
from tether.result import RunResult
from tether.run import Run

__all__ = ("Chat",)


class Chat(AsyncGenerator[str, Prompt | None]):
    """The generator. Made by `Agent.chat`; several chats of one agent share its conversation.

    `async for` gives the answers to messages that wait in the agent's queues, until none waits.

    Args:
        prompt: runs the agent to the end.
        run: starts a run.
    """

    __slots__ = ("_closed", "_prompt", "_run")

    def __init__(
        self,
        prompt: Callable[[Prompt | None], Awaitable[RunResult]],
        run: Callable[[Prompt | None], AbstractAsyncContextManager[Run]],
    ) -> None:
        self._prompt = prompt
        self._run = run
        self._closed = False

    async def asend(self, value: Prompt | None) -> str:
        """Say something, and return what is answered.

        Args:
            value: what to say; None continues the conversation, if there is something to continue.

        Returns:
            The text of the last reply; "" for None where there is nothing to continue, so that a chat
            may be primed like any generator, and need not be.

        Raises:
            StopAsyncIteration: the chat was closed.
            AgentBusyError: a run of the agent is going already.
            ModelError: the model failed; the conversation may go on.

        Cancellation:
            As in `Agent.prompt`; the conversation stays valid.
        """
        if self._closed:
            raise StopAsyncIteration
        try:
            return (await self._prompt(value)).text
        except NothingToContinueError:
            return ""

    async def __anext__(self) -> str:
        """Answer what waits in the agent's queues.

        Raises:
            StopAsyncIteration: nothing waits, or the chat was closed.
        """
        if self._closed:
            raise StopAsyncIteration
        try:
            return (await self._prompt(None)).text
        except NothingToContinueError:
            raise StopAsyncIteration from None

    @overload
    async def athrow(
        self,
        typ: type[BaseException],
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> str: ...
    @overload
    async def athrow(
        self, typ: BaseException, val: None = None, tb: TracebackType | None = None, /
    ) -> str: ...
    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> str:
        """Close the chat and raise, as a generator does that handles nothing."""
        self._closed = True
        error = typ if isinstance(typ, BaseException) else val
        if not isinstance(error, BaseException):
            error = typ() if isinstance(typ, type) else typ
        raise error.with_traceback(tb)

    async def aclose(self) -> None:
        """Close the chat: the next send raises StopAsyncIteration. The agent is not touched."""
        self._closed = True

    def events(self, value: Prompt | None = None) -> AbstractAsyncContextManager[Run]:
        """Say something, and follow the run instead of waiting for its answer; see `Agent.run`."""
        return self._run(value)
