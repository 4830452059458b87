"""Conversations in a database, as `--store` names it."""

from typing import Final

import click

from tether import UsageError
from tether.stores import conversations_at
from tether.stores.conversations import Conversations

__all__ = ()

takeover: Final = click.option(
    "--takeover",
    is_flag=True,
    help="take conversations at once from a process that was killed; only where no other process uses them",
)
"""For commands with `--store`."""


def is_database(store: str | None) -> bool:
    """Say whether `--store` names a database, and no folder."""
    return "://" in (store or "")


def check_takeover(store: str | None, *, takeover: bool) -> None:
    """Check that there is something to take over.

    Raises:
        click.UsageError: conversations are not in a database.
    """
    if takeover and not is_database(store):
        raise click.UsageError("--takeover needs --store with a database, such as sqlite:///app.db")


def opened(store: str, *, takeover: bool) -> Conversations:
    """Open the database. It blocks.

    Raises:
        UsageError: it names no database, or that cannot be reached.
        OSError: its file cannot be opened.
    """
    try:
        return conversations_at(store, takeover=takeover)
    except (UsageError, OSError):
        raise
    except Exception as error:  # the drivers have errors of their own, and may not be installed
        raise UsageError(f"--store: {str(error).strip()}") from error
