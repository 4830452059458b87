"""Read a piece of a text file: memory is bounded by the piece, not by the file."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from anyio.from_thread import check_cancelled
from attrs import define

from tether.opening import is_binary

__all__ = ("MAX_BYTES", "read_piece")

MAX_BYTES: Final = 64 * 1024
"""Bytes of a piece, and of a line in it."""
_CHUNK: Final = 256 * 1024
_COUNTED: Final = 64 * 1024 * 1024
"""Bytes behind the piece whose lines are still counted."""


@define
class _Line:
    """A line as it is read: its beginning, and its whole size."""

    head: bytes = b""
    size: int = 0

    def add(self, part: bytes) -> None:
        self.head += part[: MAX_BYTES + 1 - len(self.head)]
        self.size += len(part)

    def text(self) -> str:
        if self.size > MAX_BYTES + 1:
            shown = self.head[:MAX_BYTES].decode(errors="replace")
            return f"{shown} [... the line has {self.size:,} bytes]"
        return self.head.removesuffix(b"\r").decode(errors="replace")


def read_piece(file: BinaryIO, path: str, size: int, offset: int, limit: int) -> str:
    """Read some lines, in a worker thread.

    Args:
        file: an open file.
        path: how the text calls it.
        size: its bytes.
        offset: the first line, counted from 1.
        limit: how many lines at most.

    Returns:
        The lines, with a last line that says how to read on where they are not all.

    Raises:
        ValueError: it is not text, or has no such line.

    Cancellation:
        Heard between two chunks.
    """
    chunks = _chunks(file)
    first = next(chunks, b"")
    if is_binary(first):
        raise ValueError(f"{path} is not text: it has {size:,} bytes, some of them zero")
    piece = _Piece(offset, limit)
    for chunk in _with_first(first, chunks):
        piece.take(chunk)
        if piece.full and file.tell() > _COUNTED:
            break
    else:
        piece.end()
    return _described(piece, path, size)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        check_cancelled()
        yield chunk


def _with_first(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class _Piece:
    """The lines that were asked for, out of all that are read."""

    def __init__(self, offset: int, limit: int) -> None:
        self.taken: list[str] = []
        self.lines = 0
        """Lines that have ended."""
        self.full = False
        self.ended = False
        self.offset = offset
        self._limit = limit
        self._size = 0
        self._line = _Line()

    def take(self, chunk: bytes) -> None:
        if self.full or self.lines + 1 + chunk.count(b"\n") < self.offset:
            self._count(chunk)
            return
        # Only \n ends a line here: what str.splitlines also cuts at may stand inside one.
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._line.add(part)
            self._end_line()
        self._line.add(rest)

    def end(self) -> None:
        """Nothing follows: what stands behind the last line end is a line too."""
        if self._line.size:
            self._end_line()
        self.ended = True

    def _count(self, chunk: bytes) -> None:
        """Pass over lines that nobody asked for."""
        ends = chunk.count(b"\n")
        self.lines += ends
        if ends:
            self._line = _Line()
        self._line.add(chunk[chunk.rfind(b"\n") + 1 :])

    def _end_line(self) -> None:
        line, self._line = self._line, _Line()
        self.lines += 1
        if self.full or self.lines < self.offset:
            return
        self._size += min(line.size, MAX_BYTES) + 1
        if self._size > MAX_BYTES and self.taken:
            self.full = True
            return
        self.taken.append(line.text())
        self.full = len(self.taken) == self._limit


def _described(piece: _Piece, path: str, size: int) -> str:
    offset, taken = piece.offset, piece.taken
    if not taken and offset > 1:
        raise ValueError(f"{path} has {piece.lines} lines; there is no line {offset}")
    last = offset - 1 + len(taken)
    if piece.ended and offset == 1 and last == piece.lines:
        return "\n".join(taken)
    has = f"{piece.lines} lines" if piece.ended else f"{size:,} bytes"
    more = f"; read on with offset={last + 1}" if not piece.ended or last < piece.lines else ""
    note = f"[lines {offset} to {last} of {path}, which has {has}{more}]"
    return "\n".join([*taken, note])
