"""A conversation in a database, as the store of a session."""

import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from threading import get_ident
from typing import Final

from tether import BusyError, LostClaimError, UsageError
from tether.errors import DecodeError
from tether.session import Entry
from tether.session.reading import Reader
from tether.stores.database import Database, Transaction
from tether.stores.summary import Summary, text_of

__all__ = ("LEASE", "DatabaseStore", "check_names", "entries_in", "storable")

_LONGEST_TEXT: Final = 100_000
"""Characters of a row by which conversations are found: PostgreSQL refuses to index more than a megabyte at once."""

LEASE: Final = 30.0
"""Seconds for which a claim holds others off, since it was last renewed."""

# Tokens begin anew where a conversation was deleted and made again: the name of the holder does not come twice.
_HELD: Final = "owner = ? AND id = ? AND token = ? AND holder = ?"


class DatabaseStore:
    """A conversation in a database. It is claimed when this is made, for one writer.

    Args:
        database: where.
        id: the name of the conversation, among those of its owner.
        owner: whose it is.
        lease: seconds for which others are held off, since the last write or renewal. A run renews in time.
        takeover: take the conversation from a writer that is known to be dead.

    Raises:
        BusyError: another writes to it, and its lease has not run out.
        UsageError: a name or a number cannot be what it is.
        DecodeError: what is kept cannot be read.
        Exception: what the database raised.
    """

    def __init__(
        self, database: Database, id: str, *, owner: str = "", lease: float, takeover: bool
    ) -> None:
        check_names(id, owner)
        if not lease > 0:
            raise UsageError(f"a lease must be of more than 0 seconds, not {lease!r}")
        self._database = database
        self._key = (owner, id)
        self._lease = lease
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{get_ident()}:{uuid.uuid4().hex[:8]}"
        with database.transaction() as transaction:
            self._token = self._claim(transaction, takeover=takeover)
            self._kept = entries_in(transaction, owner, id)
        self._summary = Summary.of(self._kept)
        self._place = len(self._kept)
        self._is_open = True
        # Whether all that was kept is known: not where a write has raised.
        self._is_certain = True

    @property
    def renew_every(self) -> float:
        """After how many seconds the lease is to be renewed: a third of what it lasts."""
        return self._lease / 3

    def entries(self) -> Iterable[Entry]:
        """Return what was kept when the conversation was claimed."""
        kept, self._kept = self._kept, []
        return kept

    def append(self, entry: Entry) -> None:
        """Keep an entry; see `append_all`."""
        self.append_all([entry])

    def append_all(self, entries: Sequence[Entry]) -> None:
        """Keep entries, all or none, in one transaction that also compares the claim.

        Where this has raised, they may be kept all the same: the way to a server can be lost between its commit and its
        answer. Give them again first: those that are there are not written twice.

        Raises:
            LostClaimError: another has taken the conversation over, or has written to it.
            UsageError: the store was closed, or JSON cannot hold an entry.
            Exception: what the database raised.
        """
        lines = [entry.line() for entry in entries]
        is_certain, self._is_certain = self._is_certain, False
        with self._database.transaction() as transaction:
            self._prolong(transaction)
            there = 0 if is_certain else self._kept_of(transaction, lines)
            new = list(zip(entries, lines, strict=True))[there:]
            for place, (entry, line) in enumerate(new, self._place + there):
                self._insert(transaction, place, entry, line)
            summary = self._summary.after(entries)
            self._describe(transaction, summary)
        self._is_certain = True
        self._summary = summary
        self._place += len(entries)

    def renew(self) -> None:
        """Have the lease begin anew.

        Raises:
            LostClaimError: another has taken the conversation over.
            UsageError: the store was closed.
            Exception: what the database raised.
        """
        with self._database.transaction() as transaction:
            self._prolong(transaction)

    def close(self) -> None:
        """Let others write to the conversation at once."""
        if not self._is_open:
            return
        self._is_open = False
        with self._database.transaction() as transaction:
            transaction.execute(
                f"UPDATE tether_conversations SET expires = 0 WHERE {_HELD}",
                *self._key,
                self._token,
                self._holder,
            )

    def _claim(self, transaction: Transaction, *, takeover: bool) -> int:
        now = self._database.now(transaction)
        transaction.execute(
            "INSERT INTO tether_conversations (owner, id, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            *self._key,
            now,
        )
        claimed = transaction.execute(
            "UPDATE tether_conversations SET token = token + 1, holder = ?, expires = ? "
            "WHERE owner = ? AND id = ? AND (expires <= ? OR ?) RETURNING token",
            self._holder,
            now + self._lease,
            *self._key,
            now,
            takeover,
        )
        if claimed:
            return int(claimed[0][0])
        [(holder, expires)] = transaction.execute(
            "SELECT holder, expires FROM tether_conversations WHERE owner = ? AND id = ?",
            *self._key,
        )
        raise BusyError(
            f"another writes to the conversation {self._key[1]!r}: {holder}, whose lease runs for another "
            f"{expires - now:.0f} s. Wait, or take it over where that writer is dead",
            hint=" (takeover=True)",
            retry_after=expires - now,
        )

    def _prolong(self, transaction: Transaction) -> None:
        if not self._is_open:
            raise UsageError(f"the store of the conversation {self._key[1]!r} was closed")
        held = transaction.execute(
            f"UPDATE tether_conversations SET expires = ? WHERE {_HELD} RETURNING token",
            self._database.now(transaction) + self._lease,
            *self._key,
            self._token,
            self._holder,
        )
        if not held:
            raise LostClaimError(
                f"another has taken the conversation {self._key[1]!r} over, or it was deleted: nothing more is written"
            )

    def _kept_of(self, transaction: Transaction, lines: Sequence[bytes]) -> int:
        """Say how many of these lines an earlier write has kept, whose answer was lost.

        Raises:
            LostClaimError: something else is there.
        """
        rows = transaction.execute(
            "SELECT line FROM tether_entries WHERE owner = ? AND id = ? AND place >= ? ORDER BY place",
            *self._key,
            self._place,
        )
        there = [line for (line,) in rows]
        if there != [_row(line) for line in lines[: len(there)]]:
            raise LostClaimError(
                f"the conversation {self._key[1]!r} has {len(there)} entries that this writer has not written, or has "
                "written and not given again: nothing more is written. What is not kept is in Session.behind"
            )
        return len(there)

    def _insert(self, transaction: Transaction, place: int, entry: Entry, line: bytes) -> None:
        transaction.execute(
            "INSERT INTO tether_entries (owner, id, place, line) VALUES (?, ?, ?, ?)",
            *self._key,
            place,
            _row(line),
        )
        text = storable(text_of(entry))
        for start in range(0, len(text), _LONGEST_TEXT):
            transaction.execute(
                "INSERT INTO tether_texts (owner, id, body) VALUES (?, ?, ?)",
                *self._key,
                text[start : start + _LONGEST_TEXT],
            )

    def _describe(self, transaction: Transaction, summary: Summary) -> None:
        title = storable(summary.shown)
        transaction.execute(
            "UPDATE tether_conversations SET title = ?, folded = ?, model = ?, messages = ?, updated = ? "
            "WHERE owner = ? AND id = ?",
            title,
            title.casefold(),
            storable(summary.model),
            summary.messages,
            summary.updated,
            *self._key,
        )


def _row(line: bytes) -> str:
    return line.decode().removesuffix("\n")


def entries_in(transaction: Transaction, owner: str, id: str) -> list[Entry]:
    """Read the entries of a conversation.

    Raises:
        DecodeError: one cannot be read; the text names the conversation and the place.
    """
    rows = transaction.execute(
        "SELECT line FROM tether_entries WHERE owner = ? AND id = ? ORDER BY place", owner, id
    )
    reader = Reader()
    entries = list(reader.entries((line.encode() for (line,) in rows), first=1))
    if reader.damage:
        raise DecodeError(str(reader.damage[0].error), path=f"conversation {id!r}")
    return entries


def storable(text: str) -> str:
    """Replace what no database takes: halves of surrogate pairs, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def check_names(id: str, owner: str) -> None:
    """Check what names a conversation.

    Raises:
        UsageError: one of them is none that databases take.
    """
    for what, name in (("id", id), ("owner", owner)):
        fits = isinstance(name, str) and storable(name) == name  # pyright: ignore[reportUnnecessaryIsInstance]
        if not fits or (what == "id" and not name):
            raise UsageError(f"the {what} of a conversation must be a name, not {name!r}")
