"""How a reply is read that comes as events which name their type, up to one with which it is whole. No I/O."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from tether.deltas import Delta, ReplyEnd
from tether.errors import ModelError
from tether.messages import AssistantMessage, Failure
from tether.models._wire.leniency import lenient, tried
from tether.models._wire.protocol import Decoder

__all__ = ("TypedReply", "read_typed_events")


class _TypedEvent(Protocol):
    type: str


_M = TypeVar("_M")
_E = TypeVar("_E", bound=_TypedEvent)
_E_contra = TypeVar("_E_contra", contravariant=True)
_M_contra = TypeVar("_M_contra", contravariant=True)


class TypedReply(Protocol[_E_contra, _M_contra]):
    """What has been read of a reply that comes as events which name their type."""

    @property
    def in_text(self) -> bool:
        """Whether text is arriving, so that more of it may come."""
        ...

    def take_text(self, event: _M_contra, /) -> Sequence[Delta]:
        """Take in more of the text that is arriving; nothing where it is of another."""
        ...

    def take(self, event: _E_contra, /) -> tuple[Sequence[Delta], bool]:
        """Take in an event.

        Args:
            event: the event.

        Returns:
            What it brings, and whether the reply is whole.

        Raises:
            ModelError: it tells of an error.
        """
        ...

    def close(self, *, whole: bool) -> Sequence[Delta]:
        """Close what is still open.

        Args:
            whole: whether an event said that the reply is whole; else the stream ended.

        Raises:
            ModelError: it ended too early.
        """
        ...

    def message(self) -> AssistantMessage:
        """The finished message."""
        ...

    def so_far(self, failure: Failure, /) -> AssistantMessage:
        """What had arrived when the reply failed."""
        ...


def read_typed_events(
    reply: TypedReply[_E, _M], read: Callable[[bytes], _E], read_text: Callable[[bytes], _M]
) -> Decoder:
    """Read a reply that comes as events which name their type.

    Args:
        reply: takes the events in.
        read: reads any event.
        read_text: reads those alone that bring more text, in less time; raises ValueError for others.

    Returns:
        A decoder; see `Decoder`.
    """
    read, more_text = lenient(read), tried(read_text)
    deltas: Sequence[Delta] = ()
    whole = False
    try:
        while not whole:
            received = yield deltas
            if (
                reply.in_text
                and received is not None
                and (text := more_text(received[1])) is not None
                and (deltas := reply.take_text(text))
            ):
                continue
            if received is None or received[1] == b"[DONE]":
                deltas = ()
                break
            event = read(received[1])
            event.type = event.type or received[0]
            deltas, whole = reply.take(event)
        deltas = [*deltas, *reply.close(whole=whole)]
    except ModelError as error:
        error.partial = reply.so_far(error.failure)
        raise
    return [*deltas, ReplyEnd(reply.message())]
