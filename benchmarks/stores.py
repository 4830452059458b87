"""What keeping a conversation costs: a run with one call a turn, whose session writes to a log or a database.

python -m benchmarks.stores [TURNS] [postgresql://user@host/database]

A turn keeps four entries, of which two are messages: the reply, the beginning of its call, its result, and the message
of that. The CPU is that of the process, its worker threads included.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio

from tether import Agent, Session, tool
from tether.session import SessionStore
from tether.stores import PostgresStore, SqliteStore
from tether.testing import ScriptedModel, call

AIM = "SQLite 60 us of a message alone, 2 ms a message in a run with full durability"

Open: TypeAlias = Callable[[Path], Session | None]


@tool
async def look() -> str:
    """Look."""
    return "A line or two, as tools return them. " * 3


async def _run(session: Session | None, turns: int) -> int:
    model = ScriptedModel(*[call("look")] * turns, "Done.")
    agent = Agent(model, tools=[look], session=session)
    await agent.prompt("Go.")
    return len(agent.messages)


def _measured(session: Session | None, turns: int) -> tuple[float, float]:
    """Milliseconds of a message in a run: of the clock, and of CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    messages = anyio.run(_run, session, turns)
    return (
        (time.perf_counter() - clock) / messages * 1e3,
        (time.process_time() - cpu) / messages * 1e3,
    )


def _sqlite(path: Path, *, fsync: bool = False) -> Session:
    return Session(SqliteStore(path, "c", fsync=fsync))


STORES: dict[str, Open] = {
    "no session": lambda _: None,
    "a log": Session.open,
    "a log, fsync": lambda path: Session.open(path, fsync=True),
    "SQLite": _sqlite,
    "SQLite, fsync": lambda path: _sqlite(path, fsync=True),
}


@contextmanager
def _with_postgres(url: str | None) -> Iterator[dict[str, Open]]:
    if url is None:
        yield STORES
        return
    from psycopg_pool import ConnectionPool

    with ConnectionPool[Any](url, min_size=1, max_size=2, open=True) as pool:

        def postgres(_: Path) -> Session:
            store: SessionStore = PostgresStore(pool, uuid.uuid4().hex)
            return Session(store)

        yield {**STORES, "PostgreSQL": postgres}


def main(turns: int = 300, url: str | None = None) -> None:
    """Measure, and print."""
    with _with_postgres(url) as stores, tempfile.TemporaryDirectory() as folder:
        for number, (name, opened) in enumerate(stores.items()):
            session = opened(Path(folder) / f"{number}")
            clock, cpu = _measured(session, turns)
            print(f"{name:16}{clock:8.3f} ms a message{cpu:8.3f} ms of CPU")
            if session is not None:
                session.close()
    print(f"(aim: {AIM})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 300, *sys.argv[2:3])
