"""What fails inside a host is told where it belongs, and the host and its conversations go on."""

import logging
from collections.abc import Sequence

import anyio
import pytest
from tests.host.hosting import check_log, everything, hosting, scripted, told

import tether
from tether import Agent, AgentEnd, AgentStart, Limits, ModelError, Session, UsageError
from tether.host import Conversation, ConversationInfo
from tether.session import Entry
from tether.testing import Backend, ScriptedModel, cancel_at_every_step


class _Disk:
    """A log on a disk that can be full."""

    def __init__(self) -> None:
        self.kept: list[Entry] = []
        self.full = False
        self.closed = False

    def append(self, entry: Entry) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept.append(entry)

    def entries(self) -> Sequence[Entry]:
        return ()

    def close(self) -> None:
        self.closed = True


class _DiskStore:
    """A store on such a disk."""

    def __init__(self) -> None:
        self.disk = _Disk()

    async def open(self, id: str, owner: str, *, create: bool) -> Session | None:
        if id == "broken":
            raise OSError(5, "Input/output error")
        return Session(self.disk) if create else None

    async def find(
        self, owner: str, *, search: str, limit: int, before: tuple[float, str] | None
    ) -> Sequence[ConversationInfo]:
        return []

    async def delete(self, id: str, owner: str) -> bool:
        return False


async def test_a_disk_that_is_full_ends_the_run_with_an_error() -> None:
    store = _DiskStore()
    async with hosting("One.", "Two.", "Three.", store=store) as host:
        talk = await host.conversation()
        await told(talk, "first")
        store.disk.full = True
        events = await told(talk, "second")
        end = events[-1][1]
        assert isinstance(end, AgentEnd)
        assert end.error is not None
        assert "No space left" in end.error.message
        store.disk.full = False
        await told(talk, "third")
        kept = [entry.message for entry in store.disk.kept if entry.kind == "message"]
        texts = [message.text for message in kept if message is not None]
        assert texts[:2] + texts[-2:] == ["first", "One.", "third", talk.agent.messages[-1].text]
        assert "second" in texts
    assert store.disk.closed


async def test_a_store_that_fails_is_an_error_for_whoever_asked() -> None:
    async with hosting("One.", store=_DiskStore()) as host:
        with pytest.raises(OSError, match="Input/output error"):
            await host.conversation("broken")
        assert host.held == []
        await told(await host.conversation("fine"), "hi")


async def test_a_run_that_cannot_start_is_told_and_what_was_said_is_kept() -> None:
    async with hosting("One.", "Two.") as host:
        talk = await host.conversation()
        talk.agent.limits = Limits(cost=1.0)
        talk.agent.model = ScriptedModel("One.", name="nobody:knows-its-price")
        talk.say("first")
        await talk.wait_idle()
        events = await everything(talk)
        assert [type(event) for event in events] == [AgentStart, AgentEnd]
        assert [message.id for message in talk.queued] == [talk.snapshot().queued[0].id]
        talk.agent.limits = Limits()
        talk.say("second")
        await talk.wait_idle()
        said = [message.text for message in talk.agent.messages]
        assert sorted(said) == ["One.", "first", "second"]


async def test_a_model_that_fails_in_the_middle_leaves_a_legal_log() -> None:
    failure = ModelError("cut off", kind="connection")
    async with hosting(["Hel", failure], "Again.") as host:
        talk = await host.conversation()
        await told(talk, "hi")
        await told(talk, "again")
        texts = [message.text for message in check_log(await everything(talk))]
        assert texts == ["hi", "Hel", "again", "Again."]


async def test_hooks_at_the_opening_and_closing_of_agents_that_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def make(talk: Conversation) -> Agent:
        agent = scripted("Hello.")(talk)

        @agent.hook("agent_opened")
        def opened(_agent: object) -> None:
            if talk.id == "bad at first":
                raise RuntimeError("cannot be opened")

        @agent.hook("agent_closed")
        def closed(_agent: object) -> None:
            raise RuntimeError("cannot be closed")

        return agent

    with anyio.fail_after(30), caplog.at_level(logging.ERROR, "tether"):
        async with tether.host.open(make) as host:
            with pytest.raises(RuntimeError, match="cannot be"):
                await host.conversation("bad at first")
            await told(await host.conversation("bad at last"), "hi")
            await host.delete("bad at last")
            await told(await host.conversation("another"), "hi")
    assert "'bad at last' has failed" in caplog.text


async def test_what_the_block_raises_comes_out_as_it_was() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with hosting("Hello.") as host:
            (await host.conversation()).say("hi")
            raise error
    assert caught.value is error
    with pytest.raises(UsageError, match="was closed"):
        await host.conversation()


async def test_conversations_that_are_being_opened_when_the_host_closes() -> None:
    begun = anyio.Event()

    async def make(talk: Conversation) -> Agent:
        begun.set()
        await anyio.sleep_forever()
        return scripted()(talk)

    raised: list[str] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, tether.host.open(make) as host:

            async def ask() -> None:
                try:
                    await host.conversation("one")
                except UsageError as error:
                    raised.append(str(error))

            for _ in range(2):
                tasks.start_soon(ask)
            await begun.wait()
    assert len(raised) == 2


@pytest.mark.usefixtures("quick_garbage_collection")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_several_who_open_one_conversation_get_the_same_whoever_is_cancelled(
    backend: Backend,
) -> None:
    async def program() -> None:
        async with tether.host.open(scripted("Hello.")) as host, anyio.create_task_group() as tasks:
            found: list[Conversation] = []

            async def ask() -> None:
                found.append(await host.conversation("one"))

            with anyio.CancelScope() as scope:
                tasks.start_soon(ask)
                tasks.start_soon(ask)
                await host.conversation("one")
                scope.cancel()
            await told(await host.conversation("one"), "hi")
            assert len(set(map(id, found))) <= 1

    report = cancel_at_every_step(program, backend=backend)
    assert report.points > 10
