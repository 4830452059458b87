"""Conversations in databases: kept, claimed by one writer, found again."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from tests.stores.conftest import Place

from tether import (
    Agent,
    BusyError,
    LostClaimError,
    MessageEnd,
    Session,
    UsageError,
    UserMessage,
)
from tether.session import Entry
from tether.stores import SqliteConversations, SqliteStore, conversations_at
from tether.testing import Backend, ScriptedModel, call, cancel_at_every_step, check_transcript


def echo(text: str) -> str:
    """Answer."""
    return text


def _agent(session: Session) -> Agent:
    model = ScriptedModel(call("echo", text="a"), "The answer is Lisboa.")
    return Agent(model, tools=[echo], session=session)


async def _talked(place: Place, id: str, prompt: str, **options: str) -> Agent:
    with Session(place.store(id, **options)) as session:
        agent = _agent(session)
        await agent.prompt(prompt)
    return agent


async def test_a_conversation_is_there_again(place: Place) -> None:
    agent = await _talked(place, "trip", "Where to?")
    with Session(place.store("trip")) as again:
        assert again.messages == agent.messages
        assert list(again.entries) == list(agent.session.entries if agent.session else ())
        more = Agent(ScriptedModel("Yes."), session=again)
        await more.prompt("Sure?")
    with Session(place.store("trip")) as third:
        assert third.messages == more.messages
        check_transcript(third.messages)


async def test_what_a_message_says_is_kept_to_the_letter(place: Place) -> None:
    odd = "NUL \0, é, 𝄞, 'quotes\"; DROP TABLE -- %s ? {} \\"
    await _talked(place, "o'dd ?%s", odd, owner='a"b')
    with Session(place.store("o'dd ?%s", owner='a"b')) as again:
        assert isinstance(again.messages[0], UserMessage)
        assert again.messages[0].text == odd


async def test_every_message_is_kept_before_it_is_announced(place: Place) -> None:
    reader = place.conversations()
    with Session(place.store("trip")) as session:
        agent = _agent(session)
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    [info] = await reader.find()
                    assert info.messages >= agent.messages.index(event.message) + 1


def test_a_second_writer_is_refused_until_the_lease_is_over(place: Place) -> None:
    first = place.store("trip", lease=60)
    with pytest.raises(BusyError, match=r"another writes to the conversation 'trip': .*takeover"):
        place.store("trip")
    place.store("other").close()
    first.close()
    place.store("trip").close()


def test_a_lease_that_has_run_out_is_free_and_its_holder_writes_nothing_more(place: Place) -> None:
    first = place.store("trip", lease=0.001)
    first.append(Entry("1", None, "note", {}))
    second = _retaken(place)
    assert [entry.id for entry in second.entries()] == ["1"]
    for write in (first.renew, lambda: first.append(Entry("2", "1", "note", {}))):
        with pytest.raises(LostClaimError, match="another has taken the conversation 'trip' over"):
            write()
    second.append(Entry("3", "1", "note", {}))
    first.close()  # which takes nothing from the second
    with pytest.raises(BusyError):
        place.store("trip")
    second.close()


async def test_who_wrote_to_a_conversation_that_was_deleted_writes_nothing_to_its_successor(
    place: Place,
) -> None:
    first = place.store("trip", lease=0.001)
    all_of_them, deleted = place.conversations(), False
    while not deleted:
        with suppress(BusyError):
            deleted = await all_of_them.delete("trip")
    second = place.store("trip", lease=60)
    for write in (first.renew, lambda: first.append(Entry("1", None, "note", {}))):
        with pytest.raises(LostClaimError, match="or it was deleted"):
            write()
    first.close()
    with pytest.raises(BusyError):
        place.store("trip")
    second.append(Entry("2", None, "note", {}))
    second.close()


def _retaken(place: Place):  # type: ignore[no-untyped-def]
    while True:
        try:
            return place.store("trip", lease=60)
        except BusyError:
            continue


def test_a_writer_that_is_dead_is_taken_over_from(place: Place) -> None:
    dead = place.store("trip", lease=600)
    living = place.store("trip", takeover=True)
    living.append(Entry("1", None, "note", {}))
    with pytest.raises(LostClaimError):
        dead.append(Entry("2", None, "note", {}))
    living.close()


async def test_a_takeover_in_the_middle_ends_the_run(place: Place) -> None:
    async def take() -> str:
        """Take the conversation over."""
        taken.append(place.store("trip", takeover=True))
        return "taken"

    taken: list[object] = []
    session = Session(place.store("trip"))
    agent = Agent(ScriptedModel(call("take"), "never"), tools=[take], session=session)
    announced: list[str] = []
    with pytest.raises(LostClaimError):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageEnd):
                    announced.append(event.message.id)
    with pytest.raises(LostClaimError):
        session.close()
    taken[0].close()  # type: ignore[attr-defined]
    with Session(place.store("trip")) as kept:
        assert [message.id for message in kept.messages][: len(announced)] == announced


def test_all_entries_of_a_batch_are_kept_or_none(place: Place) -> None:
    store = place.store("trip")
    with pytest.raises(UsageError, match="JSON cannot hold"):
        store.append_all([Entry("1", None, "note", {}), Entry("2", "1", "note", {"no": object()})])
    store.append(Entry("3", None, "note", {}))
    store.close()
    assert [entry.id for entry in place.store("trip").entries()] == ["3"]


def test_a_store_that_was_closed_says_so(place: Place) -> None:
    store = place.store("trip")
    store.close()
    store.close()
    with pytest.raises((UsageError, sqlite3.ProgrammingError), match="closed"):
        store.append(Entry("1", None, "note", {}))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"id": ""}, "the id of a conversation must be a name, not ''"),
        ({"id": "a\0b"}, "the id of a conversation must be a name"),
        ({"id": "half \ud800"}, "the id of a conversation must be a name"),
        ({"id": "a", "owner": 3}, "the owner of a conversation must be a name, not 3"),
        ({"id": "a", "lease": 0}, "a lease must be of more than 0 seconds, not 0"),
    ],
)
def test_names_and_leases_are_checked(place: Place, options: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        place.store(**options)


@pytest.mark.parametrize("name", ["a\0b", "half \ud800"])
async def test_names_that_no_database_takes_are_refused_by_all_and_searches_find_nothing(
    place: Place, name: str
) -> None:
    await _talked(place, "a", "hello")
    all_of_them = place.conversations()
    for refused in (
        lambda: all_of_them.open(name, create=False),
        lambda: all_of_them.delete(name),
        lambda: all_of_them.delete("a", name),
        lambda: all_of_them.find(name),
        lambda: all_of_them.take_out(name, "nowhere"),
        lambda: all_of_them.bring_in("nowhere", name),
    ):
        with pytest.raises(UsageError, match="must be a name"):
            await refused()
    assert await all_of_them.find(search=name) == []
    assert await all_of_them.find(before=(1.0, name)) == []


async def test_conversations_are_listed_and_searched(place: Place) -> None:
    await _talked(place, "a", "Where is the Ölmühle of 100% oil?")
    await _talked(place, "b", "Say foo_bar.")
    await _talked(place, "c", "Something else of another.", owner="ada")
    with Session(place.store("b")) as session:
        session.append("title", {"text": "A Great Title"})
    all_of_them = place.conversations()
    listed = await all_of_them.find()
    assert [(info.id, info.title, info.messages) for info in listed] == [
        ("b", "A Great Title", 4),
        ("a", "Where is the Ölmühle of 100% oil?", 4),
    ]
    assert [info.id for info in await all_of_them.find("ada")] == ["c"]
    assert [info.id for info in await all_of_them.find(limit=1)] == ["b"]
    assert [info.id for info in await all_of_them.find(before=listed[0].place)] == ["a"]
    for words, found in {
        "great": ["b"],
        "FOO_BAR": ["b"],
        "ölmühle": ["a"],
        "lisboa": ["b", "a"],
        "100%": ["a"],
        "something": [],
        '"; DROP TABLE tether_texts': [],
        "' & | ! :*": [],
    }.items():
        assert [info.id for info in await all_of_them.find(search=words)] == found, words


async def test_a_conversation_is_deleted_unless_it_is_written_to(place: Place) -> None:
    await _talked(place, "a", "hello")
    all_of_them = place.conversations()
    with Session(place.store("a")), pytest.raises(BusyError, match="somebody writes to"):
        await all_of_them.delete("a")
    assert await all_of_them.delete("a")
    assert not await all_of_them.delete("a")
    assert await all_of_them.find(search="hello") == []
    assert await all_of_them.open("a", create=False) is None


async def test_a_session_is_copied_from_a_file_and_to_one(place: Place, tmp_path: Path) -> None:
    with Session(tmp_path / "old.jsonl") as session:
        agent = _agent(session)
        await agent.prompt("Where to?")
    conversations = place.conversations()
    await conversations.bring_in(tmp_path / "old.jsonl", "trip")
    with pytest.raises(UsageError, match="there is a conversation 'trip' already"):
        await conversations.bring_in(tmp_path / "old.jsonl", "trip")
    await conversations.take_out("trip", tmp_path / "new.jsonl")
    with pytest.raises(UsageError, match="there is no conversation 'nope'"):
        await conversations.take_out("nope", tmp_path / "other.jsonl")
    old, new = (
        (tmp_path / name).read_bytes().split(b"\n")[1:] for name in ("old.jsonl", "new.jsonl")
    )
    assert list(map(json.loads, filter(None, old))) == list(map(json.loads, filter(None, new)))


def test_many_threads_write_to_conversations_of_their_own(place: Place) -> None:
    place.store("first").close()  # which makes the tables
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            store = place.store(str(number))
            for entry in range(20):
                store.append(Entry(str(entry), str(entry - 1) if entry else None, "note", {}))
            store.close()
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(place.store("3").entries())) == 20


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_that_is_cancelled_anywhere_is_kept(backend: Backend, tmp_path: Path) -> None:
    path, numbers = tmp_path / "app.db", iter(range(10_000))

    async def program(id: str) -> None:
        session = Session(SqliteStore(path, id))
        try:
            agent = _agent(session)
            agents.append(agent)
            await agent.prompt("go")
        finally:
            session.close()

    agents: list[Agent] = []

    def check(id: str) -> None:
        if agents:
            with Session(SqliteStore(path, id)) as kept:
                check_transcript(kept.messages)
                said = [e.data["id"] for e in kept.branch if e.kind == "message"]
                assert said == [message.id for message in agents[-1].messages]

    report = cancel_at_every_step(
        program, setup=lambda: str(next(numbers)), check=check, backend=backend, limit=12
    )
    assert report.points


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.thorough)])
def test_a_process_that_is_killed_loses_nothing_that_it_announced(
    tmp_path: Path, kills: int
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import sys, anyio, tether
from tether.stores import SqliteStore
from tether.testing import ScriptedModel

async def main():
    session = tether.Session(SqliteStore(sys.argv[1], "trip", takeover=True))
    agent = tether.Agent(ScriptedModel(*["more"] * 1000), session=session)
    for number in range(1000):
        async with agent.run(str(number)) as run:
            async for event in run:
                if isinstance(event, tether.MessageEnd):
                    print(event.message.id, flush=True)

anyio.run(main)
"""
    )
    announced: list[str] = []
    for number in range(kills):
        enough = 3 + 6 * (number % 3)
        with subprocess.Popen(
            [sys.executable, str(program), str(tmp_path / "app.db")],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            announced += [process.stdout.readline().strip() for _ in range(enough)]
            process.kill()
            announced += [line.strip() for line in process.stdout if line.endswith("\n")]
    with Session(SqliteStore(tmp_path / "app.db", "trip", takeover=True)) as session:
        kept = {entry.data.get("id") for entry in session.entries.values()}
        assert len(announced) >= 9 * kills
        assert set(announced) <= kept
        check_transcript(session.messages)


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    with Session(SqliteStore(tmp_path / "app.db", "c")) as session:
        with closing(sqlite3.connect(tmp_path / "app.db")) as other:
            other.execute("CREATE TABLE one (id INTEGER PRIMARY KEY)")
            other.execute("CREATE TABLE two (id REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)")
            other.execute(
                "CREATE TRIGGER refuse AFTER INSERT ON tether_entries WHEN new.line LIKE '%now%' "
                "AND NOT EXISTS (SELECT 1 FROM one) BEGIN INSERT INTO two VALUES (1); END"
            )
            session._store._database._connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]
            session.append("note", {"text": "now"})
            with pytest.raises(sqlite3.IntegrityError):
                session.catch_up()
            other.execute("INSERT INTO one VALUES (1)")
            other.commit()
        session.catch_up()
        assert not session.behind
    with Session(SqliteStore(tmp_path / "app.db", "c")) as again:
        assert [entry.kind for entry in again.branch] == ["note"]


def test_a_file_that_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk. " * 100)
    with pytest.raises(UsageError, match=r"notes.txt is not an SQLite database"):
        SqliteStore(tmp_path / "notes.txt", "trip")
    assert (tmp_path / "notes.txt").read_text() == "Buy milk. " * 100


def test_a_newer_database_is_left_alone_and_a_new_one_is_private(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "app.db", "trip").close()
    assert (tmp_path / "app.db").stat().st_mode & 0o777 == 0o600
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="this database is of version 99"):
        SqliteConversations(tmp_path / "app.db")


def test_an_address_names_conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conversations_at("sqlite:///here%20it%20is.db").close()
    conversations_at(f"sqlite:///{tmp_path}/there.db").close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"here it is.db", "there.db"}
    for wrong in ("mysql://x/y", "app.db", "sqlite://", "sqlite://host/x"):
        with pytest.raises(UsageError, match=r"names no database: write sqlite:///app\.db"):
            conversations_at(wrong)


async def test_a_pool_is_opened_by_an_address(postgres: str) -> None:
    conversations = await anyio.to_thread.run_sync(conversations_at, postgres)
    assert await conversations.find("nobody") == []
    conversations.close()
