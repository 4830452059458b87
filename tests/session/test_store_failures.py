"""A store that fails: nothing is announced that is not kept, and nothing is lost."""

from collections.abc import Iterable

import anyio
import pytest

from tether import Agent, MessageEnd, UsageError, UserMessage
from tether.errors import DecodeError
from tether.session import Entry, Session
from tether.testing import Pause, ScriptedModel, call, check_transcript


class Store:
    """A store in memory that fails at the writes with the numbers given."""

    def __init__(self, fails_at: Iterable[int] = (), entries: Iterable[Entry] = ()) -> None:
        self.fails_at = set(fails_at)
        self.kept = list(entries)
        self.writes = 0
        self.closed = False

    def append(self, entry: Entry) -> None:
        self.writes += 1
        if self.writes in self.fails_at:
            raise OSError(28, "No space left on device")
        self.kept.append(entry)

    def entries(self) -> Iterable[Entry]:
        return list(self.kept)

    def close(self) -> None:
        self.closed = True

    @property
    def messages(self) -> list[str]:
        return [str(entry.data["id"]) for entry in self.kept if entry.kind == "message"]


def tool(text: str) -> str:
    """Answer."""
    return text


@pytest.mark.parametrize("number", range(1, 9))
async def test_a_store_that_fails_once_ends_the_run_and_keeps_every_message(number: int) -> None:
    store = Store({number})
    session = Session(store)
    agent = Agent(
        ScriptedModel(call("tool", text="a"), call("tool", text="b"), "done"),
        tools=[tool],
        session=session,
    )
    announced: list[str] = []
    with pytest.raises(OSError, match="No space left on device"):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    assert event.message.id in store.messages
                    announced.append(event.message.id)
    assert store.messages == [message.id for message in agent.messages]
    assert session.behind == ()
    again = Session(Store(entries=store.kept))
    assert again.messages == session.messages
    check_transcript(again.messages)


async def test_a_store_that_stays_broken_leaves_the_session_behind_and_nothing_announced() -> None:
    store = Store(range(1, 100))
    session = Session(store)
    agent = Agent(ScriptedModel("Hello."), session=session)
    seen: list[MessageEnd] = []
    with pytest.raises(OSError, match="No space left"):
        async with agent.run("hi") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    seen.append(event)
    assert seen == []
    waiting = [entry.message for entry in session.behind if entry.kind == "message"]
    assert waiting == [*agent.messages]
    assert [message.text for message in session.messages] == ["hi"]
    store.fails_at = set()
    await agent.prompt("again")
    assert session.behind == ()
    assert [m.text for m in Session(Store(entries=store.kept)).messages] == [
        "hi",
        "again",
        "Hello.",
    ]


async def test_a_cancelled_run_whose_messages_cannot_be_kept_stays_cancelled() -> None:
    store = Store()
    session = Session(store)
    agent = Agent(ScriptedModel(["Once", Pause()]), session=session)
    with anyio.CancelScope() as scope:
        async with agent.run("go") as run:
            async for event in run:
                if event.type == "message_update":
                    store.fails_at = set(range(100))
                    scope.cancel()
    assert scope.cancelled_caught
    assert session.messages == agent.messages
    assert [entry.kind for entry in session.behind] == ["message"]
    store.fails_at = set()
    session.close()
    assert store.messages == [message.id for message in agent.messages]


async def test_with_on_failure_the_run_goes_on() -> None:
    told: list[Exception] = []
    store = Store({3, 4})
    with Session(store, on_failure=told.append) as session:
        agent = Agent(ScriptedModel("Hello."), session=session)
        assert (await agent.prompt("hi")).text == "Hello."
    assert len(told) == 2
    assert session.behind == ()
    assert store.messages == [message.id for message in agent.messages]


def test_a_message_is_recorded_once() -> None:
    store = Store({1})
    session = Session(store)
    message = UserMessage("hi", id="u")
    with pytest.raises(OSError, match="No space left"):
        session.record(message)
    assert session.record(message) is session.record(message)
    assert store.messages == ["u"]


def test_closing_says_what_is_not_kept_and_closes_all_the_same() -> None:
    store = Store(range(1, 100))
    session = Session(store)
    with pytest.raises(OSError, match="No space left"):
        session.label("x")
    with pytest.raises(OSError, match="No space left"):
        session.close()
    assert store.closed
    assert len(session.behind) == 1


def test_closing_gives_way_to_an_error_that_is_on_its_way() -> None:
    store = Store(range(1, 100))
    with pytest.raises(KeyError) as caught, Session(store, on_failure=None) as session:
        with pytest.raises(OSError, match="No space left"):
            session.label("x")
        raise KeyError("mine")
    assert "could not be kept" in caught.value.__notes__[0]


def test_what_json_cannot_hold_is_refused_and_stands_in_no_way() -> None:
    class Strict(Store):
        def append(self, entry: Entry) -> None:
            entry.line()
            super().append(entry)

    session = Session(Strict())
    first = session.label("a")
    with pytest.raises(UsageError, match="JSON cannot hold this entry of kind 'mood'"):
        session.append("mood", {"x": object()})
    assert session.head == first.id
    assert session.behind == ()
    session.label("b")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry("a", None, "k", {}), Entry("a", "a", "k", {})], "entry 2: there is an entry 'a'"),
        ([Entry("a", "b", "k", {}), Entry("b", "a", "k", {})], "entry 1: it follows 'b'"),
        ([Entry("a", "a", "k", {})], "entry 1: it follows 'a'"),
    ],
)
def test_a_store_whose_entries_do_not_hang_together_is_refused(
    entries: list[Entry], message: str
) -> None:
    with pytest.raises(DecodeError, match=message):
        Session(Store(entries=entries))
