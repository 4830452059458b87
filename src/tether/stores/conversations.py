"""All conversations of a database: opened, listed, searched, deleted, copied from and to files."""

from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync

from tether import BusyError, Session, UsageError
from tether.host.store import ConversationInfo
from tether.stores.database import Database, Transaction
from tether.stores.store import LEASE, DatabaseStore, check_names, entries_in, storable

__all__ = ("Conversations",)

_COLUMNS: Final = "id, title, owner, updated, model, messages"
_WAYS_TO_DELETE: Final = ("tether_entries", "tether_texts", "tether_conversations")


class Conversations:
    """All conversations of a database. It is a `tether.host.Store`.

    Args:
        database: where they are.
        lease: seconds for which the writer of a conversation holds others off.
        takeover: take conversations from writers that are known to be dead.
    """

    def __init__(self, database: Database, *, lease: float = LEASE, takeover: bool = False) -> None:
        self._database = database
        self._lease = lease
        self._takeover = takeover

    async def open(self, id: str, owner: str = "", *, create: bool = True) -> Session | None:
        """Open a conversation to write to.

        Args:
            id: its name, among those of its owner.
            owner: whose it is.
            create: whether it is made where there is none.

        Returns:
            Its session, to be closed; None where there is none.

        Raises:
            BusyError: another writes to it.
            UsageError: the id or the owner cannot be a name.
            DecodeError: what is kept cannot be read.
            Exception: what the database raised.

        Cancellation:
            Before it begins, or after its end.
        """
        return await run_sync(partial(self._opened, id, owner, create=create))

    async def find(
        self,
        owner: str = "",
        *,
        search: str = "",
        limit: int = 50,
        before: tuple[float, str] | None = None,
    ) -> Sequence[ConversationInfo]:
        """List conversations that have messages, the last one that was written to first.

        Args:
            owner: whose.
            search: words that the title or a message contains, case aside; all conversations if empty.
            limit: how many at most.
            before: only those whose `place` is lower.

        Returns:
            What is known of each.

        Raises:
            UsageError: the owner cannot be a name.

        Cancellation:
            At once; the thread only reads.
        """
        check_names("any", owner)
        find = partial(self._found, owner, storable(search).strip(), limit, before)
        return await run_sync(find, abandon_on_cancel=True)

    async def delete(self, id: str, owner: str = "") -> bool:
        """Delete a conversation.

        Returns:
            Whether there was one.

        Raises:
            BusyError: somebody writes to it.
            UsageError: the id or the owner cannot be a name.

        Cancellation:
            Before it begins, or after its end.
        """
        return await run_sync(partial(self._deleted, id, owner))

    async def bring_in(self, path: str | PathLike[str], id: str, owner: str = "") -> None:
        """Copy a session from a log file into a conversation that is new.

        Raises:
            UsageError: there is such a conversation already, or the file cannot be read as it is.
            DecodeError: the file is not a session.
            OSError: the file cannot be opened.

        Cancellation:
            Before it begins, or after its end.
        """
        await run_sync(partial(self._brought_in, Path(path), id, owner))

    async def take_out(self, id: str, path: str | PathLike[str], owner: str = "") -> None:
        """Copy a conversation, which others may write to, to a new log file.

        Raises:
            UsageError: there is no such conversation, or it cannot be a name.
            FileExistsError: there is a file already.

        Cancellation:
            Before it begins, or after its end.
        """
        await run_sync(partial(self._taken_out, id, Path(path), owner))

    def close(self) -> None:
        """Let go of the database. Sessions that are open cannot write any more."""
        self._database.close()

    def _opened(self, id: str, owner: str, *, create: bool) -> Session | None:
        check_names(id, owner)
        if not create:
            with self._database.transaction() as transaction:
                if not _exists(transaction, id, owner):
                    return None
        return Session(self._store(id, owner))

    def _store(self, id: str, owner: str) -> DatabaseStore:
        return DatabaseStore(
            self._database, id, owner=owner, lease=self._lease, takeover=self._takeover
        )

    def _found(
        self, owner: str, words: str, limit: int, before: tuple[float, str] | None
    ) -> list[ConversationInfo]:
        conditions, values = ["owner = ?", "messages > 0"], list[object]([owner])
        if before is not None:
            conditions.append("(updated, id) < (?, ?)")
            updated, id = before
            values += (updated, storable(id))
        if words:
            contains, needed = self._database.matches(words)
            conditions.append(
                r"(folded LIKE ? ESCAPE '\' OR "
                f"id IN (SELECT id FROM tether_texts WHERE owner = ? AND {contains}))"
            )
            values += [like(words.casefold()), owner, *needed]
        with self._database.transaction() as transaction:
            rows = transaction.execute(
                f"SELECT {_COLUMNS} FROM tether_conversations WHERE {' AND '.join(conditions)} "
                "ORDER BY updated DESC, id DESC LIMIT ?",
                *values,
                limit,
            )
        return [_info(*row) for row in rows]

    def _deleted(self, id: str, owner: str) -> bool:
        check_names(id, owner)
        with self._database.transaction() as transaction:
            there = transaction.execute(
                "UPDATE tether_conversations SET token = token + 1 "
                "WHERE owner = ? AND id = ? AND (expires <= ? OR ?) RETURNING token",
                owner,
                id,
                self._database.now(transaction),
                self._takeover,
            )
            if not there and _exists(transaction, id, owner):
                raise BusyError(f"somebody writes to the conversation {id!r}: it is not deleted")
            for table in _WAYS_TO_DELETE:
                transaction.execute(f"DELETE FROM {table} WHERE owner = ? AND id = ?", owner, id)
            return bool(there)

    def _brought_in(self, path: Path, id: str, owner: str) -> None:
        check_names(id, owner)
        with Session.read(path) as session:
            entries = list(session.entries.values())
        with self._database.transaction() as transaction:
            if _exists(transaction, id, owner):
                raise UsageError(f"there is a conversation {id!r} already")
        store = self._store(id, owner)
        try:
            store.append_all(entries)
        finally:
            store.close()

    def _taken_out(self, id: str, path: Path, owner: str) -> None:
        check_names(id, owner)
        with self._database.transaction() as transaction:
            if not _exists(transaction, id, owner):
                raise UsageError(f"there is no conversation {id!r}")
            entries = entries_in(transaction, owner, id)
        with Session(_Entries(entries)) as session:
            session.copy_to(path)


class _Entries:
    """A store of what is there already."""

    def __init__(self, entries: Sequence[Any]) -> None:
        self._entries = entries

    def entries(self) -> Sequence[Any]:
        return self._entries

    def append(self, entry: object) -> None:
        raise UsageError("this session was opened for reading")

    def close(self) -> None: ...


def like(words: str) -> str:
    r"""Make a pattern for LIKE, with `\` as its escape, that finds these words anywhere."""
    for character in ("\\", "%", "_"):
        words = words.replace(character, f"\\{character}")
    return f"%{words}%"


def _exists(transaction: Transaction, id: str, owner: str) -> bool:
    return bool(
        transaction.execute(
            "SELECT 1 FROM tether_conversations WHERE owner = ? AND id = ?", owner, id
        )
    )


def _info(
    id: str, title: str, owner: str, updated: float, model: str, messages: int
) -> ConversationInfo:
    return ConversationInfo(
        id=id,
        title=title,
        owner=owner,
        updated=updated,
        state="idle",
        model=model,
        messages=messages,
    )
