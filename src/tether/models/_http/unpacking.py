"""Packed bodies, unpacked piece by piece, so that a small answer cannot fill the memory. No I/O.

We ask for bodies that are not packed; some servers pack them all the same.
"""

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

__all__ = ("Unpacker", "unpacker")

_PIECE: Final = 64 * 1024
"""Bytes that are unpacked at a time."""

_GZIP: Final = b"\x1f\x8b"
_ANY_HEADER: Final = zlib.MAX_WBITS | 32
"""zlib detects by the first bytes which of its two headers it is."""
_NO_HEADER: Final = -zlib.MAX_WBITS


class Unpacker(Protocol):
    """Unpacks a body."""

    is_over: bool
    """Whether the packed data has ended; what follows is no part of the body."""

    def unpack(self, chunk: bytes, /) -> Iterator[bytes]:
        """Unpack a chunk.

        Args:
            chunk: the next bytes of the body.

        Returns:
            Pieces, each of bounded size, made when they are asked for.

        Raises:
            zlib.error: the data cannot be unpacked.
        """
        ...


def unpacker(encoding: str) -> Unpacker | None:
    """Return what unpacks a body.

    Args:
        encoding: the header `content-encoding`.

    Returns:
        The unpacker; None for a body that is not packed.

    Raises:
        zlib.error: nothing here can unpack it.
    """
    match encoding.strip().lower():
        case "gzip" | "x-gzip" | "deflate":
            return _Zlib()
        case "br":
            return _Sliced(_brotli())
        case "zstd":
            return _Sliced(_zstd())
        case _:
            return None  # also for names that say nothing about packing, which some servers send


class _Zlib:
    """Gzip, in one part or several, and deflate, with its header or without."""

    def __init__(self) -> None:
        self.is_over = False
        self._stream = zlib.decompressobj(_ANY_HEADER)
        self._has_begun = False
        self._head = b""
        """The first bytes, until there are enough to tell by."""

    def unpack(self, chunk: bytes, /) -> Iterator[bytes]:
        while not self.is_over:
            if self._stream.eof:
                if not chunk:
                    return
                self._begin_next_part(chunk)
            piece = self._unpacked(chunk)
            chunk = self._stream.unused_data or self._stream.unconsumed_tail
            if piece:
                yield piece
            if not (chunk or self._stream.eof or len(piece) == _PIECE):
                return

    def _begin_next_part(self, chunk: bytes) -> None:
        self.is_over = not chunk.startswith(_GZIP[: len(chunk)])
        self._stream = zlib.decompressobj(_ANY_HEADER)

    def _unpacked(self, chunk: bytes) -> bytes:
        if self.is_over:
            return b""
        if self._has_begun:
            return self._stream.decompress(chunk, _PIECE)
        self._head += chunk
        if len(self._head) < len(_GZIP):
            return b""
        self._has_begun = True
        try:
            return self._stream.decompress(self._head, _PIECE)
        except zlib.error:
            # Some servers send deflate without its header.
            self._stream = zlib.decompressobj(_NO_HEADER)
            return self._stream.decompress(self._head, _PIECE)


Decompress: TypeAlias = Callable[[bytes], bytes]


class _Sliced:
    """Unpacks a few bytes at a time, where the size of what comes out cannot be bounded otherwise."""

    def __init__(self, found: tuple[Decompress, type[Exception], int]) -> None:
        self.is_over = False
        self._decompress, self._error, self._slice = found

    def unpack(self, chunk: bytes, /) -> Iterator[bytes]:
        for start in range(0, len(chunk), self._slice):
            try:
                piece = self._decompress(chunk[start : start + self._slice])
            except self._error as error:
                raise zlib.error(str(error)) from None
            for cut in range(0, len(piece), _PIECE):
                yield piece[cut : cut + _PIECE]


def _brotli() -> tuple[Decompress, type[Exception], int]:
    package = _installed("br", "brotli", "brotlicffi")
    # One byte may stand for 16 MiB, the largest block.
    return package.Decompressor().process, package.error, 1


def _zstd() -> tuple[Decompress, type[Exception], int]:
    package = _installed("zstd", "zstandard")
    unpacking = package.ZstdDecompressor(max_window_size=8 * 1024 * 1024)
    # Four bytes may stand for 128 KiB, the largest block.
    stream = unpacking.decompressobj(read_across_frames=True)
    return stream.decompress, package.ZstdError, 64


def _installed(encoding: str, *names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            pass
    raise zlib.error(f"it is packed as {encoding}, which was not asked for")
