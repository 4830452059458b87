"""Conversations in databases: sessions that several processes and machines share.

    tether.Session(SqliteStore("app.db", "holiday"))
    tether.Session(PostgresStore(pool, "holiday", lease=30))       # extra `postgres`

A session over one of these is given to an `Agent` like any other. What a run adds is written in a worker thread, and
every message is kept before it is announced (see `tether.session.BatchStore`). A host keeps all its conversations in a
database with `tether.host.open(make_agent, store=SqliteConversations("app.db"))`.

A conversation has one writer at a time. It holds a claim, a number that every write compares: a second writer is
refused with `BusyError` while the lease of the first lasts, or takes over, and the first one writes nothing more.

    sqlite, postgres   the two databases
    store              one conversation as a session's store: its claim, its entries
    conversations      all conversations: list, search, delete, copy
    summary            what is known of a conversation without reading it
    database           what the above need of a database
"""

from tether.stores.conversations import Conversations
from tether.stores.opening import conversations_at
from tether.stores.postgres import PostgresConversations, PostgresStore
from tether.stores.sqlite import SqliteConversations, SqliteStore

__all__ = (
    "Conversations",
    "PostgresConversations",
    "PostgresStore",
    "SqliteConversations",
    "SqliteStore",
    "conversations_at",
)
