"""The same question is asked once."""

import json
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager

import anyio.lowlevel
import attrs

from tether import (
    AroundModel,
    AssistantMessage,
    BlockEnd,
    Delta,
    DeltaStream,
    ModelRequest,
    ProceedModel,
    ReplyEnd,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStart,
    to_builtins,
)

__all__ = ("response_cache",)


def response_cache(replies: MutableMapping[str, AssistantMessage]) -> AroundModel:
    """Make advice around the model that answers from replies it has had, and keeps new ones.

    Args:
        replies: where they are kept, by a text that stands for the question: a dict, or anything like one.

    Returns:
        The advice, for `agent.around_model`.
    """

    @asynccontextmanager
    async def advice(request: ModelRequest, proceed: ProceedModel) -> AsyncIterator[DeltaStream]:
        said = [to_builtins(attrs.evolve(m, id="", timestamp=0.0)) for m in request.messages]
        key = json.dumps([said, repr(attrs.evolve(request, messages=()))], sort_keys=True)
        if key in replies:
            yield _Stream(_again(replies[key]), None, replies, key)
            return
        async with proceed(request) as deltas:
            yield _Stream(iter(()), deltas, replies, key)

    return advice


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
    """A reply that was given before, or one that arrives, and is kept once it is whole."""

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
