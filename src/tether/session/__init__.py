"""A conversation in a file: an append-only log, one JSON object a line, that resumes and forks.

    {"format": 1, "id": "...", "time": ...}                                            the header
    {"id": "...", "parent": null, "kind": "message", "time": ..., "data": {...}}        an entry
    {"id": "...", "parent": "...", "kind": "label", "time": ..., "data": {"text": "..."}}

Each entry names the one before it, so the log is a tree, and a conversation is a branch: from the root to a leaf.
A fork is nothing but a new entry behind an older one: it copies nothing and loses nothing. What an agent within the
agent says is a conversation of its own: it begins with an entry of the kind `child`, at the root, and is never the one
that goes on when a session is opened. What tool calls come to is noted in entries of the kinds `asked`, `begun` and
`result` (see `calls.py`).

A file is a session when its first line says so; until then nothing in it is touched. What was written is changed by a
repair alone. What a crash leaves half written at the end is set aside, in a file of its own beside the log, and
reported; everything before it is there. Lines without a header, each a message, are format 0: they are read, and
entries may follow them. Entries of a kind that is not known are kept.

Writing is done in place, without a thread: an append takes microseconds. With `fsync` it takes as long as the
disk does.
"""

from tether.session.entries import Entry
from tether.session.listing import SessionInfo, sessions
from tether.session.session import BatchStore, LeasedStore, Session, SessionStore

__all__ = (
    "BatchStore",
    "Entry",
    "LeasedStore",
    "Session",
    "SessionInfo",
    "SessionStore",
    "sessions",
)
