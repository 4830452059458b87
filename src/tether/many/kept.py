"""Conversations of many runs in a store: each prompt has one, and is not asked again once that has its answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio

from tether import Agent, AssistantMessage, BusyError, Session, UserMessage
from tether.host.store import Store
from tether.many.answer import Answer, Job
from tether.many.results import Known, digest_of
from tether.messages import Message

__all__ = ("KeptConversations",)

_ANSWERED: Final = "answered"
_FAILED: Final = "failed"
_MARGIN: Final = 0.05
"""Seconds by which clocks may differ."""


class KeptConversations:
    """The conversations of many runs, in a store such as `tether.stores.SqliteConversations("app.db")`.

    Each prompt has a conversation of its own. One that was cut off in the middle is gone on with, as by `Agent.run`
    without a prompt: what the model has said and what calls gave is kept. Where there is nothing to go on with, as the
    prompt is another or the model has said its last without an answer, it is begun anew, on a branch: nothing is lost.

    Args:
        store: where they are.
        name: what their ids begin with: `review` makes `review-0`, `review-1` and so on.
        owner: whose they are.
        on_claimed: called where another process has claimed a conversation, with the error that says who and for how
            long. The conversation is then waited for, once, until that claim runs out: that of a process which was
            killed does, and one that is at work renews it. If None, the error is the answer to the prompt.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        owner: str = "",
        on_claimed: Callable[[BusyError], object] | None = None,
    ) -> None:
        self._store = store
        self._name = name
        self._owner = owner
        self._on_claimed = on_claimed
        self._open: dict[int, Session] = {}
        """The conversations of the prompts that are being answered, by their places."""

    @asynccontextmanager
    async def asking(self, job: Job, agent: Agent) -> AsyncIterator[Known]:
        """Open the conversation of a prompt, and give it to the agent.

        Raises:
            BusyError: another process has claimed it: that is the answer to this prompt.
            Exception: what the store raised.

        Cancellation:
            The conversation is closed, which takes five seconds at most.
        """
        session = await self._opened(f"{self._name}-{job.place}")
        try:
            known = _known(session, job)
            if known == "begun":
                agent.reset([*agent.messages, *session.messages], open_calls=session.open_calls)
            elif known == "new" and session.messages:
                session.fork(None)
            if known != "answered":
                agent.session = self._open[job.place] = session
            yield known
        finally:
            self._open.pop(job.place, None)
            with suppress(TimeoutError):
                await session.aclose()  # noqa: ASYNC102 - shielded there, with a deadline

    async def _opened(self, id: str) -> Session:
        session: Session | None = None
        wait: float | None = None
        try:
            session = await self._store.open(id, self._owner, create=True)
        except BusyError as error:
            if self._on_claimed is None or error.retry_after is None:
                raise
            self._on_claimed(error)
            wait = error.retry_after + _MARGIN
        if wait is not None:
            await anyio.sleep(wait)
            session = await self._store.open(id, self._owner, create=True)
        if session is None:
            raise LookupError(f"the store made no conversation {id}")
        return session

    async def keep(self, answer: Answer) -> None:
        """Note behind the conversation, which the session has kept, that it was answered, or has failed.

        Raises:
            Exception: what the store raised.

        Cancellation:
            At once. Closing the conversation keeps the note.
        """
        session = self._open.get(answer.place)
        if session is not None:
            session.append(_ANSWERED if answer.ok else _FAILED, {})
            await session.flush()


def _known(session: Session, job: Job) -> Known:
    """Say how far the conversation of a prompt has come."""
    messages = session.messages
    first = next((one for one in messages if isinstance(one, UserMessage)), None)
    if first is None or digest_of(Job(job.place, first)) != digest_of(job):
        return "new"
    noted = session.branch[-1].kind
    if noted == _ANSWERED or (noted != _FAILED and _is_end(messages[-1])):
        return "answered"
    return "new" if _is_last_word(messages[-1]) else "begun"


def _is_end(message: Message) -> bool:
    """Say whether a message is the last of a run; results of calls that end one are not known by themselves."""
    return isinstance(message, AssistantMessage) and message.stop_reason == "stop"


def _is_last_word(message: Message) -> bool:
    """Say whether a model has nothing to add to what it has said."""
    return isinstance(message, AssistantMessage) and not (message.incomplete or message.paused)
