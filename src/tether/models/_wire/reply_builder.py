"""What all decoders share: the frame that reads a stream, and the reply that is built from it. No I/O.

A decoder is made of three parts. A reader turns server-sent events into the API's own classes (see `leniency`). A
`WireReply` says what each of them means. A `ReplyBuilder` keeps the blocks of the reply, and reports each change to
them as a delta.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

import attrs
from attrs import define, field

from tether.deltas import (
    BlockEnd,
    Delta,
    PartialReply,
    ReplyEnd,
    ReplyInfo,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tether.errors import ModelError
from tether.messages import AssistantBlock, AssistantMessage, Failure, StopReason, ToolCall, Usage
from tether.models._wire.holdings import BLOCK, LARGE_EVENT, Holdings, refuse_dense
from tether.models._wire.leniency import DONE, is_first_half, mended, says_nothing
from tether.models._wire.protocol import Decoder
from tether.models._wire.sse import ServerSentEvent

__all__ = ("BlockKind", "OpenBlock", "ReplyBuilder", "WireReply", "read_reply")

BlockKind: TypeAlias = Literal["text", "thinking", "call", "item"]
"""What a block is while it is open; nothing of an `item` is shown before it is whole."""

_Fragment: TypeAlias = TextDelta | ThinkingDelta | ToolCallDelta
_DELTAS: Final[Mapping[str, type[_Fragment]]] = {
    "text": TextDelta,
    "thinking": ThinkingDelta,
    "call": ToolCallDelta,
}

_LOST: Final = "\ufffd"
"""Stands for half a surrogate pair whose other half did not come."""

_E_contra = TypeVar("_E_contra", contravariant=True)


@define(eq=False, repr=False)
class OpenBlock:
    """A block that has begun and is not yet whole."""

    kind: BlockKind
    index: int
    fragments: list[str] = field(factory=list[str])
    """Of its text, its thinking, or its arguments as JSON."""
    start: ToolCallStart | None = None
    """Of a call, once it is announced; its arguments are shown from then on."""
    half: str = ""
    """The first half of a surrogate pair, at which the last fragment was cut."""
    delta: Callable[[str, int], _Fragment] | None = field(init=False)
    """Makes its deltas: their class; None while they are not shown."""

    def __attrs_post_init__(self) -> None:
        shown = self.kind != "call" or self.start is not None
        self.delta = _DELTAS.get(self.kind) if shown else None

    @property
    def text(self) -> str:
        """The fragments, joined."""
        return "".join([*self.fragments, _LOST]) if self.half else "".join(self.fragments)

    def add_halves(self, text: str) -> Sequence[Delta]:
        """Take in a fragment that may begin or end with half a character; the last half waits for the next fragment."""
        text = self.half + text
        self.half = text[-1] if text and is_first_half(text[-1]) else ""
        text = mended(text.removesuffix(self.half))
        if text:
            self.fragments.append(text)
        if self.delta is None:
            return ()
        make = _DELTAS[self.kind]
        self.delta = self._behind_half if self.half else make
        return (make(text, self.index),) if text else ()

    def _behind_half(self, text: str, index: int) -> _Fragment:
        """Make the delta of a fragment that is no other half: in place of the class, so that others cost no more."""
        self.half = ""
        self.delta = make = _DELTAS[self.kind]
        self.fragments[-1] = text = _LOST + text
        return make(text, index)

    def add(self, text: str) -> Sequence[Delta]:
        """Take in a fragment that is valid by itself.

        Args:
            text: the fragment, not empty.

        Returns:
            Its delta; none while the block is not shown.
        """
        self.fragments.append(text)
        make = self.delta
        return () if make is None else (make(text, self.index),)

    def announce(self, id_: str, name: str) -> Sequence[Delta]:
        """Show a call: its start, and what has arrived of its arguments."""
        self.start = ToolCallStart(id_, name, self.index)
        self.delta = ToolCallDelta
        return self.shown()

    def shown(self) -> Sequence[Delta]:
        """Everything that has been shown of the block, as one delta, after its start if it is a call."""
        start = () if self.start is None else (self.start,)
        if self.delta is None or not self.fragments:
            return start
        return (*start, _DELTAS[self.kind]("".join(self.fragments), self.index))


@define(eq=False, repr=False)
class ReplyBuilder:
    """A reply as it is built."""

    api: str
    """The wire API it arrives over."""
    model: str
    """The model asked for, until the reply reports its own."""
    stop_reason: StopReason | None = None
    """Why it ended, once the server reported that."""
    details: dict[str, Any] = field(factory=dict[str, Any])
    """What else the server reported."""
    response_id: str | None = None
    usage: Usage = field(factory=Usage)
    holdings: Holdings = field(factory=Holdings)
    """The weight of what is kept; decoders add what does not come as fragments or as a whole block."""
    _blocks: list[AssistantBlock | None] = field(factory=list["AssistantBlock | None"])
    """By index; None for one that is open, or of which nothing is kept."""
    _open: dict[int, OpenBlock] = field(factory=dict[int, OpenBlock])
    _deltas: list[Delta] = field(factory=list[Delta])
    _reported: ReplyInfo | None = None

    # Blocks.

    def open(self, kind: BlockKind, start: tuple[str, str] | None = None) -> OpenBlock:
        """Begin the next block.

        Args:
            kind: what it is.
            start: the id and the name of a call; one without is shown once it is announced.

        Returns:
            The block, to be given to `end` when it is whole.

        Raises:
            ModelError: there are far more blocks than were paid for by what was sent.
        """
        self.holdings.charge(BLOCK)
        block = OpenBlock(kind, len(self._blocks))
        self._blocks.append(None)
        self._open[block.index] = block
        if start is not None:
            self._deltas += block.announce(*start)
        return block

    def add(self, block: OpenBlock, text: str) -> None:
        """Add a fragment to an open block."""
        if block.half or not text.isascii():
            self._deltas += block.add_halves(text)
        elif text:
            block.fragments.append(text)
            if block.delta is not None:
                self._deltas.append(block.delta(text, block.index))

    def announce(self, block: OpenBlock, id_: str, name: str) -> None:
        """Show a call whose id and name were not known when it began."""
        self._deltas += block.announce(id_, name)

    def end(self, block: OpenBlock, whole: AssistantBlock | None) -> None:
        """Close a block.

        Args:
            block: the open block.
            whole: what it has become; None if nothing is kept of it.
        """
        self._open.pop(block.index, None)
        if block.half and block.delta is not None:
            self._deltas.append(_DELTAS[block.kind](_LOST, block.index))
        self._blocks[block.index] = whole
        if whole is not None:
            self._deltas.append(BlockEnd(whole, block.index))

    def put(self, whole: AssistantBlock) -> None:
        """Append a block that arrived as a whole."""
        self.end(self.open("item"), whole)

    @property
    def blocks(self) -> Sequence[AssistantBlock]:
        """The blocks that are whole, in order."""
        return [block for block in self._blocks if block is not None]

    @property
    def has_begun(self) -> bool:
        """Whether a block has begun."""
        return bool(self._blocks)

    @property
    def has_calls(self) -> bool:
        """Whether one of them is a call."""
        return any(isinstance(block, ToolCall) for block in self._blocks)

    # The reply.

    def skip_event(self) -> None:
        """Count an event that could not be understood, in the details of the message."""
        self.details["skipped_events"] = self.details.get("skipped_events", 0) + 1

    def count(self, usage: Usage) -> None:
        """Take in counts of the reply so far. They only grow: a later event may hold less than an earlier one."""
        most = {
            name: max(before, getattr(usage, name))
            for name, before in attrs.asdict(self.usage).items()
        }
        self.usage = Usage(**most)

    def report(self) -> None:
        """Report model, id and usage, if they have changed."""
        info = ReplyInfo(
            model=self.model, api=self.api, response_id=self.response_id, usage=self.usage
        )
        if info != self._reported:
            self._reported = info
            self._deltas.append(info)

    def new_deltas(self) -> Sequence[Delta]:
        """The changes since the last call."""
        deltas, self._deltas = self._deltas, []
        return deltas

    def message(self) -> AssistantMessage:
        """The finished message."""
        stop = self.stop_reason or "stop"
        return AssistantMessage(
            self.blocks,
            model=self.model,
            api=self.api,
            stop_reason="tool_calls" if stop == "stop" and self.has_calls else stop,
            usage=self.usage,
            response_id=self.response_id,
            details=self.details or None,
        )

    def so_far(self, failure: Failure) -> AssistantMessage:
        """What had arrived when the reply failed."""
        partial = PartialReply(model=self.model, api=self.api)
        partial.add(ReplyInfo(response_id=self.response_id, usage=self.usage))
        for index, block in enumerate(self._blocks):
            if block is not None:
                partial.add(BlockEnd(block, index))
            elif index in self._open:
                for delta in self._open[index].shown():
                    partial.add(delta)
        return partial.incomplete("error", failure)


class WireReply(Protocol[_E_contra]):
    """What the events of one API mean."""

    @property
    def built(self) -> ReplyBuilder:
        """The reply as far as it has been read."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether an event ended the reply."""
        ...

    def take(self, event: _E_contra, /) -> Sequence[Delta]:
        """Take in an event.

        Args:
            event: the event.

        Returns:
            What it brings.

        Raises:
            ModelError: it reports an error.
        """
        ...

    def close(self, *, marked: bool) -> None:
        """Close what is still open at the end of the stream.

        Args:
            marked: whether a mark ended it; see `DONE`.

        Raises:
            ModelError: it ended too early.
        """
        ...


_E = TypeVar("_E")


def read_reply(reply: WireReply[_E], read: Callable[[ServerSentEvent], _E | None]) -> Decoder:
    """Read a reply.

    Args:
        reply: takes the events in.
        read: reads an event; returns None for one that says nothing.

    Returns:
        A decoder; see `Decoder`.
    """
    deltas: Sequence[Delta] = ()
    marked = False
    take = reply.take
    holdings = reply.built.holdings
    try:
        while not reply.is_whole:
            received = yield deltas
            deltas = ()
            if received is None:
                break
            holdings.sent += len(received[1])
            if len(received[1]) > LARGE_EVENT:
                refuse_dense(received[1])
            if (event := read(received)) is not None:
                deltas = take(event)
            elif marked := received[1] == DONE:
                break
            elif not says_nothing(received):
                reply.built.skip_event()
        reply.close(marked=marked)
    except ModelError as error:
        error.partial = reply.built.so_far(error.failure)
        raise
    return [*deltas, *reply.built.new_deltas(), ReplyEnd(reply.built.message())]
