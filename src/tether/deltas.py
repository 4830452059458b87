"""What a reply arrives as, and the fold from deltas to the message so far.

A reply is a sequence of blocks, numbered from 0 in the order in which they will stand in the message.
Fragments name the block they belong to; blocks may interleave. A `BlockEnd` closes a block and carries
it whole; a `ReplyEnd` closes the reply and carries the message.

    reply = (ReplyInfo | block-delta)* ReplyEnd
    block = (TextDelta* | ThinkingDelta* | ToolCallStart ToolCallDelta*) BlockEnd

Adding a delta to the fold costs the same however long the message is.

The few classes of which there is one for each piece of a reply are frozen msgspec Structs: made in a sixth of the time
of a frozen attrs class, and of no concern to the garbage collector. `as_attrs` lets them pass for attrs classes:
`attrs.fields`, `attrs.evolve` and `attrs.asdict` work on them as on all others.

No I/O.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar, assert_never, cast

import attrs
import msgspec
from attrs import define, field, frozen

from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Failure,
    JsonObject,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

__all__ = (
    "BlockDelta",
    "BlockEnd",
    "Delta",
    "PartialReply",
    "ReplyEnd",
    "ReplyInfo",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "ToolCallStart",
    "as_attrs",
)


S = TypeVar("S", bound=msgspec.Struct)


def as_attrs(struct: type[S]) -> type[S]:
    """Have a Struct pass for an attrs class with the same fields."""
    fields = {
        one.name: attrs.field(
            type=one.type,
            default=attrs.NOTHING if one.default is msgspec.NODEFAULT else one.default,
        )
        for one in msgspec.structs.fields(struct)
    }
    alike = attrs.make_class(struct.__name__, fields, init=False, repr=False, eq=False)
    struct.__attrs_attrs__ = attrs.fields(alike)  # type: ignore[attr-defined]  # what attrs looks for
    return struct


@as_attrs
class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """More text for a text block."""

    type: ClassVar[str] = "text_delta"

    text: str
    index: int = 0


@as_attrs
class ThinkingDelta(msgspec.Struct, frozen=True, gc=False):
    """More text for a thinking block."""

    type: ClassVar[str] = "thinking_delta"

    text: str
    index: int = 0


@as_attrs
class ToolCallStart(msgspec.Struct, frozen=True, weakref=True):
    """A tool call begins; its arguments follow in fragments."""

    type: ClassVar[Literal["tool_call_start"]] = "tool_call_start"

    id: str
    name: str
    index: int = 0


@as_attrs
class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """More of a tool call's arguments, as JSON text cut anywhere."""

    type: ClassVar[str] = "tool_call_delta"

    arguments: str
    index: int = 0


@as_attrs
class BlockEnd(msgspec.Struct, frozen=True, weakref=True):
    """A block is whole."""

    type: ClassVar[Literal["block_end"]] = "block_end"

    block: AssistantBlock
    index: int = 0


@frozen(kw_only=True)
class ReplyInfo:
    """Facts about the reply that came before its end; what is None stays as it was."""

    type: ClassVar[Literal["reply_info"]] = "reply_info"

    model: str | None = None
    api: str | None = None
    response_id: str | None = None
    usage: Usage | None = None


@frozen
class ReplyEnd:
    """The reply is whole. The last delta of a stream that did not fail."""

    type: ClassVar[Literal["reply_end"]] = "reply_end"

    message: AssistantMessage


BlockDelta: TypeAlias = TextDelta | ThinkingDelta | ToolCallStart | ToolCallDelta | BlockEnd
"""The deltas that consumers of a run see."""

Delta: TypeAlias = BlockDelta | ReplyInfo | ReplyEnd
"""The deltas that a model's stream is made of."""


@define(eq=False, repr=False)
class _OpenText:
    fragments: list[str] = field(factory=list[str])


@define(eq=False, repr=False)
class _OpenThinking:
    fragments: list[str] = field(factory=list[str])


@define(eq=False, repr=False)
class _OpenCall:
    id: str
    name: str
    fragments: list[str] = field(factory=list[str])


_Said = TypeVar("_Said", _OpenText, _OpenThinking)
_Open = TypeVar("_Open", _OpenText, _OpenThinking, _OpenCall)
_Part: TypeAlias = _OpenText | _OpenThinking | _OpenCall | AssistantBlock

_WHOLE: Final[Mapping[type, type]] = {
    _OpenText: Text,
    _OpenThinking: Thinking,
    _OpenCall: ToolCall,
}
"""What an open part becomes."""


class PartialReply:
    """The fold: a reply as far as it has arrived.

    Args:
        model: the model asked for, until the reply itself says.
        api: the wire API it arrives over.
    """

    __slots__ = ("_info", "_message", "_parts")

    def __init__(self, *, model: str = "", api: str = "") -> None:
        self._parts: dict[int, _Part] = {}
        self._info: dict[str, Any] = {"model": model, "api": api, "usage": Usage()}
        self._message: AssistantMessage | None = None

    def add(self, delta: Delta) -> None:
        """Take in the next delta, in constant time.

        Raises:
            ValueError: the delta does not follow from those before it.
        """
        if self._message is not None:
            raise ValueError(f"{type(delta).__name__} after the end of the reply")
        # More of what is open, as most are: to match takes twice as long.
        if type(delta) is TextDelta and type(part := self._parts.get(delta.index)) is _OpenText:
            part.fragments.append(delta.text)
            return
        if type(delta) is ToolCallDelta and type(part := self._parts.get(delta.index)) is _OpenCall:
            part.fragments.append(delta.arguments)
            return
        match delta:
            case ToolCallStart(id_, name, index):
                if index in self._parts:
                    raise ValueError(f"block {index} began twice")
                self._parts[index] = _OpenCall(id_, name)
            case BlockEnd(block, index):
                self._end(block, index)
            case TextDelta(text, index):
                self._said(index, _OpenText, delta).fragments.append(text)
            case ToolCallDelta(arguments, index):
                _expect(self._parts.get(index), _OpenCall, delta).fragments.append(arguments)
            case ThinkingDelta(text, index):
                self._said(index, _OpenThinking, delta).fragments.append(text)
            case ReplyInfo():
                self._note(delta)
            case ReplyEnd(message):
                self._message = message
            case _:
                assert_never(delta)

    def _note(self, info: ReplyInfo) -> None:
        facts = {
            "model": info.model,
            "api": info.api,
            "response_id": info.response_id,
            "usage": info.usage,
        }
        self._info |= {name: fact for name, fact in facts.items() if fact is not None}

    def _said(self, index: int, kind: type[_Said], delta: BlockDelta) -> _Said:
        """The open block of a kind that begins with its first delta."""
        part = self._parts.get(index)
        if part is None:
            part = self._parts[index] = kind()
        return _expect(part, kind, delta)

    def _end(self, block: AssistantBlock, index: int) -> None:
        part = self._parts.get(index)
        if part is not None and not isinstance(block, _WHOLE.get(type(part), ())):
            raise ValueError(f"block {index}, which {_state(part)}, ends as {type(block).__name__}")
        self._parts[index] = block

    @property
    def model(self) -> str:
        """The model that writes it, as far as it has said."""
        return cast("str", self._told("model"))

    @property
    def api(self) -> str:
        """The wire API that it arrives over."""
        return cast("str", self._told("api"))

    @property
    def usage(self) -> Usage:
        """What it has cost, as far as that was reported."""
        return cast("Usage", self._told("usage"))

    def _told(self, fact: Literal["model", "api", "usage"]) -> Any:
        return self._info[fact] if self._message is None else getattr(self._message, fact)

    @property
    def complete(self) -> AssistantMessage | None:
        """The finished message, once its end has arrived."""
        return self._message

    def preview(self) -> AssistantMessage:
        """The message so far, for people to look at.

        Returns:
            All that has arrived; its `stop_reason` is None until the end arrives, and a call still open has the
            arguments that can be read so far.
        """
        if self._message is not None:
            return self._message
        blocks = [_preview(part) for _, part in sorted(self._parts.items())]
        return AssistantMessage(blocks, **self._info, stop_reason=None)

    def incomplete(self, stop_reason: StopReason, error: Failure | None = None) -> AssistantMessage:
        """Make a message of a reply that ends here.

        A call whose arguments were still arriving is not a call: it moves to
        `details["unfinished_calls"]`, so that it is neither run nor sent to a model again.

        Args:
            stop_reason: `aborted` or `error`.
            error: what went wrong, if something did.

        Returns:
            The reply as far as it had arrived, marked as incomplete; as it is, if its end has arrived already.
        """
        if self._message is not None:
            return self._message
        parts = [part for _, part in sorted(self._parts.items())]
        unfinished = [
            {"id": part.id, "name": part.name, "arguments": "".join(part.fragments)}
            for part in parts
            if isinstance(part, _OpenCall)
        ]
        return AssistantMessage(
            [_preview(part) for part in parts if not _is_nothing_yet(part)],
            **self._info,
            stop_reason=stop_reason,
            error=error,
            details={"unfinished_calls": unfinished} if unfinished else None,
        )


def _expect(part: _Part | None, kind: type[_Open], delta: BlockDelta) -> _Open:
    if isinstance(part, kind):
        return part
    raise ValueError(f"{type(delta).__name__} for block {delta.index}, which {_state(part)}")


def _state(part: _Part | None) -> str:
    match part:
        case None:
            return "is not open"
        case _OpenText():
            return "is text"
        case _OpenThinking():
            return "is thinking"
        case _OpenCall():
            return "is a tool call"
        case _:
            return "has ended"


def _is_nothing_yet(part: _Part) -> bool:
    """True for what is open and cannot be kept: a call, and text of which nothing has arrived."""
    match part:
        case _OpenText(fragments) | _OpenThinking(fragments):
            return not any(fragments)
        case _:
            return isinstance(part, _OpenCall)


def _preview(part: _Part) -> AssistantBlock:
    match part:
        case _OpenText(fragments):
            return Text("".join(fragments))
        case _OpenThinking(fragments):
            return Thinking("".join(fragments))
        case _OpenCall(id_, name, fragments):
            return ToolCall(id_, name, _readable("".join(fragments)))
        case block:
            return block


def _readable(arguments: str) -> JsonObject:
    """As much of a JSON object as can be read from its beginning."""
    import jiter  # noqa: PLC0415 - only where somebody looks at a call that is still arriving

    try:
        value = jiter.from_json(
            arguments.encode(), partial_mode="trailing-strings", allow_inf_nan=False
        )
    except ValueError:
        return {}
    return cast("JsonObject", value) if isinstance(value, dict) else {}
