"""Open the conversations that an address names."""

from urllib.parse import unquote, urlsplit

from tether import UsageError
from tether.stores.conversations import Conversations
from tether.stores.postgres import PostgresConversations
from tether.stores.sqlite import SqliteConversations

__all__ = ("conversations_at",)


def conversations_at(url: str, *, takeover: bool = False) -> Conversations:
    """Open the conversations that an address names. It blocks.

    Args:
        url: `sqlite:///app.db` (a path from here), `sqlite:////var/app.db` (one from the root), or `postgresql://...`.
        takeover: take conversations from writers that are known to be dead.

    Returns:
        The conversations, to be closed.

    Raises:
        UsageError: it names no database that is known, or an extra is not installed.
        Exception: what the database raised.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "sqlite" if not parts.netloc and len(parts.path) > 1:
            return SqliteConversations(unquote(parts.path[1:]), takeover=takeover)
        case "postgresql" | "postgres":
            return PostgresConversations(url, takeover=takeover)
        case _:
            raise UsageError(
                f"{parts.scheme or url!r} names no database: write sqlite:///app.db or postgresql://host/database"
            )
