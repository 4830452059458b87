"""Conversations in an SQLite database: one file, shared by the processes of one machine."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Final

from attrs import frozen

from tether import UsageError
from tether.stores.conversations import Conversations, like
from tether.stores.database import VERSION, Row, Transaction
from tether.stores.store import LEASE, DatabaseStore

__all__ = ("SqliteConversations", "SqliteStore")

_PATIENCE: Final = 10.0
"""Seconds to wait for another process that writes."""

_TABLES: Final = """
CREATE TABLE tether_conversations (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL DEFAULT 0,
    title TEXT NOT NULL DEFAULT '',
    folded TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    messages INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    holder TEXT NOT NULL DEFAULT '',
    expires REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX tether_conversations_by_time ON tether_conversations (owner, updated, id);
CREATE TABLE tether_entries (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    place INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (owner, id, place)
);
CREATE VIRTUAL TABLE tether_texts USING fts5(owner UNINDEXED, id UNINDEXED, body, tokenize = 'trigram');
"""
_SHORTEST_MATCH: Final = 3
"""Characters that the index can find."""


class SqliteStore(DatabaseStore):
    """A conversation in an SQLite database, for `tether.Session`.

    Args:
        path: the file, made where there is none, for its owner alone.
        id: the name of the conversation, among those of its owner.
        owner: whose it is.
        lease: seconds for which other writers are held off, since the last write or renewal.
        takeover: take the conversation from a writer that is known to be dead.
        fsync: wait at each write until the disk has it, so that it survives a power cut; a crash of the program it
            survives anyway.

    Raises:
        BusyError: another writes to the conversation.
        UsageError: the file is not a database of conversations, or one of a newer version.
        DecodeError: what is kept cannot be read.
        sqlite3.Error: what else SQLite raised.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        id: str,
        *,
        owner: str = "",
        lease: float = LEASE,
        takeover: bool = False,
        fsync: bool = False,
    ) -> None:
        self._sqlite = _Sqlite(path, fsync=fsync)
        try:
            super().__init__(self._sqlite, id, owner=owner, lease=lease, takeover=takeover)
        except BaseException:
            self._sqlite.close()
            raise

    def close(self) -> None:
        """Let others write to the conversation at once, and close the file."""
        try:
            super().close()
        finally:
            self._sqlite.close()


class SqliteConversations(Conversations):
    """All conversations of an SQLite database, through one connection; see `Conversations`.

    Args:
        path: the file, made where there is none, for its owner alone.
        lease: seconds for which the writer of a conversation holds others off.
        takeover: take conversations from writers that are known to be dead.
        fsync: wait at each write until the disk has it.

    Raises:
        UsageError: the file is not a database of conversations, or one of a newer version.
        sqlite3.Error: what else SQLite raised.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = LEASE,
        takeover: bool = False,
        fsync: bool = False,
    ) -> None:
        super().__init__(_Sqlite(path, fsync=fsync), lease=lease, takeover=takeover)


@frozen
class _Open:
    """A transaction that is open."""

    _connection: sqlite3.Connection

    def execute(self, sql: str, *values: object) -> Sequence[Row]:
        return self._connection.execute(sql, values).fetchall()


class _Sqlite:
    """A `Database`: one connection, which threads take turns with."""

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool) -> None:
        name = os.fspath(path)
        if not name:
            raise UsageError("an SQLite database must have a path")
        _make_private(name)
        self._turns = RLock()
        self._connection = sqlite3.connect(
            name, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            self._set_up(fsync=fsync)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise UsageError(f"{name} is not an SQLite database: {error}") from error
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[_Open]:
        with self._turns:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield _Open(self._connection)
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def now(self, transaction: Transaction) -> float:
        del transaction
        return time.time()

    def matches(self, words: str) -> tuple[str, Sequence[object]]:
        if len(words) < _SHORTEST_MATCH:
            return r"body LIKE ? ESCAPE '\'", [like(words)]
        quoted = words.replace('"', '""')
        return "tether_texts MATCH ?", [f'body : "{quoted}"']

    def close(self) -> None:
        with self._turns:
            self._connection.close()

    def _set_up(self, *, fsync: bool) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        with self.transaction() as transaction:
            [(version,)] = transaction.execute("PRAGMA user_version")
            if version > VERSION:
                raise UsageError(
                    f"this database is of version {version}; this tether knows versions up to {VERSION}"
                )
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    transaction.execute(statement)
                transaction.execute(f"PRAGMA user_version = {VERSION}")


def _make_private(name: str) -> None:
    if name == ":memory:":
        return
    with suppress(FileExistsError):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
