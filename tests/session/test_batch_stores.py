"""A store that takes a while: it is called in a worker thread, and every announcement waits for it."""

import threading
from collections.abc import Iterable, Sequence

import anyio
import anyio.from_thread
import pytest

from tether import Agent, CustomMessage, Message, MessageEnd, UserMessage
from tether._engine import driver
from tether.errors import LostClaimError, UsageError
from tether.hooks import OnEvent, RequestContext
from tether.session import Entry, Session
from tether.testing import Backend, ScriptedModel, call, cancel_at_every_step, check_transcript


class Store:
    """A store in memory that takes entries in batches, and fails at the writes with the numbers given."""

    def __init__(self, fails_at: Iterable[int] = ()) -> None:
        self.fails_at = set(fails_at)
        self.kept: list[Entry] = []
        self.writes = 0
        self.threads: set[int] = set()

    def append(self, entry: Entry) -> None:
        self.append_all([entry])

    def append_all(self, entries: Sequence[Entry]) -> None:
        self.writes += 1
        self.threads.add(threading.get_ident())
        if self.writes in self.fails_at:
            raise OSError(28, "No space left on device")
        self.kept += entries

    def entries(self) -> Iterable[Entry]:
        return list(self.kept)

    def close(self) -> None:
        pass

    @property
    def messages(self) -> list[str]:
        return [str(entry.data["id"]) for entry in self.kept if entry.kind == "message"]


def echo(text: str) -> str:
    """Answer."""
    return text


def _agent(store: Store) -> Agent:
    model = ScriptedModel(call("echo", text="a"), "done")
    return Agent(model, tools=[echo], session=Session(store))


def _checking(store: Store, announced: list[str]) -> OnEvent:
    def check(event: object) -> None:
        if isinstance(event, MessageEnd):
            assert event.message.id in store.messages
            announced.append(event.message.id)

    return check


async def test_each_message_is_kept_before_it_is_announced() -> None:
    store = Store()
    agent = _agent(store)
    announced: list[str] = []
    agent.subscribe(_checking(store, announced))
    await agent.prompt("go")
    assert announced == store.messages == [message.id for message in agent.messages]
    assert threading.get_ident() not in store.threads
    assert agent.session is not None
    assert agent.session.behind == ()


async def test_the_event_loop_goes_on_while_the_store_writes() -> None:
    class Slow(Store):
        def append_all(self, entries: Sequence[Entry]) -> None:
            anyio.from_thread.run(anyio.lowlevel.checkpoint)  # stuck, were the event loop
            super().append_all(entries)

    store = Slow()
    await _agent(store).prompt("go")
    assert len(store.messages) == 4


async def test_a_message_that_a_hook_records_is_kept_before_it_is_announced() -> None:
    store = Store()
    agent = _agent(store)
    announced: list[str] = []
    agent.subscribe(_checking(store, announced))

    @agent.hook("transform_context")
    async def transform(messages: list[Message], context: RequestContext) -> None:
        await context.record(CustomMessage("note", {}))

    await agent.prompt("go")
    assert announced == store.messages


async def test_what_no_store_can_hold_is_refused_and_the_session_goes_on() -> None:
    store = Store()
    agent = _agent(store)
    assert agent.session is not None
    with pytest.raises(UsageError, match="JSON cannot hold this entry of kind 'mine'"):
        agent.session.append("mine", {"it": object()})
    assert agent.session.behind == ()
    await agent.prompt("go")
    assert store.messages == [message.id for message in agent.messages]


@pytest.mark.parametrize("number", range(1, 5))
async def test_a_write_that_fails_ends_the_run_and_loses_nothing(number: int) -> None:
    store = Store({number})
    agent = _agent(store)
    announced: list[str] = []
    with pytest.raises(OSError, match="No space left"):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    assert event.message.id in store.messages
                    announced.append(event.message.id)
    assert store.messages == [message.id for message in agent.messages]
    check_transcript(agent.messages)
    assert set(announced) <= set(store.messages)


async def test_a_store_that_stays_broken_announces_nothing_that_is_not_kept() -> None:
    store = Store(range(2, 100))
    agent = _agent(store)
    announced: list[str] = []
    with pytest.raises(OSError, match="No space left"):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    announced.append(event.message.id)
    assert announced == store.messages
    assert agent.session is not None
    waiting = [entry.message for entry in agent.session.behind if entry.kind == "message"]
    assert [*agent.messages[len(store.messages) :]] == waiting


async def test_on_failure_lets_the_run_go_on() -> None:
    store = Store({1, 2})
    failures: list[Exception] = []
    agent = Agent(ScriptedModel("Hello."), session=Session(store, on_failure=failures.append))
    result = await agent.prompt("hi")
    assert str(result) == "Hello."
    assert len(failures) == 2
    assert agent.session is not None
    await agent.session.flush()
    assert store.messages == [message.id for message in agent.messages]


async def test_a_store_that_hangs_holds_up_no_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_CLOSING_TIME", 0.05)
    released = threading.Event()

    class Hanging(Store):
        def append_all(self, entries: Sequence[Entry]) -> None:
            if self.kept:
                started.set()
                released.wait(60)
            super().append_all(entries)

    store, started = Hanging(), threading.Event()
    agent = _agent(store)
    announced: list[str] = []
    try:
        with anyio.fail_after(30), anyio.CancelScope() as scope:
            async with agent.run("go") as run, anyio.create_task_group() as tasks:

                async def cancel() -> None:
                    while not started.is_set():
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                tasks.start_soon(cancel)
                async for event in run:
                    if isinstance(event, MessageEnd):
                        announced.append(event.message.id)
        assert scope.cancelled_caught
        assert announced == store.messages
        check_transcript(agent.messages)
    finally:
        released.set()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_that_is_cancelled_anywhere_keeps_what_it_has_said(backend: Backend) -> None:
    def setup() -> tuple[Store, Agent]:
        store = Store()
        model = ScriptedModel(call("echo", text="a"), ["Do", "ne."])
        return store, Agent(model, tools=[echo], session=Session(store))

    async def program(made: tuple[Store, Agent]) -> None:
        store, agent = made
        announced: list[str] = []
        agent.subscribe(_checking(store, announced))
        await agent.prompt("go")

    def check(made: tuple[Store, Agent]) -> None:
        store, agent = made
        assert store.messages == [message.id for message in agent.messages]
        check_transcript(agent.messages)

    report = cancel_at_every_step(
        program,
        setup=setup,
        check=check,
        backend=backend,
        limit=40,
    )
    assert report.points


class Leased(Store):
    """A store whose claim is lost at a renewal."""

    renew_every = 0.001

    def __init__(self, lost_at: int) -> None:
        super().__init__()
        self.renewals = 0
        self.lost_at = lost_at
        self.renewed = threading.Event()

    def renew(self) -> None:
        self.renewals += 1
        if self.renewals == self.lost_at:
            raise LostClaimError("another process writes to this conversation now")
        if self.renewals == 2:
            raise OSError("the server is away for a moment")
        if self.renewals == 4:
            self.renewed.set()


async def test_a_claim_is_renewed_while_a_tool_is_silent() -> None:
    store = Leased(lost_at=0)

    async def wait() -> str:
        """Wait."""
        while not store.renewed.is_set():
            await anyio.lowlevel.checkpoint()
        return "renewed"

    agent = Agent(ScriptedModel(call("wait"), "done"), tools=[wait], session=Session(store))
    assert str(await agent.prompt("go")) == "done"


async def test_a_claim_that_is_lost_ends_the_run() -> None:
    store = Leased(lost_at=3)
    agent = Agent(
        ScriptedModel(call("wait"), "done"), tools=[anyio.sleep_forever], session=Session(store)
    )
    agent.tools = []

    @agent.tool
    async def wait() -> None:
        """Wait."""
        await anyio.sleep_forever()

    with anyio.fail_after(30), pytest.raises(LostClaimError, match="another process"):
        await agent.prompt(UserMessage("go"))
    check_transcript(agent.messages)


class HeldStore(Store):
    """A store that is closed when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.told = threading.Event(), threading.Event()

    def close(self) -> None:
        self.asked.set()
        assert self.told.wait(20)


async def test_the_event_loop_does_not_wait_for_a_store_that_is_being_closed() -> None:
    store = HeldStore()

    async def tell() -> None:
        await anyio.to_thread.run_sync(store.asked.wait)
        store.told.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            async with Session(store) as session:
                session.append("x", {})
    assert [entry.kind for entry in store.kept] == ["x"]


async def test_what_a_block_raises_goes_before_what_could_not_be_kept() -> None:
    with pytest.raises(LookupError) as raised:
        async with Session(Store(fails_at=[1])) as session:
            session.append("x", {})
            raise LookupError
    assert raised.value.__notes__ == [
        "the session could not be kept to its end: [Errno 28] No space left on device"
    ]
    with pytest.raises(OSError, match="No space left"):
        async with Session(Store(fails_at=[1])) as session:
            session.append("x", {})
