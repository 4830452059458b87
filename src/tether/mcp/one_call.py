"""A model that makes one call, which somebody else has chosen. No I/O."""

import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from anyio.lowlevel import checkpoint
from attrs import define, field, frozen

from tether.deltas import BlockEnd, Delta, ReplyEnd, ToolCallDelta, ToolCallStart
from tether.messages import AssistantMessage, JsonObject, ToolCall
from tether.model import DeltaStream, ModelRequest

__all__ = ("OneCall",)

_ID = "call"


@frozen
class OneCall:
    """A model whose every reply is the same call."""

    tool: str
    arguments: JsonObject

    @property
    def name(self) -> str:
        """What it is called."""
        return "one-call"

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        """Answer with the call."""
        return _Reply(iter(self._deltas()))

    def _deltas(self) -> list[Delta]:
        call = ToolCall(_ID, self.tool, self.arguments)
        reply = AssistantMessage(call, stop_reason="tool_calls", model=self.name)
        return [
            ToolCallStart(_ID, self.tool),
            ToolCallDelta(json.dumps(dict(self.arguments))),
            BlockEnd(call),
            ReplyEnd(reply),
        ]


@define
class _Reply:
    """The deltas of a reply."""

    _deltas: Iterator[Delta] = field()

    def __aiter__(self) -> "_Reply":
        return self

    async def __anext__(self) -> Delta:
        await checkpoint()
        for delta in self._deltas:
            return delta
        raise StopAsyncIteration

    async def __aenter__(self) -> "_Reply":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass
