"""The same request is sent to the model once."""

import json
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager

import anyio.lowlevel
import attrs

from tether import AssistantMessage, ModelRequest, Text, TextDelta, ToolCall
from tether.deltas import BlockEnd, Delta, ReplyEnd, ToolCallStart
from tether.hooks import AroundModel, ProceedModel
from tether.model import DeltaStream
from tether.serialize import to_builtins

__all__ = ("response_cache",)


def response_cache(replies: MutableMapping[str, AssistantMessage]) -> AroundModel:
    """Make a hook around the model that answers a repeated request from a cache, and caches new replies.

    Args:
        replies: the cache, from a text made of the request to its reply: a dict, or any mutable mapping.

    Returns:
        The hook, for `agent.around_model`.
    """

    @asynccontextmanager
    async def response_cache(
        request: ModelRequest, proceed: ProceedModel
    ) -> AsyncIterator[DeltaStream]:
        messages = [to_builtins(attrs.evolve(m, id="", timestamp=0.0)) for m in request.messages]
        key = json.dumps([messages, repr(attrs.evolve(request, messages=()))], sort_keys=True)
        if key in replies:
            yield _Stream(_again(replies[key]), None, replies, key)
            return
        async with proceed(request) as deltas:
            yield _Stream(iter(()), deltas, replies, key)

    return response_cache


def _again(reply: AssistantMessage) -> Iterator[Delta]:
    for place, block in enumerate(reply.content):
        if isinstance(block, Text):
            yield TextDelta(block.text, place)
        elif isinstance(block, ToolCall):
            yield ToolCallStart(block.id, block.name, place)
        yield BlockEnd(block, place)
    yield ReplyEnd(reply)


@attrs.frozen
class _Stream:
    """A reply from the cache, or one that arrives and is cached once it is complete."""

    known: Iterator[Delta]
    arriving: DeltaStream | None
    replies: MutableMapping[str, AssistantMessage]
    key: str

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Delta:
        await anyio.lowlevel.checkpoint()
        for delta in self.known:
            return delta
        if self.arriving is None:
            raise StopAsyncIteration
        if isinstance(delta := await anext(self.arriving), ReplyEnd):
            self.replies[self.key] = delta.message
        return delta
