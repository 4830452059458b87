"""Conversations of many runs in a store: each prompt has one, and is not asked again once that has its answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.to_thread import run_sync

from tether import Agent, AssistantMessage, Session, UserMessage
from tether.host.store import Store
from tether.many.answer import Answer, Job
from tether.many.results import digest_of

__all__ = ("KeptConversations",)

_CLOSING_TIME: Final = 5.0
"""Seconds that a store has to keep the end of a conversation."""


class KeptConversations:
    """The conversations of many runs, in a store such as `tether.stores.SqliteConversations("app.db")`.

    Each prompt has a conversation of its own. One that was cut off in the middle is begun anew, on a branch: nothing of
    what was said is lost.

    Args:
        store: where they are.
        name: what their ids begin with: `review` makes `review-0`, `review-1` and so on.
        owner: whose they are.
    """

    def __init__(self, store: Store, name: str, *, owner: str = "") -> None:
        self._store = store
        self._name = name
        self._owner = owner

    @asynccontextmanager
    async def asking(self, job: Job, agent: Agent) -> AsyncIterator[bool]:
        """Open the conversation of a prompt, and give it to the agent.

        Raises:
            Exception: what the store raised, such as `tether.BusyError` where another process asks the same.

        Cancellation:
            The conversation is closed, which takes five seconds at most.
        """
        session = await self._store.open(f"{self._name}-{job.place}", self._owner, create=True)
        if session is None:
            raise LookupError(f"the store made no conversation {self._name}-{job.place}")
        try:
            if _is_answered(session, job):
                yield False
            else:
                if session.messages:
                    session.fork(None)
                agent.session = session
                yield True
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                await run_sync(session.close, abandon_on_cancel=True)

    async def keep(self, answer: Answer) -> None:
        """Do nothing: the session has kept it."""


def _is_answered(session: Session, job: Job) -> bool:
    match session.messages:
        case (UserMessage() as said, *_, AssistantMessage(stop_reason="stop")):
            return digest_of(Job(job.place, said)) == digest_of(job)
        case _:
            return False
