"""Conversations of many runs in a store: each prompt has one, and is not asked again once that has its answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from tether import Agent, AssistantMessage, Session, UserMessage
from tether.host.store import Store
from tether.many.answer import Answer, Job
from tether.many.results import digest_of
from tether.messages import Message

__all__ = ("KeptConversations",)

_ANSWERED: Final = "answered"


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
        self._open: dict[int, Session] = {}
        """The conversations of the prompts that are being answered, by their places."""

    @asynccontextmanager
    async def asking(self, job: Job, agent: Agent) -> AsyncIterator[bool]:
        """Open the conversation of a prompt, and give it to the agent.

        Raises:
            BusyError: another process asks the same: that is the answer to this prompt.
            Exception: what the store raised.

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
                agent.session = self._open[job.place] = session
                yield True
        finally:
            self._open.pop(job.place, None)
            with suppress(TimeoutError):
                await session.aclose()  # noqa: ASYNC102 - shielded there, with a deadline

    async def keep(self, answer: Answer) -> None:
        """Note behind the conversation, which the session has kept, that it was answered.

        Raises:
            Exception: what the store raised.

        Cancellation:
            At once. Closing the conversation keeps the note.
        """
        session = self._open.get(answer.place)
        if session is not None and answer.ok:
            session.append(_ANSWERED, {})
            await session.flush()


def _is_answered(session: Session, job: Job) -> bool:
    match session.messages:
        case (UserMessage() as said, *_, last) if (
            _is_end(last) or session.branch[-1].kind == _ANSWERED
        ):
            return digest_of(Job(job.place, said)) == digest_of(job)
        case _:
            return False


def _is_end(message: Message) -> bool:
    """Say whether a message is the last of a run; results of calls that end one are not known by themselves."""
    return isinstance(message, AssistantMessage) and message.stop_reason == "stop"
