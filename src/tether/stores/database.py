"""What stores need of a database: transactions, and the few things that databases say differently."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeAlias

__all__ = ("VERSION", "Database", "Row", "Transaction")

VERSION: Final = 1
"""The version of the tables."""

Row: TypeAlias = tuple[Any, ...]


class Transaction(Protocol):
    """A transaction that is open. It blocks."""

    def execute(self, sql: str, *values: object) -> Sequence[Row]:
        """Carry out a statement with a `?` for each value, and return its rows."""
        ...


class Database(Protocol):
    """A database. It blocks, and may be used from several threads."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that is committed when the block ends, and rolled back where it raises.

        It is certain of what it has read: no other changes that before it has ended.
        """
        ...

    def now(self, transaction: Transaction) -> float:
        """Say what time it is, in seconds since the epoch, by a clock that all writers share."""
        ...

    def matches(self, words: str) -> tuple[str, Sequence[object]]:
        """Make the condition that a row `texts.body` contains some words, case aside, with its values."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
