"""The host: it owns the task group that conversations live in."""

import logging
import reprlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint
from attrs import define, field, frozen

from tether import Agent, Message, Session, UsageError
from tether.hooks import call_maybe_async
from tether.host.conversation import Conversation
from tether.host.errors import EndedError, LimitReachedError, NotFoundError
from tether.host.log import Log
from tether.host.prices import Prices
from tether.host.recordings import Recordings, recorded
from tether.host.reopening import adopt, announced
from tether.host.runs import Runs
from tether.host.store import ConversationInfo, Store
from tether.host.viewers import Ended, Feed
from tether.transcript import repaired

__all__ = ("Host", "HostSettings", "MakeAgent")

MakeAgent: TypeAlias = Callable[[Conversation], Agent | Awaitable[Agent]]
"""Makes the agent of a conversation; plain or async."""

_LONGEST_NAME: Final = 200
_log = logging.getLogger("tether")
_Key: TypeAlias = tuple[str, str]


@frozen(kw_only=True)
class HostSettings:
    """What a host was opened with; see `open`."""

    make_agent: MakeAgent
    store: Store | None
    grace: float
    """Seconds that a run goes on while nobody follows it."""
    max_conversations: int
    max_runs: int
    max_log_bytes: int
    rest_after: float
    recordings: Recordings | None = None


@define(eq=False)
class _Place:
    """The place of a conversation in a host: from when it is asked for until its task is over."""

    feed: Feed | None = None
    conversation: Conversation | None = None
    """None while it is being opened, or deleted."""
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    changed: anyio.Event = field(factory=anyio.Event)
    """Set when it is opened, or could not be; then another, which is set when it is gone."""

    @property
    def held(self) -> Conversation | None:
        """The conversation, while it can be used."""
        talk = self.conversation
        return talk if talk is not None and talk.ended is None else None

    def end(self, why: Ended) -> None:
        """Let go of it."""
        if self.feed is not None:
            self.feed.end(why)
        self.scope.cancel()

    def change(self) -> None:
        """Let all who wait for it look again."""
        self.changed.set()
        self.changed = anyio.Event()


class Host:
    """Holds conversations. Made by `tether.host.open`, to be used in its block.

    Args:
        settings: what it was opened with.
        tasks: the task group that the conversations live in.
    """

    def __init__(self, settings: HostSettings, tasks: TaskGroup) -> None:
        self._settings = settings
        self._tasks = tasks
        # By owner and id; the one that was asked for last stands last.
        self._places: dict[_Key, _Place] = {}
        self._prices = Prices()
        self._closed = False

    @property
    def held(self) -> Sequence[Conversation]:
        """The conversations that it holds, those of all owners."""
        return [talk for place in self._places.values() if (talk := place.held) is not None]

    @property
    def running(self) -> int:
        """How many runs are going."""
        return sum(talk.state != "idle" for talk in self.held)

    @property
    def recordings(self) -> Recordings | None:
        """Where the runs are recorded, if they are."""
        return self._settings.recordings

    async def conversation(
        self, id: str | None = None, *, owner: str = "", create: bool = True
    ) -> Conversation:
        """Get a conversation: the one that is held, the one that was kept, or a new one.

        Args:
            id: its name, among those of its owner; a new one if None.
            owner: whose it is. Each owner has ids of its own: nobody meets the conversation of another.
            create: whether it is made where there is none.

        Returns:
            The conversation.

        Raises:
            NotFoundError: there is none, and it is not to be made.
            LimitReachedError: as many conversations as may be are held, and none of them is at rest and kept.
            UsageError: the id or the owner cannot be, `make_agent` made no new agent, or the host was closed.
            Exception: what `make_agent`, the store or a hook at `agent_opened` raised.

        Cancellation:
            While it is being opened; nothing of it is left then.
        """
        key = _key(owner, uuid.uuid4().hex if id is None else id)
        while (place := self._places.get(key)) is not None:
            if (talk := place.held) is None:
                await place.changed.wait()
                continue
            self._places[key] = self._places.pop(key)
            await checkpoint()
            if talk.ended is None:  # else it was let go of meanwhile
                return talk
        return await self._open(key, create=create)

    async def conversations(
        self, *, owner: str = "", search: str = "", limit: int = 50, before: str | None = None
    ) -> list[ConversationInfo]:
        """List the conversations of an owner, those in which something was said last first.

        Args:
            owner: whose.
            search: what the title or a message contains, in upper or lower case; empty for all.
            limit: how many at most.
            before: the `cursor` of the last one of the page before.

        Returns:
            One item for each that is held, or kept and has messages.

        Raises:
            UsageError: the limit is below 1, or something else that is given cannot be.
            Exception: what the store raised.

        Cancellation:
            At once.
        """
        _key(owner, "any")
        if not isinstance(search, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"search must be a string, not {search!r}")
        if type(limit) is not int or limit < 1:
            raise UsageError(f"limit must be a whole number from 1 on, not {limit!r}")
        place = None if before is None else _place_of(before)
        held = [talk for talk in self.held if talk.owner == owner]
        found = [talk.info for talk in held if talk.mentions(search)]
        if self._settings.store is None:
            await checkpoint()
        else:
            kept = await self._settings.store.find(
                owner, search=search, limit=limit + len(held), before=place
            )
            names = {talk.id for talk in held}
            found += [info for info in kept if info.id not in names]
        listed = [info for info in found if place is None or info.place < place]
        return sorted(listed, key=lambda info: info.place, reverse=True)[:limit]

    async def delete(self, id: str, *, owner: str = "") -> None:
        """End the run of a conversation, and forget it, in the store too.

        Raises:
            NotFoundError: the owner has no such conversation.
            Exception: what the store raised.

        Cancellation:
            At its awaits: the run ends all the same, and what is kept may still be there.
        """
        key, was_held = _key(owner, id), False
        while (place := self._places.get(key)) is not None:
            if place.conversation is not None:
                was_held = True
                place.end("deleted")
            await place.changed.wait()
        if not await self._delete_kept(key) and not was_held:
            raise _not_found(id)

    def close(self) -> None:
        """Cancel all runs and let go of all conversations, as leaving the block of `open` does."""
        self._closed = True
        for place in self._places.values():
            if place.held is not None:
                place.held.leave()
            place.end("closed")

    # How conversations come and go.

    async def _open(
        self, key: _Key, *, create: bool = True, copied: Sequence[Message] = (), title: str = ""
    ) -> Conversation:
        if self._closed:
            raise UsageError("this host was closed")
        self._make_room()
        place = self._places[key] = _Place()
        keep = partial(self._keep, key, place, copied, title, create=create)
        try:
            conversation: Conversation = await self._tasks.start(keep)
        finally:
            if place.conversation is None:
                self._places.pop(key, None)
            place.change()
        # From here on it ends with `close` alone, which comes also where the host is cancelled.
        place.scope.shield = True
        return conversation

    def _make_room(self) -> None:
        """Let go of a conversation at rest, where there is no room for another."""
        limit = self._settings.max_conversations
        if len(self._places) < limit:
            return
        at_rest = (place for place in self._places.values() if self._is_at_rest(place))
        place = next(at_rest, None)
        if place is None:
            raise LimitReachedError(
                f"this host holds {limit} conversations, as many as it may, and none of them is at rest and kept in "
                "a store: delete one",
                limit="conversations",
                hint=", or raise max_conversations",
            )
        place.end("rest")

    def _is_at_rest(self, place: _Place) -> bool:
        talk = place.held
        return (
            talk is not None and talk.state == "idle" and not talk.viewers and self._is_kept(talk)
        )

    def _is_kept(self, talk: Conversation) -> bool:
        return self._settings.store is not None and not talk.queued

    async def _keep(  # noqa: ASYNC114 - started in one place, and waited for
        self,
        key: _Key,
        place: _Place,
        copied: Sequence[Message],
        title: str,
        *,
        create: bool,
        task_status: TaskStatus[Conversation],
    ) -> None:
        """Be the task that a conversation lives in."""
        session: Session | None = None
        try:
            with place.scope:
                session = await self._session(key, create=create)
                talk, runs = await self._made(key, place, session, copied)
                async with runs.agent.opened():
                    if title:
                        talk.title = title
                    place.conversation = talk
                    task_status.started(talk)
                    with recorded(self._settings.recordings, talk):
                        await runs.serve(
                            rests=lambda: self._is_kept(talk), rest_after=self._settings.rest_after
                        )
                    place.end("rest")
            if place.conversation is None:
                raise EndedError("this host was closed while the conversation was being opened")
        except Exception:
            if place.conversation is None:
                raise  # to whoever asked for it
            _log.exception("conversation %r has failed, and was let go of", key[1])
        finally:
            place.end("closed")
            await _close(session, key)  # noqa: ASYNC102 - shielded, with a deadline
            if place.conversation is not None:
                self._places.pop(key, None)
                place.change()

    async def _session(self, key: _Key, *, create: bool) -> Session | None:
        owner, id_ = key
        if self._settings.store is None:
            if not create:
                raise _not_found(id_)
            return None
        session = await self._settings.store.open(id_, owner, create=create)
        if session is None:
            raise _not_found(id_)
        return session

    async def _made(
        self, key: _Key, place: _Place, session: Session | None, copied: Sequence[Message]
    ) -> tuple[Conversation, Runs]:
        """Make a conversation, and have its agent made."""
        owner, id_ = key
        feed = place.feed = Feed(Log(max_bytes=self._settings.max_log_bytes))
        talk = Conversation(
            id_, owner, feed=feed, session=session, prices=self._prices, fork=self._fork
        )
        agent = self._checked(await call_maybe_async(self._settings.make_agent, talk), session)
        left = None if copied or session is None else session.open_calls
        if known := copied or (() if session is None else session.messages):
            agent.reset(repaired(known), open_calls=left)
        if session is not None:
            adopt(session, agent, owner)
        feed.log.keep(announced(agent.messages, left))
        await self._prices.load(agent)
        runs = Runs(agent, feed, grace=self._settings.grace, admit=self._admit)
        talk.begin(runs)
        if left is not None:
            runs.go_on(left)
        return talk, runs

    def _checked(self, agent: Any, session: Session | None) -> Agent:
        if not isinstance(agent, Agent):
            raise UsageError(f"make_agent must return an Agent, not {agent!r}")
        if any(agent is talk.agent for talk in self.held):
            raise UsageError(
                "make_agent must make a new agent for each conversation: Agent(...), or agent.copy()"
            )
        if session is not None and agent.session is not None:
            raise UsageError(
                "the host keeps the conversation in its store: make_agent must give the agent no session"
            )
        return agent

    def _admit(self) -> None:
        if self.running >= self._settings.max_runs:
            raise LimitReachedError(
                f"{self._settings.max_runs} runs are going, as many as this host may have at once: wait for one",
                limit="runs",
                hint=", or raise max_runs",
            )

    async def _fork(self, talk: Conversation, messages: Sequence[Message]) -> Conversation:
        title = f"{talk.title} (copy)" if talk.title else ""
        return await self._open(_key(talk.owner, uuid.uuid4().hex), copied=messages, title=title)

    async def _delete_kept(self, key: _Key) -> bool:
        store = self._settings.store
        if store is None:
            await checkpoint()
            return False
        place = self._places[key] = _Place()  # so that nobody opens it meanwhile
        try:
            return await store.delete(key[1], key[0])
        finally:
            self._places.pop(key, None)
            place.change()


async def _close(session: Session | None, key: _Key) -> None:
    if session is None:
        return
    try:
        await session.aclose()
    except Exception:  # noqa: BLE001 - its task is over, and has nobody to raise it to
        _log.exception("the end of conversation %r could not be kept", key[1])


def _key(owner: str, id_: str) -> _Key:
    for name, value, least in (("owner", owner, 0), ("id", id_, 1)):
        if not isinstance(value, str) or not least <= len(value) <= _LONGEST_NAME:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"the {name} of a conversation must be a string of {least} to {_LONGEST_NAME} "
                f"characters, not {reprlib.repr(value)}"
            )
    return owner, id_


def _place_of(cursor: str) -> tuple[float, str]:
    updated, _, id_ = cursor.partition(" ")
    try:
        return float(updated), id_
    except ValueError:
        raise UsageError(
            f"before must be the cursor of a ConversationInfo, not {cursor!r}"
        ) from None


def _not_found(id_: str) -> NotFoundError:
    return NotFoundError(f"there is no conversation {id_!r}")
