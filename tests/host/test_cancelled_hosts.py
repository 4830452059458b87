"""Programs with a host, cancelled at every step: nothing is left, what was said is kept, logs are legal so far."""

from collections.abc import Awaitable, Callable
from tempfile import TemporaryDirectory

import anyio
import pytest
from attrs import define, field
from tests.host.hosting import check_log, danger

import tether
from tether import Agent, AgentEnd, ApprovalRequested, Event, Session
from tether.host import Conversation, FolderStore
from tether.testing import (
    Backend,
    Kind,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_transcript,
)
from tether.transcript import repaired


@define
class State:
    """What a program works with, and leaves."""

    folder: TemporaryDirectory[str] = field(factory=TemporaryDirectory)
    talks: list[Conversation] = field(factory=list)
    seen: list[list[Event]] = field(factory=list)

    def make(self, talk: Conversation) -> Agent:
        self.talks.append(talk)
        script = ("Hello there.", call("danger", what="it"), "Fine.")
        return Agent(ScriptedModel(*script), tools=[danger], approve=talk.approve)

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder.name)

    async def follow(self, talk: Conversation, ends: int = 1) -> None:
        """Follow a conversation until runs have ended, as one more viewer, who allows what is asked about."""
        self.seen.append(seen := [])
        async with talk.follow() as viewer:
            async for _, event in viewer:
                seen.append(event)
                if isinstance(event, ApprovalRequested) and talk.waiting:
                    talk.answer(event.call_id, "once")
                if sum(isinstance(one, AgentEnd) for one in seen) == ends:
                    break


async def two_viewers(state: State) -> None:
    async with tether.host.open(state.make) as host:
        talk = await host.conversation("one")
        talk.say("first")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(state.follow, talk, 2)
            await state.follow(talk)
            talk.say("second")


async def nobody_watches(state: State) -> None:
    async with tether.host.open(state.make, when_unwatched="cancel") as host:
        talk = await host.conversation("one")
        talk.say("first")
        await state.follow(talk)
        await talk.wait_idle()


async def left_in_the_middle(state: State) -> None:
    async with tether.host.open(state.make) as host:
        talk = await host.conversation("one")
        await talk.wait_idle()
        talk.say("first")
        async with talk.follow() as viewer:
            await anext(viewer)
        await host.conversation("two")
        await host.delete("two")


async def kept(state: State) -> None:
    async with tether.host.open(state.make, store=state.store) as host:
        talk = await host.conversation("one")
        talk.say("first")
        await state.follow(talk)
        fork = await talk.fork(talk.number)
        await host.delete(fork.id)
    async with tether.host.open(state.make, store=state.store) as host:
        await host.conversations(search="hello")
        await host.conversation("one")


async def check(state: State) -> None:
    for talk in state.talks:
        assert talk.ended is not None
        assert talk.viewers == 0
        check_transcript(talk.agent.messages if talk._runs is not None else ())
        log = talk._feed.log
        check_log(_told(talk), complete=False)
        kept = talk.agent.messages if talk._runs is not None else ()
        assert tuple(kept[: log.message_count]) == tuple(log.messages())
    for seen in state.seen:
        check_log(seen, complete=False)
    _check_what_was_kept(state)


def _told(talk: Conversation) -> list[Event]:
    number, told = 0, list[Event]()
    while (found := talk._feed.log.after(number)) is not None:
        number = found[0]
        told.append(found[1])
    return told


def _check_what_was_kept(state: State) -> None:
    """What the first agent holds stands in its file, which nobody has open any more."""
    path = state.store.path("one")
    if path.exists():
        with Session(path) as session:
            if state.talks[0]._runs is not None and state.talks[0].agent.messages:
                assert session.messages == tuple(repaired(state.talks[0].agent.messages))
    state.folder.cleanup()


PROGRAMS = [two_viewers, nobody_watches, left_in_the_middle]


@pytest.mark.usefixtures("quick_garbage_collection")
@pytest.mark.parametrize(
    ("backend", "kind"), [("asyncio", "scope"), ("asyncio", "task"), ("trio", "scope")]
)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_host_can_be_cancelled_anywhere(
    program: Callable[[State], Awaitable[None]], backend: Backend, kind: Kind
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, backend=backend, kind=kind)
    assert report.points > 10


@pytest.mark.usefixtures("quick_garbage_collection")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_host_with_a_store_can_be_cancelled_anywhere(backend: Backend) -> None:
    """With threads the number of points varies: a sample of them."""
    report = cancel_at_every_step(kept, setup=State, check=check, backend=backend, limit=40)
    assert report.points > 10
