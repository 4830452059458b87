"""A model that follows a script, and is as strict about requests as a provider.

Each request takes the next reply of the script. A reply is written as briefly as it can be said:

    "Hello there."                                  text, streamed word by word
    call("read_file", path="a.txt")                 one block
    AssistantMessage("...", usage=...)              a whole message, sent as it stands
    ModelError("no", kind="overloaded")             raised before anything is sent
    lambda request: f"{len(request.messages)}"      any of these, made from the request

and, in general, a list that is played in order: strings and blocks are streamed as deltas; deltas are sent
as they are, and the blocks they leave open are closed; a `Pause` waits; an exception is raised there and
then, so that `[TextDelta("Hel"), ModelError(...)]` is a reply cut off inside its first word.

The same script gives the same deltas on each backend, whatever the clock says.
"""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import checkpoint
from attrs import evolve, field, frozen
from attrs.validators import ge

from tether import (
    AssistantMessage,
    ModelRequest,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
)
from tether.deltas import (
    BlockDelta,
    BlockEnd,
    Delta,
    PartialReply,
    ReplyEnd,
    ReplyInfo,
    ToolCallDelta,
    ToolCallStart,
)
from tether.messages import AssistantBlock, StopReason
from tether.model import DeltaStream
from tether.testing.transcript_check import check_request, describe

__all__ = ("Part", "Pause", "Reply", "ScriptedModel", "call")


@frozen
class Pause:
    """A reply waits here: without end, unless it is given an event or seconds."""

    until: anyio.Event | None = None
    """The reply goes on when this is set."""
    seconds: float = field(default=math.inf, kw_only=True, validator=ge(0))
    """The reply goes on after this many seconds, if nothing else makes it."""
    reached: anyio.Event | None = field(default=None, kw_only=True)
    """Set when the reply gets here, so that a test can wait for that."""

    async def wait(self) -> None:
        """Say that the reply has got here, and wait.

        Cancellation:
            At once; nothing is left behind.
        """
        if self.reached is not None:
            self.reached.set()
        with anyio.move_on_after(self.seconds):
            await (anyio.sleep_forever() if self.until is None else self.until.wait())


Part: TypeAlias = str | AssistantBlock | Delta | Pause | Exception
"""What a reply in the form of a list is made of."""

_Played: TypeAlias = Part | AssistantMessage | Sequence[Part]
Reply: TypeAlias = _Played | Callable[[ModelRequest], "Reply"]
"""What a script is made of; see the module's docstring."""


def call(
    name: str,
    others: Mapping[str, Any] | None = None,
    /,
    *,
    id: str = "",
    **arguments: Any,
) -> ToolCall:
    """Write a tool call briefly.

    Args:
        name: the tool.
        others: arguments that cannot be written as keywords here, such as one that is called `id`.
        id: the call's id; without one, the model that says it numbers its calls `call_1`, `call_2`, ...
        **arguments: the arguments.

    Returns:
        The call, which is a reply in itself.
    """
    return ToolCall(id, name, {**(others or {}), **arguments})


class ScriptedModel:
    """A `Model` that answers from a script.

    It refuses what a strict provider would refuse: see `check_request`. What goes wrong is raised as an
    AssertionError into the run, and again by `expect_done`, so that a test fails even if the run took the
    error for one of the model's.

    Args:
        *replies: what to answer, in order; see the module's docstring.
        name: what the model is called.

    Attributes:
        requests: every request so far, in order, the refused ones too.
    """

    def __init__(self, *replies: Reply, name: str = "scripted") -> None:
        self.requests: list[ModelRequest] = []
        self._name = name
        self._script = deque(replies)
        self._length = len(replies)
        self._streaming = 0
        self._calls = 0
        self._complaint: AssertionError | None = None

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._name

    @property
    def remaining(self) -> int:
        """How many replies of the script have not been asked for."""
        return len(self._script)

    @property
    def streaming(self) -> int:
        """How many replies are open now."""
        return self._streaming

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        """Answer with the next reply of the script.

        Args:
            request: the question; it is recorded, and must be valid.

        Returns:
            A context manager that gives the deltas, with a checkpoint before each.

        Raises:
            ModelError: where the script says so, on entering or while iterating.
            AssertionError: the request is not valid, or the script is at its end.

        Cancellation:
            On entering and at every delta. A request that is cancelled on entering takes no reply.
        """
        return _Playback(partial(self._open, request), self._close)

    def expect_done(self) -> None:
        """Check that the script was played to its end and that nothing went wrong on the way.

        Raises:
            AssertionError: a request was refused, a reply was not asked for, or one is still open.
        """
        if self._complaint is not None:
            raise AssertionError(str(self._complaint)) from self._complaint
        if self._script:
            raise AssertionError(
                f"{self._name} has {len(self._script)} of {self._length} replies left after"
                f" {len(self.requests)} requests; the next is {self._script[0]!r}"
            )
        if self._streaming:
            raise AssertionError(f"{self._name}: {self._streaming} replies were not closed")

    def _open(self, request: ModelRequest) -> deque["_Step"]:
        self.requests.append(request)
        try:
            check_request(request)
            steps = self._steps(self._next(request))
        except AssertionError as error:
            self._complaint = self._complaint or error
            raise
        self._streaming += 1
        return steps

    def _close(self) -> None:
        self._streaming -= 1

    def _next(self, request: ModelRequest) -> _Played:
        if not self._script:
            raise AssertionError(
                f"{self._name} has a script of {self._length} replies, and this is request"
                f" {len(self.requests)}; its last message is {describe(request.messages[-1])}"
            )
        reply = self._script.popleft()
        while callable(reply):
            reply = reply(request)
        return reply

    def _steps(self, reply: _Played) -> deque["_Step"]:
        """Work the whole reply out at once, so that a bad script fails before it is half played."""
        if isinstance(reply, Exception):
            raise reply
        writer = _Writer(self._name)
        if isinstance(reply, AssistantMessage):
            content = [self._numbered(block) for block in reply.content]
            message = evolve(reply, content=content, model=reply.model or self._name)
            return deque(writer.play([*content, ReplyEnd(message)]))
        return deque(writer.play(self._numbered(part) for part in _parts(reply)))

    def _numbered(self, part: "_PartT") -> "_PartT":
        if not (isinstance(part, ToolCall) and not part.id):
            return part
        self._calls += 1
        return evolve(part, id=f"call_{self._calls}")


_Step: TypeAlias = Delta | Pause | Exception
_PartT = TypeVar("_PartT", bound=Part)


class _Playback:
    """One reply being streamed: the context manager, and the iterator that it gives."""

    __slots__ = ("_close", "_open", "_steps")

    def __init__(self, open_: Callable[[], deque[_Step]], close: Callable[[], None]) -> None:
        self._open = open_
        self._close = close
        self._steps: deque[_Step] = deque()

    async def __aenter__(self) -> "_Playback":
        await checkpoint()
        self._steps = self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._steps.clear()
        self._close()

    def __aiter__(self) -> "_Playback":
        return self

    async def __anext__(self) -> Delta:
        await checkpoint()
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, Exception):
                raise step
            if not isinstance(step, Pause):
                return step
            await step.wait()
        raise StopAsyncIteration


class _Writer:
    """Writes a list of parts as the deltas of one reply, and closes what they leave open."""

    def __init__(self, model: str) -> None:
        self._reply = PartialReply(model=model, api="scripted")
        self._begun: dict[int, bool] = {}
        """The blocks so far, and whether each is still open."""

    def play(self, parts: Iterable[Part]) -> Iterator[_Step]:
        for part in parts:
            match part:
                case Exception():
                    yield part
                    return
                case Pause():
                    yield part
                case ReplyEnd():
                    yield from self._close()
                    yield self._sent(part)
                case (
                    ReplyInfo() | TextDelta() | ThinkingDelta() | ToolCallStart() | ToolCallDelta()
                ):
                    yield self._sent(part)
                case BlockEnd():
                    yield self._sent(part)
                case "":
                    pass
                case _:
                    yield from self._block(Text(part) if isinstance(part, str) else part)
        if self._reply.complete is None:
            yield from self._close()
            message = self._reply.preview()
            stop_reason: StopReason = "tool_calls" if message.tool_calls else "stop"
            yield self._sent(ReplyEnd(evolve(message, stop_reason=stop_reason)))

    def _block(self, block: AssistantBlock) -> Iterator[Delta]:
        yield from self._close()
        for delta in _written(block, max(self._begun, default=-1) + 1):
            yield self._sent(delta)

    def _close(self) -> Iterator[Delta]:
        if not any(self._begun.values()):
            return  # to look at the whole reply for each of its blocks would take its length squared
        blocks = zip(sorted(self._begun), self._reply.preview().content, strict=True)
        for index, block in blocks:
            if self._begun[index]:
                yield self._sent(BlockEnd(block, index))

    def _sent(self, delta: Delta) -> Delta:
        if self._reply.complete is not None:
            raise AssertionError(f"the script goes on after the end of the reply: {delta!r}")
        try:
            self._reply.add(delta)
        except ValueError as error:
            raise AssertionError(f"the script is not a reply: {error}") from error
        if not isinstance(delta, ReplyInfo | ReplyEnd):
            self._begun[delta.index] = not isinstance(delta, BlockEnd)
        return delta


def _parts(reply: Part | Sequence[Part]) -> Sequence[Part]:
    return reply if isinstance(reply, Sequence) and not isinstance(reply, str) else (reply,)


def _written(block: AssistantBlock, index: int) -> Iterator[BlockDelta]:
    """Stream a whole block, in fragments where its kind has them."""
    match block:
        case Text(text):
            yield from (TextDelta(word, index) for word in _words(text))
        case Thinking(text, redacted=False):
            yield from (ThinkingDelta(word, index) for word in _words(text))
        case ToolCall(id_, name, arguments, malformed):
            yield ToolCallStart(id_, name, index)
            written = json.dumps(arguments, ensure_ascii=False) if malformed is None else malformed
            yield from (ToolCallDelta(piece, index) for piece in _pieces(written))
        case _:
            pass
    yield BlockEnd(block, index)


def _words(text: str) -> list[str]:
    """Cut text into words, each with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def _pieces(text: str, size: int = 7) -> list[str]:
    """Cut text where no token of JSON ends but by chance."""
    return [text[start : start + size] for start in range(0, len(text), size)]
