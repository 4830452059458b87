"""The events of a conversation as server-sent events, for one viewer.

    hello      first of all: the epoch, the number of the last event, and what `changed` tells
    snapshot   where the viewer's place is not known: the conversation as it is; events go on behind its number
    (message)  an event, with the id EPOCH-NUMBER
    changed    title, state, model, usage, cost, or what is queued are different
    deleted    the conversation was deleted; nothing follows

A viewer that comes back names its place by `Last-Event-ID`, or by `?after=` where it has none. Numbers count within an
epoch, which differs each time that a conversation comes back from the store.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.types import Scope

from tether import Event, to_json
from tether.embedding.task_group import open_task_group
from tether.host import Conversation, Viewer
from tether.serialize import to_builtins
from tether.web.sse import frame
from tether.web.streaming import Body, StreamedResponse

__all__ = ("Feed", "place_of", "snapshot_json")

_MORE_AT_ONCE: Final = 31

_SHOWN: Final = 1000
"""Characters of a message that waits: enough to know it by."""


class Feed(StreamedResponse):
    """Streams a conversation to a viewer, until it goes.

    Args:
        talk: the conversation.
        place: the id of the last event that the viewer has got; `0` for none.
    """

    def __init__(self, talk: Conversation, place: str) -> None:
        super().__init__()
        self._talk = talk
        self._place = place

    async def write(self, scope: Scope, body: Body) -> None:
        """Write the events; see `StreamedResponse`."""
        talk = self._talk
        told, revision = summary(talk), talk.revision
        hello = {"epoch": talk.epoch, "number": talk.number, **told}
        await body.send(_named("hello", hello))
        number = _number(talk, self._place)
        if number is None:
            number, snapshot = snapshot_json(talk)
            await body.send(frame(snapshot, event="snapshot", id=f"{talk.epoch}-{number}"))
        async with open_task_group() as tasks:
            tasks.start_soon(_tell_changes, talk, told, revision, body)
            async with talk.follow(number) as viewer:
                async for numbered in viewer:
                    await body.send(b"".join(_frames(talk.epoch, viewer, numbered)))
        if talk.ended == "deleted":
            await body.send(_named("deleted", {}))


def _frames(epoch: str, viewer: Viewer, first: tuple[int, Event]) -> Iterator[bytes]:
    """Write an event, and those behind it that are there already: under load, many in one piece."""
    number, event = first
    yield frame(to_json(event), id=f"{epoch}-{number}")
    for _ in range(_MORE_AT_ONCE):
        if (more := viewer.next_nowait()) is None:
            return
        number, event = more
        yield frame(to_json(event), id=f"{epoch}-{number}")


async def _tell_changes(
    talk: Conversation, told: dict[str, Any], revision: int, body: Body
) -> None:
    """Write what is different from what the viewer was told last, also where that changed before this begins."""
    while talk.ended is None:
        revision = await talk.wait_changed(revision)
        now = summary(talk)
        if now != told:
            told = now
            await body.send(_named("changed", told))


def _named(name: str, data: Any) -> bytes:
    return frame(msgspec.json.encode(data), event=name)


def place_of(request: Request) -> str:
    """Return the place of a viewer that comes, or comes back."""
    return request.headers.get("last-event-id") or request.query_params.get("after") or "0"


def _number(talk: Conversation, place: str) -> int | None:
    """Return the number of a place; None where it is not known."""
    epoch, _, number = place.rpartition("-")
    if place == "0":
        return 0
    if epoch != talk.epoch or not (number.isascii() and number.isdecimal()) or len(number) > 18:
        return None
    return int(number) if int(number) <= talk.number else None


def summary(talk: Conversation) -> dict[str, Any]:
    """Describe a conversation without its messages."""
    return {
        "title": talk.title,
        "state": talk.state,
        "model": talk.agent.model.name,
        "usage": to_builtins(talk.usage),
        "cost": talk.cost,
        "queued": [{"id": one.id, "text": one.text[:_SHOWN]} for one in talk.snapshot().queued],
    }


def snapshot_json(talk: Conversation) -> tuple[int, bytes]:
    """Write a conversation as it is now.

    Returns:
        The number behind which its events go on, and JSON.
    """
    now = talk.snapshot()
    written = {
        "id": talk.id,
        "title": now.title,
        "state": now.state,
        "model": now.model,
        "epoch": talk.epoch,
        "number": now.number,
        "messages": [
            {"entry": entry, "message": msgspec.Raw(to_json(message))}
            for entry, message in now.items
        ],
        "waiting": [msgspec.Raw(to_json(asked)) for asked in now.waiting],
        "queued": [msgspec.Raw(to_json(message)) for message in now.queued],
        "usage": to_builtins(now.usage),
        "cost": now.cost,
    }
    return now.number, msgspec.json.encode(written)
