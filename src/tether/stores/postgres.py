"""Conversations in a PostgreSQL database, which several machines share (extra `postgres`: psycopg and its pool).

psycopg's synchronous side is used, in worker threads: its asynchronous side does not run on trio.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, ForwardRef, TypeAlias

from attrs import frozen

from tether import UsageError
from tether.stores.conversations import Conversations, like
from tether.stores.database import VERSION, Row, Transaction
from tether.stores.store import LEASE, DatabaseStore

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

    Pool: TypeAlias = ConnectionPool[Any]
else:  # `typing.get_type_hints` imports it
    Pool = ForwardRef("import_module('psycopg_pool').ConnectionPool", module="importlib")

__all__ = ("PostgresConversations", "PostgresStore")

_LOCK: Final = 0x7E7E8
"""The advisory lock under which tables are made."""

_TABLES: Final = (
    "CREATE TABLE tether_version (version integer NOT NULL)",
    """CREATE TABLE tether_conversations (
        owner text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        created double precision NOT NULL,
        updated double precision NOT NULL DEFAULT 0,
        title text NOT NULL DEFAULT '',
        folded text NOT NULL DEFAULT '',
        model text NOT NULL DEFAULT '',
        messages bigint NOT NULL DEFAULT 0,
        token bigint NOT NULL DEFAULT 0,
        holder text NOT NULL DEFAULT '',
        expires double precision NOT NULL DEFAULT 0,
        PRIMARY KEY (owner, id)
    )""",
    "CREATE INDEX tether_conversations_by_time ON tether_conversations (owner, updated, id)",
    """CREATE TABLE tether_entries (
        owner text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        place bigint NOT NULL,
        line text NOT NULL,
        PRIMARY KEY (owner, id, place)
    )""",
    'CREATE TABLE tether_texts (owner text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, body text NOT NULL)',
    "CREATE INDEX tether_texts_by_conversation ON tether_texts (owner, id)",
    "CREATE INDEX tether_texts_by_words ON tether_texts USING gin (to_tsvector('simple', body))",
)


class PostgresStore(DatabaseStore):
    """A conversation in a PostgreSQL database, for `tether.Session`.

    Args:
        pool: connections to it, which stay the caller's. A connection that is lost is replaced by the pool; what a run
            could not write ends the run.
        id: the name of the conversation, among those of its owner.
        owner: whose it is.
        lease: seconds for which other writers are held off, since the last write or renewal, by the server's clock.
        takeover: take the conversation from a writer that is known to be dead.

    Raises:
        BusyError: another writes to the conversation.
        UsageError: the tables are of a newer version.
        DecodeError: what is kept cannot be read.
        psycopg.Error: what else the server or the way to it raised.
    """

    def __init__(
        self,
        pool: "Pool",
        id: str,
        *,
        owner: str = "",
        lease: float = LEASE,
        takeover: bool = False,
    ) -> None:
        super().__init__(_Postgres(pool), id, owner=owner, lease=lease, takeover=takeover)


class PostgresConversations(Conversations):
    """All conversations of a PostgreSQL database; see `Conversations`.

    Args:
        pool: connections to it, which stay the caller's; or an address, such as `postgresql://user@host/database`,
            for a pool of its own that `close` closes.
        lease: seconds for which the writer of a conversation holds others off.
        takeover: take conversations from writers that are known to be dead.

    Raises:
        UsageError: the tables are of a newer version, or the extra `postgres` is not installed.
        psycopg.Error: what else the server or the way to it raised.
    """

    def __init__(self, pool: "Pool | str", *, lease: float = LEASE, takeover: bool = False) -> None:
        own = _pool_to(pool) if isinstance(pool, str) else None
        try:
            super().__init__(_Postgres(own or pool), lease=lease, takeover=takeover)  # type: ignore[arg-type]
        except BaseException:
            if own is not None:
                own.close()
            raise
        self._own = own

    def close(self) -> None:
        """Close the pool, if it is its own."""
        if self._own is not None:
            self._own.close()


def _pool_to(url: str) -> "Pool":
    """Open a pool of a few connections.

    Args:
        url: such as `postgresql://user@host/database`.

    Raises:
        UsageError: the extra `postgres` is not installed.
        psycopg.Error: the server cannot be reached within ten seconds.
    """
    try:
        from psycopg import connect  # noqa: PLC0415 - an extra
        from psycopg_pool import ConnectionPool  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "conversations in PostgreSQL need the extra `postgres`: pip install 'tether[postgres]'"
        ) from None
    connect(url, connect_timeout=10).close()  # it says why there is none, where a pool tries again
    pool: Pool = ConnectionPool(url, min_size=1, max_size=4, timeout=10, open=False)
    pool.open(wait=True, timeout=10)
    return pool


@frozen
class _Open:
    """A transaction that is open."""

    _connection: "Connection[Any]"

    def execute(self, sql: str, *values: object) -> Sequence[Row]:
        cursor = self._connection.execute(sql.replace("?", "%s"), values or None)  # type: ignore[arg-type,unused-ignore]  # pyright: ignore[reportArgumentType, reportCallIssue]
        return cursor.fetchall() if cursor.description else ()


class _Postgres:
    """A `Database` over a pool."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._pool = pool
        with self.transaction() as transaction:
            _set_up(transaction)

    @contextmanager
    def transaction(self) -> Iterator[_Open]:
        with self._pool.connection() as connection, connection.transaction():
            yield _Open(connection)

    def now(self, transaction: Transaction) -> float:
        [(now,)] = transaction.execute(
            "SELECT extract(epoch FROM clock_timestamp())::double precision"
        )
        return float(now)

    def matches(self, words: str) -> tuple[str, Sequence[object]]:
        """Have words found by their beginnings, all of them in one message."""
        parts = re.findall(r"\w+", words)
        if not parts:
            return r"body LIKE ? ESCAPE '\'", [like(words)]
        query = " & ".join(f"{part}:*" for part in parts)
        return "to_tsvector('simple', body) @@ to_tsquery('simple', ?)", [query]

    def close(self) -> None:
        """Do nothing: the pool is the caller's."""


def _set_up(transaction: Transaction) -> None:
    transaction.execute("SELECT pg_advisory_xact_lock(?)", _LOCK)
    [(there,)] = transaction.execute("SELECT to_regclass('tether_version')")
    if there is None:
        for statement in _TABLES:
            transaction.execute(statement)
        transaction.execute("INSERT INTO tether_version (version) VALUES (?)", VERSION)
        return
    [(version,)] = transaction.execute("SELECT max(version) FROM tether_version")
    if version > VERSION:
        raise UsageError(
            f"this database is of version {version}; this tether knows versions up to {VERSION}"
        )
