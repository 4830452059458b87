"""Open regular files, and nothing else.

A FIFO holds whoever opens it, a device may never end: neither can be told by its name in time. A file is opened
without waiting, and what it is comes from the opened descriptor.
"""

import os
import stat
from typing import BinaryIO, Final

__all__ = ("is_binary", "open_regular", "read_at_most")

_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_HEAD: Final = 8192


def open_regular(path: str | os.PathLike[str], name: str) -> BinaryIO:
    """Open a regular file to read its bytes. It never waits for another process.

    Args:
        path: where it is.
        name: how errors call it.

    Returns:
        The open file.

    Raises:
        IsADirectoryError: it is a folder.
        ValueError: it is a FIFO, a device or a socket.
        OSError: it cannot be opened.
    """
    # Sockets cannot be opened, and some devices act when they are: what is not a file now is left alone.
    _check(os.stat(path).st_mode, name)
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor).st_mode, name)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_at_most(file: BinaryIO, size: int) -> bytes | None:
    """Read the rest of a file, whatever size it claims to have.

    Args:
        file: where to read.
        size: how many bytes to take at most.

    Returns:
        The bytes; None if there are more.
    """
    content = file.read(size + 1)
    return content if len(content) <= size else None


def is_binary(head: bytes) -> bool:
    """Say whether the beginning of a file shows that it is not text.

    Args:
        head: the first bytes; 8,192 of them are looked at.
    """
    return b"\0" in head[:_HEAD]


def _check(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{name} is a folder, not a file")
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise ValueError(f"{name} is not a regular file but {kind}; only regular files are used")
