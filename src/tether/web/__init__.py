"""Agents in web applications, on Starlette: see README.md in this folder."""

from tether.web.application import app, mount
from tether.web.remote.client import ListedCommand, Remote, RemoteConversation, connect
from tether.web.remote.errors import RemoteError
from tether.web.remote.follower import Changed, Followed, Follower, Snapshot
from tether.web.response import EventStreamResponse
from tether.web.security import Authorise, Bounds
from tether.web.tokens import Tokens

__all__ = (
    "Authorise",
    "Bounds",
    "Changed",
    "EventStreamResponse",
    "Followed",
    "Follower",
    "ListedCommand",
    "Remote",
    "RemoteConversation",
    "RemoteError",
    "Snapshot",
    "Tokens",
    "app",
    "connect",
    "mount",
)
