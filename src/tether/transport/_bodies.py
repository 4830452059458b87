"""Bodies of answers, taken out of what frames them: chunks, a length, or the end of the connection.

A body is sent what arrives, cut anywhere, and gives what is of the body in it, in one piece: a server may send each few
bytes as a chunk of its own. What is malformed comes to light when all before it is delivered. h11 decides what that is
(RFC 9112, 6 and 7). No I/O.
"""

import re
from typing import Final, Protocol

import httpx

from tether.transport._heads import MAX_INCOMPLETE, Head, check_trailers, end_of_block

__all__ = ("Body", "body_of")

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;[^\n]*|[ \t]*)\r\n")
_LINE_END: Final = b"\r\n"

_NO_BODY: Final = frozenset({204, 304})
"""Statuses of answers that have none, whatever their heads say."""


class Body(Protocol):
    """The body of an answer, as it comes."""

    is_over: bool
    """Whether all of it has come."""
    failure: str
    """What is wrong with it, to be raised when what came before is delivered; "" if nothing is."""
    rest: bytes
    """What came behind its end."""

    def feed(self, data: bytes, /) -> bytes:
        """Take what arrived.

        Args:
            data: the next bytes.

        Returns:
            What is of the body in them; it may be empty.
        """
        ...

    def end(self) -> None:
        """Take the end of the connection."""
        ...


def body_of(head: Head, method: str) -> Body:
    """Make the body that follows a head.

    Args:
        head: the head of the answer.
        method: that of the request.
    """
    if method == "HEAD" or head.status in _NO_BODY:
        return _Sized(0)
    if head.framing.has_chunks:
        return _Chunked()
    if head.framing.length is not None:
        return _Sized(head.framing.length)
    return _Unframed()


class _Chunked:
    """A body in chunks, each with its size before it."""

    __slots__ = ("_behind", "_in_trailers", "_kept", "_left", "failure", "is_over", "rest")

    def __init__(self) -> None:
        self.is_over = False
        self.failure = ""
        self.rest = b""
        self._left = 0
        """Bytes of the present chunk that are to come."""
        self._behind = b""
        """What is to come of the line end behind it."""
        self._kept = b""
        """The beginning of a line."""
        self._in_trailers = False

    def feed(self, data: bytes, /) -> bytes:
        data, self._kept, at = self._kept + data if self._kept else data, b"", 0
        pieces: list[bytes] = []
        while at < len(data) and not (self.failure or self._in_trailers):
            if self._left or self._behind:
                at = self._go_on(data, at, pieces)
                continue
            line = _CHUNK_LINE.match(data, at)
            if line is None:
                self._keep_line(data[at:])
                break
            at, size = line.end(), int(line[1], 16)
            end = at + size
            if size and data.startswith(_LINE_END, end):
                # A whole chunk, like most of them.
                pieces.append(data[at:end])
                at = end + 2
            else:
                self._left, self._in_trailers = size, not size
        if self._in_trailers and not self.failure:
            self._read_trailers(data[at:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        self.failure = (
            "peer unexpectedly closed connection"
            if self._kept
            else "peer closed connection without sending complete message body (incomplete chunked read)"
        )

    def _go_on(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take what there is of a chunk, or of the line end behind it."""
        if self._left:
            piece = data[at : at + self._left]
            pieces.append(piece)
            self._left -= len(piece)
            if not self._left:
                self._behind = _LINE_END
            return at + len(piece)
        found = data[at : at + len(self._behind)]
        if not self._behind.startswith(found):
            self.failure = (
                f"malformed chunk footer: {bytearray(found)!r} (expected {self._behind!r})"
            )
        self._behind = self._behind[len(found) :]
        return at + len(found)

    def _keep_line(self, line: bytes) -> None:
        end = line.find(_LINE_END)
        if end >= 0:
            self.failure = f"illegal chunk header: {bytearray(line[: end + 2])!r}"
        else:
            self._keep(line)

    def _read_trailers(self, block: bytes) -> None:
        end = end_of_block(block)
        if end is None:
            self._keep(block)
            return
        try:
            check_trailers(block[:end])
        except httpx.RemoteProtocolError as error:
            self.failure = str(error)
        else:
            self.is_over, self.rest = True, block[end:]

    def _keep(self, line: bytes) -> None:
        self._kept = line
        if len(line) > MAX_INCOMPLETE:
            self.failure = "Receive buffer too long"


class _Sized:
    """A body whose length is known."""

    __slots__ = ("_left", "_length", "failure", "is_over", "rest")

    def __init__(self, length: int) -> None:
        self._length = self._left = length
        self.is_over = not length
        self.failure = ""
        self.rest = b""

    def feed(self, data: bytes, /) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        self.is_over = not self._left
        self.rest = data[len(piece) :]
        return piece

    def end(self) -> None:
        self.failure = (
            "peer closed connection without sending complete message body "
            f"(received {self._length - self._left} bytes, expected {self._length})"
        )


class _Unframed:
    """A body that ends with the connection."""

    __slots__ = ("failure", "is_over", "rest")

    def __init__(self) -> None:
        self.is_over = False
        self.failure = ""
        self.rest = b""

    def feed(self, data: bytes, /) -> bytes:
        return data

    def end(self) -> None:
        self.is_over = True
