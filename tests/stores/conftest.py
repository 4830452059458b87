"""The databases that stores are tried with: SQLite, and a real PostgreSQL where one is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import frozen
from tests.ports import reserved_port

from tether.stores import (
    Conversations,
    PostgresConversations,
    PostgresStore,
    SqliteConversations,
    SqliteStore,
)
from tether.stores.store import DatabaseStore


@frozen
class Place:
    """A database that is empty at first: how to open a conversation of it, and all of them."""

    store: Callable[..., DatabaseStore]
    conversations: Callable[..., Conversations]


Server: TypeAlias = str


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _as_its_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run for root."""
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server of its own, on loopback."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg_pool")
    is_root = os.getuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="tether-postgres-"))  # the path of which is short enough
    if is_root:
        os.chown(folder, 65534, 65534)
    run_as = _as_its_user if is_root else list
    data = str(folder / "data")
    made = [str(programs / "initdb"), "-D", data, "-U", "tether", "-A", "trust", "-E", "UTF8"]
    subprocess.run(run_as(made), check=True, capture_output=True, cwd="/")
    control = [str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
    with reserved_port() as port:
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run(run_as([*control, "-o", options, "start"]), check=True, cwd="/")
        try:
            yield f"postgresql://tether@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(run_as([*control, "-m", "immediate", "stop"]), check=True, cwd="/")
            shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database."""
    if request.param == "sqlite":
        path = tmp_path / "app.db"

        def conversations(**options: Any) -> Conversations:
            made = SqliteConversations(path, **options)
            request.addfinalizer(made.close)
            return made

        stores: list[SqliteStore] = []

        def store(id: str, **options: Any) -> SqliteStore:
            stores.append(SqliteStore(path, id, **options))
            return stores[-1]

        yield Place(store, conversations)
        for one in stores:
            with suppress(Exception):  # it was closed
                one.close()
        return
    import psycopg
    from psycopg_pool import ConnectionPool

    url = request.getfixturevalue("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with ConnectionPool[Any](url, min_size=1, max_size=4, open=True) as pool:
        yield Place(
            lambda id, **options: PostgresStore(pool, id, **options),
            lambda **options: PostgresConversations(pool, **options),
        )
