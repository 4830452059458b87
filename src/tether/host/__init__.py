"""Conversations that outlive their viewers: see README.md in this folder.

    async with tether.host.open(make_agent, store=FolderStore("conversations")) as host:
        talk = await host.conversation("id")
        talk.say("hello")
        async for number, event in talk.follow():
            ...

There is no web in it.
"""

from tether.host.commands import expand
from tether.host.conversation import Conversation
from tether.host.errors import EndedError, HostLimit, LimitReachedError, NotFoundError
from tether.host.folder import FolderStore
from tether.host.host import Host, MakeAgent
from tether.host.opening import WhenUnwatched, open
from tether.host.recordings import RecordedFile, Recordings
from tether.host.runs import SayWhen
from tether.host.snapshot import Snapshot
from tether.host.store import ConversationInfo, ConversationState, Store
from tether.host.viewers import Ended, Viewer

__all__ = (
    "Conversation",
    "ConversationInfo",
    "ConversationState",
    "Ended",
    "EndedError",
    "FolderStore",
    "Host",
    "HostLimit",
    "LimitReachedError",
    "MakeAgent",
    "NotFoundError",
    "RecordedFile",
    "Recordings",
    "SayWhen",
    "Snapshot",
    "Store",
    "Viewer",
    "WhenUnwatched",
    "expand",
    "open",
)
