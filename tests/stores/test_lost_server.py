"""A PostgreSQL that is lost in the middle of a run: a plain error, and nothing is announced that is not kept."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from attrs import define, field

from tether import Agent, Event, LostClaimError, MessageEnd, Session, ToolExecutionEnd, tool
from tether.stores import PostgresConversations, PostgresStore
from tether.testing import ScriptedModel, call, check_events, check_transcript


@define
class Way:
    """The way to a server, which can be cut and mended."""

    port: int
    """Of the server."""
    own: int = 0
    """Where it begins."""
    swallows: bool = False
    """Whether it is lost with the next answer that says that something was committed."""
    _listener: socket.socket | None = None
    _ends: list[socket.socket] = field(factory=list)

    def mend(self) -> None:
        listener = self._listener = socket.create_server(("127.0.0.1", self.own))
        self.own = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        for one in (self._listener, *self._ends):
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it was cut
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.swallows and b"COMMIT\0" in data and source.getpeername()[1] == self.port:
                    self.swallows = False
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def way(postgres: str) -> Iterator[Way]:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    made = Way(int(postgres.rpartition(":")[2].partition("/")[0]))
    made.mend()
    yield made
    made.cut()


async def test_a_server_that_is_lost_ends_the_run_and_nothing_is_announced_that_is_not_kept(
    way: Way, postgres: str
) -> None:
    import psycopg
    from psycopg_pool import ConnectionPool

    @tool
    async def lose() -> str:
        """Lose the server."""
        way.cut()
        return "lost"

    url = postgres.replace(f":{way.port}/", f":{way.own}/")
    with ConnectionPool[Any](url, min_size=1, max_size=2, timeout=0.5, open=True) as pool:
        session = Session(PostgresStore(pool, "trip"))
        agent = Agent(ScriptedModel(call("lose")), tools=[lose], session=session)
        events: list[Event] = []
        with anyio.fail_after(60):
            with pytest.raises(psycopg.OperationalError):
                async with agent.run("go") as run:
                    async for event in run:
                        events.append(event)
        check_events(events, complete=False)
        check_transcript(agent.messages)
        assert not any(isinstance(event, ToolExecutionEnd) for event in events)
        told = [event.message.id for event in events if isinstance(event, MessageEnd)]
        with (
            ConnectionPool[Any](postgres, min_size=1, max_size=2, open=True) as direct,
            Session(PostgresStore(direct, "trip", takeover=True)) as kept,
        ):
            there = {entry.data.get("id") for entry in kept.entries.values()}
            assert len(told) == 2
            assert set(told) <= there
            opened = kept.open_calls
            assert opened is not None
            fates = [opened.fate(one, idempotent=False) for one in opened.calls]
            assert fates == ["interrupted"]


async def test_a_commit_whose_answer_is_lost_is_found_by_the_next_write(
    way: Way, postgres: str
) -> None:
    import psycopg
    from psycopg_pool import ConnectionPool

    @tool
    async def lose() -> str:
        """Lose the answer to what is committed next."""
        way.swallows = True
        return "done"

    url = postgres.replace(f":{way.port}/", f":{way.own}/")
    with anyio.fail_after(60), ConnectionPool[Any](url, min_size=1, max_size=2, open=True) as pool:
        session = Session(PostgresStore(pool, "trip"))
        agent = Agent(ScriptedModel(call("lose"), "Well."), tools=[lose], session=session)
        with pytest.raises(psycopg.OperationalError):
            await agent.prompt("go")
        assert (await agent.prompt()).text == "Well."
        assert not session.behind
        session.close()
        with Session(PostgresStore(pool, "trip")) as kept:
            assert kept.messages == session.messages == agent.messages
            assert list(kept.entries) == list(session.entries)
        [info] = await PostgresConversations(pool).find()
        assert info.messages == len(agent.messages)
    check_transcript(agent.messages)


async def test_what_another_has_written_meanwhile_is_left_and_what_is_not_kept_is_not_lost(
    way: Way, postgres: str
) -> None:
    import psycopg
    from psycopg_pool import ConnectionPool

    url = postgres.replace(f":{way.port}/", f":{way.own}/")
    with anyio.fail_after(60), ConnectionPool[Any](url, min_size=1, max_size=2, open=True) as pool:
        session = Session(PostgresStore(pool, "trip"))
        label = session.label("mine")
        way.swallows = True
        with pytest.raises(psycopg.OperationalError):
            await session.flush()
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("UPDATE tether_entries SET line = replace(line, 'mine', 'theirs')")
        for _ in range(2):
            with pytest.raises(LostClaimError, match="'trip' has 1 entries that this writer"):
                await session.flush()
        assert session.behind == (label,)
