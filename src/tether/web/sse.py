"""Server-sent events, written and read (WHATWG HTML, 9.2). No I/O."""

import re
from typing import Final

from attrs import frozen

from tether.errors import DecodeError

__all__ = ("COMMENT", "Reader", "Received", "frame")

_ENDS: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r(?=.)", re.DOTALL)
_LINES: Final = re.compile(r"\r\n|\n|\r")

COMMENT = b":\n\n"
"""What is sent to keep a connection open; readers ignore it."""


def frame(data: bytes, *, event: str = "", id: str = "") -> bytes:
    """Write one event.

    Args:
        data: one line, such as `to_json` writes.
        event: its type; readers take an event without one for a `message`.
        id: what a reader that comes back sends as `Last-Event-ID`.

    Returns:
        The bytes of the event.
    """
    head = (f"event: {event}\n" if event else "") + (f"id: {id}\n" if id else "")
    return b"%bdata: %b\n\n" % (head.encode(), data)


@frozen
class Received:
    """An event as a reader gets it."""

    event: str
    """Its type; `message` where it was sent without one."""
    data: str
    id: str
    """That of the last event that had one, up to this."""


class Reader:
    """Reads events from pieces of a body, cut anywhere.

    Args:
        longest: how many bytes an event may have.
    """

    def __init__(self, longest: int = 256 * 1024 * 1024) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._id = ""

    def feed(self, piece: bytes) -> list[Received]:
        """Take a piece.

        Returns:
            The events that are complete with it.

        Raises:
            DecodeError: an event is longer than it may be, or no UTF-8.
        """
        if len(self._rest) + len(piece) > self._longest:
            raise DecodeError(f"an event has more than {self._longest:,} bytes")
        searched = max(0, len(self._rest) - 3)  # an end may have begun
        self._rest += piece
        if _ENDS.search(self._rest, searched) is None:
            return []
        *blocks, rest = _ENDS.split(self._rest)
        self._rest = bytearray(rest)
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes | bytearray) -> Received | None:
        try:
            lines = _LINES.split(block.decode())
        except UnicodeDecodeError as error:
            raise DecodeError(f"the stream is no UTF-8: {error}") from None
        event, data = "message", list[str]()
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "event":
                    event = value
                case "data":
                    data.append(value)
                case "id":
                    self._id = value
                case _:
                    pass
        return Received(event, "\n".join(data), self._id) if data else None
